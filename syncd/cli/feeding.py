"""Following what happens: events."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from syncd.cli.options import (
    MOST,
    AccountOption,
    JsonOption,
    Places,
    check_account,
    find_database,
    new_family,
    run_holder_command,
    with_places,
)
from syncd.cli.terminal import print_json_line
from syncd.config.places import find_secret_variables
from syncd.core.model import EVENT_KINDS
from syncd.errors import SyncdError, UsageError
from syncd.store.database import Database
from syncd.store.feed import Choice, FeedPage, claiming, read_consumer, read_events, read_version, retry_wait
from syncd.store.read import open_feed

_LOOK_SECONDS = 0.2
"""How often a follower asks whether anything was committed: it costs one number, no page."""
_TRIES_WITHOUT_FOLLOW = 3

AfterOption = Annotated[
    int | None,
    typer.Option("--after", metavar="ID", min=0, max=MOST, show_default=False, help="Only events behind this one."),
]
ConsumerOption = Annotated[
    str | None,
    typer.Option("--consumer", metavar="NAME", show_default=False, help="Go on where this reader has got to."),
]

app = new_family()


@app.command(context_settings={"allow_interspersed_args": False})
@with_places
def events(  # noqa: PLR0913 - each is an option of the command
    places: Places,
    *,
    after: AfterOption = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what happens, until Ctrl-C.")] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", metavar="K", show_default=False, help="Only this kind, such as message.new; several add up."
        ),
    ] = None,
    account: AccountOption = None,
    consumer: ConsumerOption = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="A new consumer wants the events about history too.")
    ] = False,
    execute: Annotated[
        bool, typer.Option("--exec", help="Run CMD for each event, the event on its standard input.")
    ] = False,
    as_json: JsonOption = False,
    command: Annotated[list[str] | None, typer.Argument(metavar="[CMD]...", show_default=False)] = None,
) -> None:
    """Print the change feed as JSON lines, with and without --json, oldest first.

    A consumer's place is kept once its lines were written out, or once CMD has succeeded. A CMD that fails is run
    again, after longer and longer waits, before any later event; without --follow three times in all. A line of kind
    feed.gap says which events were erased before they were read.
    """
    _check_kinds(kind or ())
    _check_words(after, consumer, command, execute=execute, from_start=from_start, as_json=as_json)
    path = find_database(places)
    with closing(open_feed(path)) as database, _claiming(places, path, consumer):
        check_account(database, account)
        known = None if consumer is None else read_consumer(database, consumer)
        history = consumer is None or (from_start if known is None else bool(known["from_start"]))
        choice = Choice(kinds=tuple(kind or ()), account=account, baseline=history)
        place = known["event_id"] if known else after or 0
        reader = Reader(places, path, consumer, place, from_start=history)
        secrets = find_secret_variables(places.config, os.environ) if command else frozenset()
        environ = {name: value for name, value in os.environ.items() if name not in secrets}
        for look in watch(database, place, choice, follow=follow):
            if command:
                reader.run(command, look, environ, follow=follow)
            else:
                reader.print(look)


def _claiming(places: Places, path: Path, consumer: str | None) -> AbstractContextManager[None]:
    if consumer is None:
        return nullcontext()
    return claiming(path, consumer, lambda: run_holder_command(places, path, "claim", {"name": consumer}))


def _check_kinds(kinds: Sequence[str]) -> None:
    unknown = sorted(set(kinds) - EVENT_KINDS)
    if unknown:
        close = get_close_matches(unknown[0], EVENT_KINDS, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there is {', '.join(sorted(EVENT_KINDS))}"
        raise UsageError(f"no event is of the kind {unknown[0]}; {meant}")


def _check_words(
    after: int | None,
    consumer: str | None,
    command: list[str] | None,
    *,
    execute: bool,
    from_start: bool,
    as_json: bool,
) -> None:
    if execute and not command:
        raise UsageError("--exec wants a command behind it")
    if command and not execute:
        raise UsageError(f"{command[0]} is no option of events; a command comes behind --exec")
    if execute and as_json:
        raise UsageError("--json and --exec exclude each other: with --exec nothing is printed")
    if after is not None and consumer is not None:
        raise UsageError("--after and --consumer exclude each other: a consumer knows its place")
    if from_start and consumer is None:
        raise UsageError("--from-start is for a new --consumer")


def watch(database: Database, place: int, choice: Choice, *, follow: bool) -> Iterator[FeedPage]:
    """Each look at the feed that brought lines; with `follow` it waits for the next commit and never ends."""
    while True:
        version = read_version(database)
        look = read_events(database, place, choice)
        if look.lines:
            yield look
        place = look.place
        if look.more:
            continue
        if not follow:
            return
        while read_version(database) == version:
            time.sleep(_LOOK_SECONDS)


class Reader:
    """Whoever reads the feed: it passes lines on and, if it has a name, keeps its place."""

    def __init__(self, places: Places, database: Path, name: str | None, place: int, *, from_start: bool) -> None:
        self._place = place
        self._places = places
        self._database = database
        self._name = name
        self._from_start = from_start

    def print(self, look: FeedPage) -> None:
        """Write the lines out, then keep the place."""
        for line in look.lines:
            print_json_line(line)
        sys.stdout.flush()
        self._place = look.place
        self._keep()

    def run(self, command: list[str], look: FeedPage, environ: Mapping[str, str], *, follow: bool) -> None:
        """Run the command for each line in turn; SyncdError when it keeps failing and nobody follows."""
        for line in look.lines:
            tries = 0
            while (error := run_on(command, line, environ)) is not None:
                tries += 1
                failed = self._keep(error=error)
                wait = retry_wait(failed.get("tries", tries))
                if not follow and tries == _TRIES_WITHOUT_FOLLOW:
                    raise SyncdError(f"{error} for event {line['id']}; the next run tries again from there")
                typer.echo(f"syncd: {error} for event {line['id']}; once more in {wait:.0f} s", err=True)
                time.sleep(wait)
            self._place = line["id"]
            self._keep()

    def _keep(self, **error: str) -> dict[str, Any]:
        if self._name is None:
            return {}
        words = {"name": self._name, "event_id": self._place, "from_start": self._from_start} | error
        return run_holder_command(self._places, self._database, "consumer", words)


# Run somebody's command on an event.


def run_on(command: list[str], line: dict[str, Any], environ: Mapping[str, str]) -> str | None:
    """Give the event to the command on standard input; what went wrong in one line, or None.

    The command has this environment, and may leave its input unread. Raises UsageError when it can't be started at all.
    """
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)  # noqa: S603 - the user's own command
    except OSError as error:
        raise UsageError(f"{command[0]} can't be run: {error.strerror}") from error
    try:
        process.communicate((json.dumps(line, ensure_ascii=False) + "\n").encode(errors="surrogatepass"))
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode == 0:
        return None
    how = f"ended with {process.returncode}" if process.returncode > 0 else f"was ended by signal {-process.returncode}"
    return f"{command[0]} {how}"
