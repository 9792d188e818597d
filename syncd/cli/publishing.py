"""Giving it to PostgreSQL: publish."""

import os
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qsl, urlsplit

import typer

from syncd.cli.options import JsonOption, Places, find_database, new_family, run_holder_command, with_places
from syncd.cli.running import configure_logs, load_settings
from syncd.cli.terminal import make_safe, print_json
from syncd.config.credentials import resolve_password
from syncd.core.times import render_time
from syncd.errors import MissingExtraError, SyncdError, UsageError
from syncd.publish.address import name_target
from syncd.store.published import ChangedRows

if TYPE_CHECKING:  # slow to import, and only wanted here and there
    from collections.abc import Callable

    from syncd.config.models import PublishSettings
    from syncd.publish.postgres import TargetConnection, Timeouts
    from syncd.publish.publisher import Done, Publisher

app = new_family()


@app.command()
@with_places
def publish(  # noqa: PLR0913 - each is an option of the command
    places: Places,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", show_default=False, help="Such as postgresql://syncd@db/reports.")
    ] = None,
    *,
    schema: Annotated[
        str | None, typer.Option("--schema", metavar="NAME", show_default=False, help="Where in it; syncd if absent.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with every commit, until Ctrl-C.")] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Compare everything again, also what another database or a later state published."
        ),
    ] = False,
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True)] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the public tables and views in a PostgreSQL schema up to date, with what changed since the last time.

    Without URL the one of [publish] in the configuration is meant, whose password_ key also serves a URL of the same
    server and user; PGPASSWORD and ~/.pgpass work as ever.
    """
    if follow and as_json:
        raise UsageError("--json is for a single run; with --follow the log tells what happens")
    path = find_database(places)
    settings = load_settings(places)
    chosen = choose_target(settings.publish, url, schema)
    configure_logs(settings)
    work = _Work(places, path, chosen)
    work.run(follow=follow, take_over=take_over, until_eof=until_eof, as_json=as_json)


def choose_target(configured: "PublishSettings | None", url: str | None, schema: str | None) -> "PublishSettings":
    """The target that is meant; raises UsageError where there is none, or where the URL can't be one."""
    from syncd.config.models import PublishSettings

    if url is None and configured is None:
        raise UsageError("where to? name a URL such as postgresql://syncd@db/reports, or write it under [publish]")
    if url is not None:
        _check_url(url)
    same = configured is not None and (url is None or _server(url) == _server(configured.url))
    words = configured.model_dump(by_alias=True) if same and configured is not None else {}
    words["url"] = url or words["url"]
    words["schema"] = schema or (configured.schema_name if configured is not None else "syncd")
    try:
        return PublishSettings(**words)
    except ValueError as error:
        raise UsageError(_first_mistake(error)) from None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        secret = parts.password is not None or any("password" in name for name, _ in parse_qsl(parts.query))
    except ValueError:
        return  # said by the settings' own rules
    if secret:
        raise UsageError(
            "a password on the command line can be read by everyone on this machine; leave it out of the URL and give "
            "it by password_env, _file, _command or _credential under [publish], by PGPASSWORD or in ~/.pgpass"
        )


def _server(url: str) -> tuple[str | None, ...]:
    """What a password is for."""
    parts = urlsplit(url)
    return parts.username, parts.netloc.rpartition("@")[2].lower()


def _first_mistake(error: ValueError) -> str:
    """The first of pydantic's mistakes, without the value."""
    errors: Callable[[], list[dict[str, Any]]] = error.errors  # type: ignore[attr-defined]  # pydantic's own
    mistake = errors()[0]
    name = {"url": "the URL", "schema": "--schema"}.get(str(mistake["loc"][0]), str(mistake["loc"][0]))
    return f"{name} {mistake['msg'].removeprefix('Value error, ')}"


def _check_installation() -> None:
    try:
        import_module("psycopg")
    except ModuleNotFoundError as error:
        raise MissingExtraError("publishing", str(error.name), "publish") from error


def connect_target(chosen: "PublishSettings") -> "TargetConnection":
    """Connect, with the password that is configured; raises PublishError, ConfigError."""
    _check_installation()
    from syncd import logs
    from syncd.publish.postgres import connect

    secret = resolve_password(chosen, os.environ)
    password = None if secret is None else secret.reveal()
    logs.register_secret(password or "")
    return connect(chosen.url, password, name_target(chosen.url, chosen.schema_name), chosen.schema_name)


class _Clock:
    """The machine's own time."""

    def now(self) -> str:
        """The wall clock's time."""
        return render_time(datetime.now(UTC))

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()


class _Work:
    """One run of the command."""

    def __init__(self, places: Places, path: Path, chosen: "PublishSettings") -> None:
        self._places = places
        self._path = path
        self._chosen = chosen
        self._target = name_target(chosen.url, chosen.schema_name)
        self._clock = _Clock()

    def run(self, *, follow: bool, take_over: bool, until_eof: bool, as_json: bool) -> None:
        """Publish once, or until a signal; raises KeyboardInterrupt where that was Ctrl-C or broke a single run off."""
        _check_installation()
        from syncd.publish.postgres import Timeouts
        from syncd.publish.publisher import Publisher
        from syncd.store.tables import describe_catalogue

        timeouts, catalogue = Timeouts(), describe_catalogue()
        with closing(ChangedRows(self._path, catalogue.tables)) as changes, timeouts.heeding(until_eof=until_eof):
            connect = partial(timeouts.connect, partial(connect_target, self._chosen))
            with closing(Publisher(changes, catalogue, connect, timeouts)) as publisher:
                try:
                    if take_over:
                        publisher.take_over()
                    if follow:
                        self._follow(publisher, changes, timeouts, until_eof=until_eof)
                    else:
                        self._publish_once(publisher, as_json=as_json)
                except SyncdError:
                    if not timeouts.stopping.is_set():
                        raise
            if timeouts.stopping.is_set() and (timeouts.interrupted or not follow):
                raise KeyboardInterrupt

    def _publish_once(self, publisher: "Publisher", *, as_json: bool) -> None:
        done = publisher.catch_up()
        with suppress(SyncdError):  # whoever may only read may publish; then `status` can't tell
            self._tell({"place": done.place, "published_at": self._clock.now(), "error": None})
        if as_json:
            print_json(self._describe(done))
        else:
            rows = f"{done.rows:,} rows written, {done.removed:,} removed"
            typer.echo(f"{make_safe(self._target)}: {rows}, up to change {done.place}")
        if done.refusal is not None:
            raise done.refusal

    def _describe(self, done: "Done") -> dict[str, Any]:
        return {"target": self._target, "change_id": done.place, "rows": done.rows, "removed": done.removed}

    def _follow(self, publisher: "Publisher", changes: ChangedRows, timeouts: "Timeouts", *, until_eof: bool) -> None:
        from syncd import logs
        from syncd.publish.follower import LOOK_SECONDS, TOLD_LOOK_SECONDS, Follower

        def log(event: str, *, level: str = "info", **fields: Any) -> None:
            getattr(logs.get_logger(), level)(event, target=self._target, **fields)

        follower = Follower(publisher, changes, self._clock, lambda words: self._tell(words | {"follows": True}), log)
        look_seconds = TOLD_LOOK_SECONDS if until_eof else LOOK_SECONDS
        follower.run(timeouts.stopping, timeouts.news, look_seconds)
        if not until_eof:  # nobody keeps it up to date any more
            with suppress(SyncdError):
                self._tell({"follows": False, "error": None})

    def _tell(self, words: dict[str, Any]) -> None:
        run_holder_command(self._places, self._path, "published", {"target": self._target, **words})
