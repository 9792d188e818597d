"""Commands that write: send, outbox, open-conversation."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
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
from syncd.cli.reading import complete_conversation, print_thread
from syncd.cli.terminal import (
    OutputError,
    PipeClosedError,
    let_go_of_output,
    make_console,
    make_safe,
    make_table,
    print_json,
    print_json_rows,
    render_distance,
    render_length,
    render_local,
    safe_text,
)
from syncd.core.model import check_text
from syncd.core.sources import SOURCES, only_read
from syncd.core.times import seconds_between
from syncd.errors import SyncdError, UsageError
from syncd.store.database import Database
from syncd.store.read import (
    read_conversation,
    read_last_words,
    read_now,
    read_outbox,
    read_outgoing_account,
    read_outgoing_ids,
    read_proposal_holders,
    read_proposal_ids,
    read_writable_accounts,
    reading,
)

_LAST_WORDS = 5
_JUST_NOW_SECONDS = 60.0  # so recent an answer of a colleague, or of one's own, may be news to who writes
_SHOWN_BY_DEFAULT = 50
_COMPLETIONS = 50
_TRIES = 20  # a holder that ends while we ask is followed by another, which may end as well

app = new_family()


class Action(StrEnum):
    """What can be done about a message in the outbox."""

    CANCEL = "cancel"
    RETRY = "retry"


def _complete(read: Callable[[Database, str, int], list[tuple[str, str]]]) -> Callable[..., list[tuple[str, str]]]:
    """Ids that begin so, each with a word about it; none at all when anything is in the way."""

    def complete(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        with suppress(SyncdError, OSError), open_database(places_so_far(context)) as database:
            return [(id_, make_safe(word)) for id_, word in read(database, incomplete, _COMPLETIONS)]
        return []

    return complete


@app.command()
@with_places
def send(
    places: Places,
    *,
    conversation: Annotated[
        str, typer.Argument(metavar="CONVERSATION", help="The conversation's id.", autocompletion=complete_conversation)
    ],
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", show_default=False, help="What to say; standard input without it, or with -."),
    ] = None,
    later: Annotated[bool, typer.Option("--later", help="It leaves in a minute; cancel it until then.")] = False,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one message, and wait until it is known to be sent; its number in the outbox is printed."""
    path = find_database(places)
    with reading(path) as database:
        holder = choose_account(database, conversation, account)
        _show_talk(database, holder, conversation)
    content = _read_text(text)
    check_text(content)
    words = {
        "account": holder,
        "conversation_id": conversation,
        "content": content,
        "later": later,
        "key": uuid4().hex,
    }
    _see_through(places, path, "send", words, as_json=as_json)


