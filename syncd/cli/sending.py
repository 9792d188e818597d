"""Commands that write: send, outbox, open-conversation."""

import sys
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from syncd.cli.conversations import print_thread
from syncd.cli.database import check_account, choose_account, find_database, open_database
from syncd.cli.letters import print_outbox, render_outcome
from syncd.cli.options import AccountOption, JsonOption, Places, new_family, places_so_far, with_places
from syncd.cli.reading import complete_conversation
from syncd.cli.render import make_console, print_json, print_json_rows
from syncd.cli.safe import make_safe
from syncd.core.outgoing import check_text
from syncd.errors import SyncdError, UsageError
from syncd.store.read import Database, read_conversation, read_now, reading
from syncd.store.read_outbox import (
    read_last_words,
    read_outbox,
    read_outgoing_account,
    read_outgoing_ids,
    read_proposal_holders,
    read_proposal_ids,
    read_writable_accounts,
)

_LAST_WORDS = 5
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
    later: Annotated[bool, typer.Option("--later", help="Only queue it; it leaves with the next poll.")] = False,
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
            metavar="[ID]", show_default=False, help="A message's number.", autocompletion=_complete(read_outgoing_ids)
        ),
    ] = None,
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
    if about["source"] == "openats":
        raise UsageError(f"account {account} is an OpenATS, which syncd only reads; write in its own pages")
    if sys.stderr.isatty():
        console = make_console(stderr=True)
        print_thread(console, about, read_last_words(database, account, conversation, _LAST_WORDS), read_now(database))
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
            print(progress["id"], flush=True)  # first of all, so that it is known whatever comes
        told.add("id")
        if "wait_seconds" in progress and progress["state"] not in told:
            told.add(progress["state"])
            print(f"syncd: {make_safe(render_outcome(progress))}", file=sys.stderr, flush=True)

    answer = _perform(places, path, command, words, tell)
    tell(answer)
    if as_json:
        print_json(answer)
    print(f"{'syncd: ' if answer['exit_code'] else ''}{make_safe(render_outcome(answer))}", file=sys.stderr)
    raise typer.Exit(answer["exit_code"])


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
        print_json_rows(rows)
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
