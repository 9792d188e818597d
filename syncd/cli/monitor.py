"""Watching over the mirror: status, check."""

from pathlib import Path
from typing import Annotated

import typer

from syncd.cli.accounts import print_consumers, print_status
from syncd.cli.database import find_database
from syncd.cli.live import read_accounts_now
from syncd.cli.options import JsonOption, Places, new_family, with_places
from syncd.cli.render import make_console, print_json
from syncd.cli.safe import make_safe
from syncd.cli.targets import print_targets
from syncd.cli.verdict import find_reasons
from syncd.core.durations import parse_duration
from syncd.store.feed import read_consumers
from syncd.store.publishing import read_targets
from syncd.store.read import read_now, read_schema_version, reading

app = new_family()


@app.command()
@with_places
def status(places: Places, *, as_json: JsonOption = False) -> None:
    """Show each account's state, freshness, counts, failures and costs, and the database's size."""
    path = find_database(places)
    with reading(path) as database:
        accounts = read_accounts_now(path, database)
        consumers, targets = read_consumers(database), read_targets(database)
        now = read_now(database)
        about = {"path": str(path), "bytes": measure_database(path), "schema_version": read_schema_version(database)}
    if as_json:
        print_json({"database": about, "accounts": accounts, "consumers": consumers, "publish": targets})
    else:
        print_status(make_console(), about, accounts, now)
        print_consumers(make_console(), consumers, now)
        print_targets(make_console(), targets, now)


@app.command()
@with_places
def check(
    places: Places,
    *,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="DURATION", help="How old the last good poll or a failure may be.")
    ] = "10m",
    max_waiting: Annotated[
        str,
        typer.Option("--max-waiting", metavar="DURATION", help="How long anyone may wait for a reply; 0: any time."),
    ] = "4h",
    as_json: JsonOption = False,
) -> None:
    """For monitors: end with 0 when all is well, else with 1 and the reasons.

    All is well when every account's last successful poll is at most --max-age old, no failure has lasted longer than
    that, nobody who needs a reply waits longer than --max-waiting, and no target that is kept up to date has failed or
    stood still for longer than --max-age. An account whose first pass is under way is
    judged by its progress: it is fresh while it has begun, changed its state or stored something new within --max-age.
    Removed accounts don't count; a database without any account is not well.
    """
    age, waiting = _parse("--max-age", max_age), _parse("--max-waiting", max_waiting)
    if not age:
        raise typer.BadParameter("must be more than 0", param_hint="--max-age")
    path = find_database(places)
    with reading(path) as database:
        accounts = read_accounts_now(path, database)
        reasons = find_reasons(database, accounts, max_age=age, max_waiting=waiting)
    if as_json:
        print_json({"ok": not reasons, "reasons": reasons})
    else:
        typer.echo("\n".join(make_safe(reason["text"]) for reason in reasons) or "ok")
    if reasons:
        raise typer.Exit(1)


def measure_database(path: Path) -> int:
    """The bytes that the database takes on disk, its write-ahead log included."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _parse(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