@app.command()
@with_places
def outbox(
    places: Places,
    *,
    action: Annotated[Action | None, typer.Argument(metavar="[cancel|retry]", show_default=False)] = None,
    id: Annotated[
        int | None,
        typer.Argument(
            metavar="[ID]",
            min=0,
            max=MOST,
            show_default=False,
            help="A message's number.",
            autocompletion=_complete(read_outgoing_ids),
        ),
    ] = None,
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
    """List what was sent, waits or failed, newest first; cancel what waits, send again what was given up."""
    if action is None:
        _list_outbox(places, account, limit, as_json=as_json)
        return
    if id is None:
        raise UsageError(f"which message? syncd outbox lists their numbers; then: syncd outbox {action.value} ID")
    path = find_database(places)
    with reading(path) as database:
        holder = read_outgoing_account(database, id)
    if holder is None or account not in (None, holder):
        raise UsageError(f"there is no message {id} in the outbox; syncd outbox lists them")
    _see_through(places, path, f"outbox_{action.value}", {"account": holder, "id": id}, as_json=as_json)


@app.command()
@with_places
def open_conversation(
    places: Places,
    *,
    proposal: Annotated[
        str,
        typer.Argument(metavar="PROPOSAL", help="The proposal's id.", autocompletion=_complete(read_proposal_ids)),
    ],
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open or find a proposal's conversation, and print its id."""
    path = find_database(places)
    with reading(path) as database:
        holder = _choose_owner(database, proposal, account)
    answer = _perform(places, path, "open_conversation", {"account": holder, "proposal_id": proposal}, lambda _: None)
    if as_json:
        print_json(answer)
    else:
        print(make_safe(answer["conversation_id"]))


def _show_talk(database: Database, account: str, conversation: str) -> None:
    """On a terminal, to whom it goes and what was said last."""
    about = read_conversation(database, account, conversation)
    if not SOURCES[about["source"]].takes_messages:
        raise only_read(account, about["source"])
    if sys.stderr.isatty():
        console = make_console(stderr=True)
        said, now = read_last_words(database, account, conversation, _LAST_WORDS), read_now(database)
        print_thread(console, about, said, now)
        ours = [one["sent_at"] for one in said if one["direction"] == "out" and one["sent_at"] is not None]
        if ours and seconds_between(ours[-1], now) < _JUST_NOW_SECONDS:
            console.print(Text(f"one of ours answered here {render_distance(ours[-1], now)}", style="yellow"))
        console.print()


def _read_text(text: str | None) -> str:
    """The argument, else standard input without the line's end that pipes and editors add."""
    if text not in (None, "-"):
        return str(text)
    if sys.stdin.isatty():
        print("Type the message; Ctrl-D on an empty line sends it, Ctrl-C leaves it.", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("standard input is no UTF-8 text") from None


def _see_through(places: Places, path: Path, command: str, words: dict[str, Any], *, as_json: bool) -> None:
    """Have it done, tell what becomes of it, and end with the exit code that goes with that."""
    told: set[str] = set()

    def tell(progress: dict[str, Any]) -> None:
        if not as_json and "id" not in told:
            _put_out(lambda: print(progress["id"]))  # first of all, so that it is known whatever comes
        told.add("id")
        if "wait_seconds" in progress and progress["state"] not in told:
            told.add(progress["state"])
            print(f"syncd: {make_safe(render_outcome(progress))}", file=sys.stderr, flush=True)

    answer = _perform(places, path, command, words, tell)
    tell(answer)
    if as_json:
        _put_out(lambda: print_json(answer))
    print(f"{'syncd: ' if answer['exit_code'] else ''}{make_safe(render_outcome(answer))}", file=sys.stderr)
    raise typer.Exit(answer["exit_code"])


def _put_out(write: Callable[[], None]) -> None:
    """Write at once; where nobody takes it that is said, and the exit code stays that of the message.

    A failure for want of a reader would have the message sent again.
    """
    try:
        write()
        sys.stdout.flush()
    except (OutputError, PipeClosedError) as error:
        let_go_of_output()
        if isinstance(error, OutputError):
            print(f"syncd: {error}", file=sys.stderr)


def _perform(
    places: Places, path: Path, command: str, words: dict[str, Any], on_progress: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Have it done by whoever holds the database found; asked again where that one ends, a wish stays the same wish."""
    from syncd.app import perform
    from syncd.cli.running import configure_logs, load_settings
    from syncd.ops.door import BrokenOffError

    settings = load_settings(Places(config=places.config, db=path))
    configure_logs(settings)
    for _ in range(_TRIES):
        with suppress(BrokenOffError):
            return perform(settings, command, words, on_progress)
        if command == "outbox_retry":
            break  # a second order could be a second message
    raise SyncdError("the daemon stopped before it was done; see syncd outbox before you do it again")


def _list_outbox(places: Places, account: str | None, limit: int | None, *, as_json: bool) -> None:
    most = limit if limit is not None else (0 if as_json else _SHOWN_BY_DEFAULT)
    with open_database(places) as database:
        check_account(database, account)
        rows, total = read_outbox(database, account, most or None)
        now = read_now(database)
    if as_json:
        print_json_rows({name: value for name, value in row.items() if name != "text"} for row in rows)
    else:
        print_outbox(make_console(), rows, total, now)


def _choose_owner(database: Database, proposal: str, account: str | None) -> str:
    """The account that holds the proposal, else the only one that could."""
    check_account(database, account)
    owners = [name for name in read_proposal_holders(database, proposal) if account in (None, name)]
    if len(owners) > 1:
        raise UsageError(f"several accounts hold {proposal}: {', '.join(owners)}; say which with --account NAME")
    if owners or account:
        return owners[0] if owners else str(account)
    known = read_writable_accounts(database)
    if len(known) != 1:
        raise UsageError(f"no account holds {proposal}: {', '.join(known) or 'there is none'}; name one with --account")
    return known[0]


# How messages on their way out look to people.


Row = dict[str, Any]

_SNIPPET = 60
_STYLES = {"queued": "cyan", "sending": "cyan", "sent": "green", "cancelled": "dim"}
_ENDED = {"failed": "has failed", "expired": "has expired", "unconfirmed": "is unconfirmed"}


def print_outbox(console: Console, rows: Sequence[Row], total: int, now: str) -> None:
    """Print the outbox as a table, under it what is to be done about each message that did not leave."""
    if not rows:
        console.print("Nothing was sent from here yet.")
        return
    table = make_table("Id", "State", "When", "Conversation", "Text")
    for row in rows:
        when = row["attempted_at"] or row["created_at"]
        snippet = " ".join(str(row["text"] or "")[:_SNIPPET].split())
        table.add_row(
            Text(str(row["id"]), justify="right"),
            safe_text(row["state"], _STYLES.get(row["state"], "yellow")),
            Text(render_distance(when, now) if when else ""),
            safe_text(row["conversation"] or row["conversation_id"]),
            safe_text(snippet),
        )
    console.print(table)
    for row in rows:
        words = _remark(row, now)
        if words:
            console.print(safe_text(f"{row['id']}: {words}", "yellow"))
    if total > len(rows):
        console.print(Text(f"{len(rows)} of {total} shown; --limit 0 shows all.", style="dim"))


def _remark(row: Row, now: str) -> str:
    if row["state"] == "queued" and row["expires_at"] and row["expires_at"] <= now:
        return "its hour is over, and it will not leave by itself"
    return str(row["error"] or "") if row["state"] != "sent" else ""


def render_outcome(answer: Row) -> str:
    """What became of a message so far, in one line."""
    state, number = answer["state"], answer["id"]
    reason = f": {answer['error']}" if answer["error"] else ""
    if state == "sent":
        return f"message {number} is sent ({answer['message_id']})"
    if state == "queued":
        return f"message {number} is queued{reason}; {_leaves(answer)}"
    if state == "sending":
        seconds = answer.get("wait_seconds")
        if seconds is None:
            return f"it is not known yet whether message {number} has arrived{reason}; syncd outbox tells later"
        return f"the reply to message {number} was lost; looking for it in the conversation, for up to two minutes"
    return f"message {number} {_ENDED.get(state, f'is {state}')}{reason}"


def _leaves(answer: Row) -> str:
    """When a queued message leaves, until when, and how to stop it."""
    if answer.get("wait_seconds") is not None:
        return f"trying again in {render_length(answer['wait_seconds'])}"
    retry_at, expires_at, leaves_at = answer["retry_at"], answer["expires_at"], answer["leaves_at"]
    stop = f"(syncd outbox cancel {answer['id']} stops it)"
    if leaves_at and answer.get("has_daemon"):
        return f"it leaves at {render_local(leaves_at, '%H:%M:%S')} {stop}"
    if leaves_at:
        when = f"between {render_local(leaves_at, '%H:%M:%S')} and {render_local(expires_at, '%H:%M:%S')}"
        return f"no daemon runs, so it leaves with a syncd sync or run {when} {stop}"
    first = f"not before {render_local(retry_at, '%H:%M:%S')}" if retry_at else "with the next poll"
    until = f", at the latest {render_local(expires_at, '%H:%M')}" if expires_at else ""
    return f"it leaves {first}{until} {stop}"
