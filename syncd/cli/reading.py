"""Reading what is mirrored: inbox, thread, sql."""

from itertools import islice
from typing import Annotated

import typer

from syncd.cli.conversations import print_inbox, print_thread
from syncd.cli.database import check_account, choose_account, find_database, open_database
from syncd.cli.options import AccountOption, JsonOption, Places, new_family, places_so_far, with_places
from syncd.cli.pager import paging
from syncd.cli.render import make_console, print_csv, print_json_rows, print_rows
from syncd.cli.safe import make_safe
from syncd.errors import SyncdError, UsageError
from syncd.store.query import running_query
from syncd.store.read import (
    read_conversation,
    read_conversation_ids,
    read_inbox,
    read_now,
    read_thread,
    reading,
)

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
