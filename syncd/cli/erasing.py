"""Erasing a person or a conversation: purge."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from syncd.cli.monitoring import await_removal
from syncd.cli.options import (
    AccountOption,
    JsonOption,
    Places,
    check_account,
    find_database,
    new_family,
    run_holder_command,
    with_places,
)
from syncd.cli.reading import complete_conversation
from syncd.cli.terminal import make_safe, print_json
from syncd.errors import SyncdError, UsageError
from syncd.store.database import open_reader
from syncd.store.erase import find_owners, preview
from syncd.store.read import reading

app = new_family()

_PUBLISH_SECONDS = 10.0
"""How long a target that is kept up to date may take to follow."""


@app.command()
@with_places
def purge(  # noqa: PLR0913 - each is an option of the command
    places: Places,
    *,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="ID", show_default=False, help="The candidate's id.")
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            "--conversation",
            metavar="ID",
            show_default=False,
            help="The conversation's id.",
            autocompletion=complete_conversation,
        ),
    ] = None,
    account: AccountOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a person, or one conversation, from the database for good.

    With a candidate go their name, proposals, transcripts, conversations and whatever else they wrote. No byte of it
    stays in the database file; the id alone is kept, so that the next sync does not bring it back. Backups that still
    hold it are named. Where it was published it goes too, and that is said once it has. Exports are not touched.
    """
    if (candidate is None) == (conversation is None):
        raise UsageError("purge takes either --candidate ID or --conversation ID")
    path = find_database(places)
    words = {"candidate": candidate, "conversation": conversation}
    words["account"] = _choose_account(path, words, account)
    with closing(open_reader(path)) as database:
        planned = preview(database, words)
    if not dry_run and not yes:
        _ask(planned, words)
    answer = planned if dry_run else run_holder_command(places, path, "purge", words)
    answer["published"] = [] if dry_run else await_removal(path, _PUBLISH_SECONDS)
    if as_json:
        print_json(answer | {"dry_run": dry_run})
    else:
        _report(answer, dry_run=dry_run)


def _choose_account(path: Path, words: dict[str, Any], account: str | None) -> str:
    with reading(path) as database:
        check_account(database, account)
        owners = [name for name in find_owners(database, words) if account in (None, name)]
    what = f"candidate {words['candidate']}" if words["candidate"] else f"conversation {words['conversation']}"
    if not owners:
        raise SyncdError(f"there is no {make_safe(what)} here; syncd inbox --json has the ids")
    if len(owners) > 1:
        raise UsageError(f"several accounts hold {what}: {', '.join(owners)}; say which with --account NAME")
    return owners[0]


def _ask(planned: dict[str, Any], words: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise UsageError("purge asks first, and there is no terminal to ask at; give --yes, or --dry-run to look")
    what = f"candidate {words['candidate']}" if words["candidate"] else f"conversation {words['conversation']}"
    typer.echo(_describe(planned["rows"]), err=True)
    typer.confirm(f"Erase {make_safe(what)} of {make_safe(planned['account'])} for good?", abort=True, err=True)


def _describe(rows: dict[str, int]) -> str:
    return ", ".join(_count(count, table.replace("_", " ")) for table, count in rows.items()) or "no rows"


def _count(count: int, things: str) -> str:
    return f"1 {things.removesuffix('s')}" if count == 1 else f"{count:,} {things}"


def _report(answer: dict[str, Any], *, dry_run: bool) -> None:
    typer.echo(f"{'Would erase' if dry_run else 'Erased'}: {_describe(answer['rows'])}")
    for backup in answer["backups"]:
        typer.echo(f"This backup still holds it: {make_safe(backup)}")
    for target in answer["published"]:
        _report_target(target)
    if not answer.get("clean", True):
        typer.echo(
            "syncd: a reader kept the write-ahead log open, which may still hold traces; "
            "end it, and they go at the next start or purge",
            err=True,
        )


def _report_target(target: dict[str, Any]) -> None:
    """What is said of a target: that it is gone there only when it is."""
    name = make_safe(target["target"])
    if target["removed"]:
        typer.echo(f"Removed from {name} too")
    else:
        why = make_safe(target["error"]) if target["error"] else "the next `syncd publish` removes it"
        typer.echo(f"Still to be removed from {name} ({target['rows']:,} rows): {why}")
