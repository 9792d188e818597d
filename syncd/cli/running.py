"""Commands that mirror: run, sync, accept."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Annotated, Any

import typer

from syncd.cli.options import JsonOption, Places, new_family, with_places
from syncd.cli.terminal import make_safe, print_json
from syncd.errors import RateLimitedError

app = new_family()

_RUN_ID = token_hex(4)  # on every line of this process's log

_LASTING = (77, 69, 75, 1)  # the most lasting trouble first: it is what the command ends with


@app.command()
@with_places
def run(places: Places) -> None:
    """Run the daemon: poll every account until SIGTERM; SIGHUP reads the configuration again."""
    from syncd.app import run_daemon

    settings = load_settings(places)
    configure_logs(settings)
    run_daemon(settings, lambda: _reload(places))


@app.command()
@with_places
def sync(
    places: Places,
    accounts: Annotated[list[str] | None, typer.Argument(metavar="[ACCOUNT]...", show_default=False)] = None,
    *,
    full: Annotated[bool, typer.Option("--full", help="Compare everything again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do one pass until caught up, here or in the daemon that holds the database."""
    from syncd.app import LogAnnouncer, perform
    from syncd.config.places import check_names

    settings, announcer = load_settings(places), LogAnnouncer()
    if not settings.db_path.exists():  # none is made for a name that is mistyped; who holds one knows its accounts
        check_names(accounts or (), settings.accounts)
    with _progress(quiet=as_json) as on_progress:
        configure_logs(settings)
        arguments = {"accounts": list(accounts or []), "full": full}
        summary = perform(settings, "sync", arguments, on_progress, create=True, announcer=announcer)
    if as_json:
        print_json(summary)
    told = set() if sys.stderr.isatty() else announcer.degraded  # a person reads the last lines, a program each
    for one in summary["accounts"]:
        _report(one, quiet=as_json, told=one["account"] in told)
    codes = {one["exit_code"] for one in summary["accounts"]}
    raise typer.Exit(next((code for code in _LASTING if code in codes), 0))


@app.command()
@with_places
def accept(
    places: Places, account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]
) -> None:
    """Take over an account whose address or identity has changed."""
    from syncd.app import perform

    settings = load_settings(places)
    configure_logs(settings)
    perform(settings, "accept", {"account": account})
    print(f"{account} is taken over; the next poll compares everything")


def load_settings(places: Places) -> Any:
    """The configuration that these places lead to."""
    from syncd.config.load import load

    return load(places.config, os.environ, db=places.db)


def _reload(places: Places) -> Any:
    settings = load_settings(places)
    configure_logs(settings)
    return settings


def configure_logs(settings: Any) -> None:
    """Log as the settings say, to standard error, and warn of what they warn of."""
    from syncd import logs

    logs.configure(settings.log.level, settings.log.format, stream=sys.stderr, run_id=_RUN_ID)
    for warning in settings.warnings:
        logs.get_logger().warning("config.warning", warning=warning)


def _report(one: dict[str, Any], *, quiet: bool, told: bool) -> None:
    """One line an account: how it went, on standard error when it went wrong; `told`: the log has the error."""
    name = make_safe(one["account"])
    if one["error"]:
        until = f"try again after {one['retry_at']}" if one["exit_code"] == RateLimitedError.exit_code else ""
        words = (until,) if told else (make_safe(one["error"]), f"({until})" if until else "")
        if any(words):
            print(f"syncd: {name}: {' '.join(filter(None, words))}", file=sys.stderr)
    elif not quiet:
        print(
            f"{name}: {one['state']}, {one['requests']} requests, {one['rows_written']} rows in {one['seconds']:.1f} s"
        )


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar on a terminal: conversations and messages done, how fast, and how long it will take."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("conversations, {task.fields[messages]} messages, {task.fields[rate]}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(progress: dict[str, Any]) -> None:
            for name, tally in progress.items():
                if name not in tasks:
                    tasks[name] = bar.add_task(make_safe(name), total=None, messages=0, rate=0)
                task = next(known for known in bar.tasks if known.id == tasks[name])
                rate = int(tally["messages"] / max(task.elapsed or 0.0, 0.2))
                bar.update(
                    tasks[name],
                    total=tally["conversations"] or None,
                    completed=tally["done"],
                    messages=tally["messages"],
                    rate=rate,
                )

        yield show
