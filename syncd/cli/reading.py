"""Reading what is mirrored: inbox, thread, sql."""

from collections.abc import Sequence
from itertools import groupby, islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from syncd.cli.options import (
    MOST,
    AccountOption,
    JsonOption,
    Places,
    check_account,
    choose_account,
    find_database,
    new_family,
    open_database,
    places_so_far,
    with_places,
)
from syncd.cli.terminal import (
    WIDE,
    make_console,
    make_safe,
    make_table,
    paging,
    print_csv,
    print_json_rows,
    print_rows,
    render_distance,
    render_length,
    render_local,
    safe_text,
)
from syncd.errors import SyncdError, UsageError
from syncd.store.query import running_query
from syncd.store.read import read_conversation, read_conversation_ids, read_inbox, read_now, read_thread, reading

SHOWN_BY_DEFAULT = 50
MOST_ROWS_IN_A_TABLE = 1000
_COMPLETIONS = 50

app = new_family()


def complete_conversation(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of conversations that begin so, with their titles; none at all when anything is in the way."""
    try:
        with open_database(places_so_far(context)) as database:
            found = read_conversation_ids(database, incomplete, _COMPLETIONS)
        return [(id, make_safe(title)) for id, title in found if make_safe(id) == id]
    except (SyncdError, OSError):
        return []


@app.command()
@with_places
def inbox(
    places: Places,
    *,
    unread: Annotated[bool, typer.Option("--unread", help="Only conversations with unread messages.")] = False,
    needs_reply: Annotated[
        bool, typer.Option("--needs-reply", help="Only those that need a reply, the longest waiting first.")
    ] = False,
    account: AccountOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=MOST,
            show_default=False,
            help="At most so many, 0 for all. Default: 50, and all with --json.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List conversations, newest first."""
    most = limit if limit is not None else (0 if as_json else SHOWN_BY_DEFAULT)
    with open_database(places) as database:
        check_account(database, account)
        rows, total = read_inbox(database, unread=unread, needs_reply=needs_reply, account=account, limit=most or None)
        now = read_now(database)
    if as_json:
        print_json_rows(rows)
    else:
        with paging() as console:
            print_inbox(console, rows, total, now)


@app.command()
@with_places
def thread(
    places: Places,
    *,
    conversation: Annotated[
        str, typer.Argument(metavar="CONVERSATION", help="The conversation's id.", autocompletion=complete_conversation)
    ],
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one conversation as people read it, oldest message first."""
    with open_database(places) as database:
        holder = choose_account(database, conversation, account)
        about = read_conversation(database, holder, conversation)
        messages = read_thread(database, holder, conversation)
        now = read_now(database)
    if as_json:
        print_json_rows(messages)
    else:
        with paging() as console:
            print_thread(console, about, messages, now)


@app.command()
@with_places
def sql(
    places: Places,
    *,
    query: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT, in quotes.", show_default=False)],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a heading.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a read-only query on the database."""
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other")
    with reading(find_database(places)) as database, running_query(database, query) as (names, rows):
        if as_json:
            print_json_rows(dict(zip(names, row, strict=True)) for row in rows)
        elif as_csv:
            print_csv(names, rows)
        else:
            shown = list(islice(rows, MOST_ROWS_IN_A_TABLE))
            print_rows(make_console(), names, shown)
            if next(rows, None) is not None:
                typer.echo(f"Only the first {MOST_ROWS_IN_A_TABLE} rows; --csv and --json print all.", err=True)


# How an inbox and a conversation look to people.


Row = dict[str, Any]

_SNIPPET = 200
"""Characters of a message's text of which the inbox shows the beginning."""
_DIRECTIONS = {"out": "green", "system": "dim", "in": "cyan", "internal": "cyan"}


def print_inbox(console: Console, rows: Sequence[Row], total: int, now: str) -> None:
    """Print conversations, and how many there are beside those shown."""
    if not rows:
        console.print("No conversations.")
        return
    several = len({row["account"] for row in rows}) > 1
    if console.width >= WIDE:
        console.print(_make_inbox_table(rows, now, several=several))
    else:
        for row in rows:
            _print_entry(console, row, now, several=several)
    if total > len(rows):
        console.print(Text(f"{len(rows)} of {total} shown; --limit 0 shows all.", style="dim"))


def print_thread(console: Console, about: Row, messages: Sequence[Row], now: str) -> None:
    """Print a conversation day by day, each message under its sender and time."""
    console.print(_join(" · ", _name(about), _job(about), _id(about, several=True)))
    if about["gone_at"]:
        console.print(Text(f"no longer there since {render_local(about['gone_at'])}", style="red"))
    state = _state(about)
    if state:
        console.print(state)
    for day, group in groupby(messages, lambda message: _local(message, "%A, %d %B %Y")):
        console.print()
        console.print(Text(day or "without a date", style="bold"))
        for message in group:
            _print_message(console, message, now)
    if not messages:
        console.print("No messages.")


def _make_inbox_table(rows: Sequence[Row], now: str, *, several: bool) -> Table:
    """One line for each conversation, for a terminal that is wide enough; the id is never cut."""
    table = make_table("Conversation", "Job", "Last message", "When", "State", "Id")
    for column, ratio in zip(table.columns, (3, 3, 6, None, None, None), strict=True):
        column.ratio, column.no_wrap, column.overflow = ratio, True, "ellipsis"
    table.expand = True  # only then the columns with a ratio share what the others leave
    for row in rows:
        table.add_row(_name(row), _job(row), _snippet(row), _when(row, now), _state(row), _id(row, several=several))
    return table


def _print_entry(console: Console, row: Row, now: str, *, several: bool) -> None:
    """Three lines for a conversation: with whom and when, what was written last, and its id."""
    line = Table.grid(expand=True, padding=(0, 0, 0, 2))
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(no_wrap=True, justify="right")
    line.add_row(
        _join(" · ", _name(row), _job(row)),
        _join(", ", _state(row), Text(_when(row, now, short=True), style="dim")),
    )
    console.print(line)
    for text in (_snippet(row), _id(row, several=several)):
        if text:
            console.print(Text("  ").append_text(text), no_wrap=True, overflow="ellipsis", crop=False)


def _name(row: Row) -> Text:
    """Whom or what the conversation is with."""
    name = row["title"] or row["candidate_name"] or row["job_title"] or row["type"] or "conversation"
    style = "bold" if row["unread_count"] else ("dim" if row["gone_at"] else "")
    return safe_text(name, style)


def _job(row: Row) -> Text:
    """The job, unless the conversation has its name from it."""
    return safe_text(row["job_title"] if row["title"] or row["candidate_name"] else None)


def _snippet(row: Row) -> Text:
    """Who wrote last, and the beginning of it on one line."""
    if row["last_sender"] is None and row["last_message"] is None:
        return Text("")
    sender = safe_text(row["last_sender"], _DIRECTIONS["out"] if row["last_sender"] == "me" else "")
    return _join(": ", sender, safe_text(" ".join(str(row["last_message"] or "")[:_SNIPPET].split())))


def _state(row: Row) -> Text:
    """What is to be done about the conversation."""
    parts = []
    if row["unread_count"]:
        parts.append(Text(f"{row['unread_count']} unread", style="bold"))
    if row["needs_reply_count"]:
        wait = row["waiting_seconds"]
        parts.append(Text("needs reply" if wait is None else f"waits {render_length(wait)}", style="yellow"))
    if row["gone_at"]:
        parts.append(Text("gone", style="red"))
    return _join(", ", *parts)


def _when(row: Row, now: str, *, short: bool = False) -> str:
    at = row["last_message_at"]
    if at is None:
        return ""
    return render_distance(at, now) if short else f"{render_local(at)}  {render_distance(at, now)}"


def _id(row: Row, *, several: bool) -> Text:
    """What `syncd thread` takes, and whose it is where there are several accounts."""
    owner = f" ({row['account']})" if several else ""
    return safe_text(f"{row['conversation_id']}{owner}", "dim")


def _print_message(console: Console, message: Row, now: str) -> None:
    marks = [_local(message, "%H:%M")]
    if message["edited_at"]:
        marks.append(f"edited {render_distance(message['edited_at'], now)}")
    if message["gone_at"]:
        marks.append(f"deleted, seen {render_distance(message['gone_at'], now)}")
    style = _DIRECTIONS.get(message["direction"], "")
    console.print(
        _join("  ", safe_text(message["sender"] or "unknown", style), Text(", ".join(filter(None, marks)), style="dim"))
    )
    body = safe_text(
        message["content"], "dim" if message["direction"] == "system" or message["gone_at"] else "", newlines=True
    )
    console.print(Padding(body or Text("(no text)", style="dim"), (0, 0, 0, 2)))


def _local(message: Row, form: str) -> str:
    return render_local(message["sent_at"], form) if message["sent_at"] else ""


def _join(between: str, *parts: Text) -> Text:
    """The parts that are not empty, with something between them."""
    return Text(between).join(part for part in parts if part)
