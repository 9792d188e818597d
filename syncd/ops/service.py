"""What the daemon owes whoever operates it: a word to systemd, metrics, a heartbeat, and an eye on itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from syncd.core.model import Instant
from syncd.core.watch import Progress, is_heartbeat_due
from syncd.errors import SyncdError
from syncd.ops.metrics import AccountFigures, Figures, MetricsServer, TargetFigures
from syncd.ops.notify import Supervisor
from syncd.ops.signs import Signs
from syncd.ops.vigil import Vigil
from syncd.protocols import Clock


class Meter(Struct, frozen=True, kw_only=True):
    """What an account has cost since it was taken up.

    `sits_until`: a wait inside its poll, or for the database to be written anew, on the clock that only grows.
    """

    requests: int
    by_status: Mapping[int, int]
    rows: int
    sits_until: float | None = None


class Attended(Protocol):
    """The daemon, as its service sees it."""

    clock: Clock

    def read_meters(self) -> dict[str, Meter]:
        """Every account's meter; called from other threads too."""

    def poll_soon(self) -> None:
        """Connect anew, and poll whatever is not told to wait."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Write one structured line."""


class Wishes(Struct, frozen=True, kw_only=True):
    """What of this the configuration asks for: where to listen, what to ask for; None: off."""

    listen: tuple[str, int] | None = None
    heartbeat_url: str | None = None


class Outlets(Struct, frozen=True, kw_only=True):
    """What the service does not do itself: read the database's figures and sizes, and ask for an address."""

    read_rows: Callable[[], list[dict[str, Any]]]
    read_targets: Callable[[], list[dict[str, Any]]] = list
    measure_files: Callable[[], tuple[int, int]]
    send_heartbeat: Callable[[str], Awaitable[None]]


class Service:
    """Open from `open` to `close`; the daemon tells it of each poll."""

    def __init__(self, supervisor: Supervisor, attended: Attended, outlets: Outlets) -> None:
        self.signs = Signs()
        self._supervisor = supervisor
        self._attended = attended
        self._outlets = outlets
        self._wishes = Wishes()
        self._metrics: MetricsServer | None = None
        self._beat_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, wishes: Wishes) -> None:
        """All is up that needs no network; raises ConfigError where metrics can't be shown."""
        self.take_up(wishes)
        self._supervisor.say_ready(self.describe())
        self._start(Vigil(self._supervisor, self._attended.clock, self).keep())

    def take_up(self, wishes: Wishes) -> None:
        """Follow a changed configuration; raises ConfigError, all being as before, where metrics can't be shown."""
        if wishes.listen != self._wishes.listen:
            opened = None if wishes.listen is None else MetricsServer(wishes.listen, self.read_figures)
            if self._metrics is not None:
                self._metrics.close()
            self._metrics = opened
        self._wishes = wishes

    async def close(self) -> None:
        """Stop everything that runs beside the polls."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)

    def say_stopping(self) -> None:
        """The end has begun."""
        self._supervisor.say_stopping()

    def say_reloading(self) -> None:
        """The configuration is read again."""
        self._supervisor.say_reloading(self._attended.clock.monotonic())

    def say_reloaded(self) -> None:
        """It was taken up or refused."""
        self._supervisor.say_ready(self.describe())

    def say_waiting(self, trouble: SyncdError) -> None:
        """The database can't take it up for now; whoever asked for it must not wait for that."""
        self._attended.log("config.waiting", level="error", error=str(trouble))
        self.say_reloaded()

    def note_poll(self, account: str, *, state: str | None, retry_at: Instant | None, seconds: float) -> None:
        """A poll is over; `state` None: it broke on a mistake of ours."""
        at = self._attended.clock.monotonic()
        self.signs.end(account, state=state, retry_at=retry_at, seconds=seconds, at=at)
        self._supervisor.say_status(self.describe())
        url = self._wishes.heartbeat_url
        if url is not None and is_heartbeat_due(self.signs.states(), self._beat_at, at):
            self._beat_at = at
            self._start(self._beat(url))

    async def _beat(self, url: str) -> None:
        try:
            await self._outlets.send_heartbeat(url)
        except SyncdError as error:
            self._attended.log("heartbeat.failed", level="warning", error=str(error))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def read_progress(self) -> list[Progress]:
        """How far each account has come."""
        return [
            Progress(
                account=name,
                requests=meter.requests,
                rows=meter.rows,
                polls=self.signs.of(name).polls,
                waits_until=self.signs.of(name).waits_until or meter.sits_until,
            )
            for name, meter in self._attended.read_meters().items()
        ]

    def describe(self) -> str:
        """How it goes, in one line for people."""
        return self.signs.describe(self._attended.clock.monotonic())

    def note_jump(self, seconds: float) -> None:
        """The machine slept or its clock was set: what is connected may lead nowhere, what is due may be past."""
        self._attended.log("clock.jumped", seconds=round(seconds, 1))
        self._attended.poll_soon()

    def note_stuck(self, accounts: tuple[str, ...]) -> None:
        """Say who keeps the watchdog from being fed."""
        self._attended.log("watchdog.unfed", level="error", accounts=list(accounts))

    def read_figures(self) -> Figures:
        """What metrics show, as of now."""
        rows = {row["account"]: row for row in self._outlets.read_rows()}
        database, log = self._outlets.measure_files()
        return Figures(
            accounts=[
                self._figures_of(name, rows.get(name, {}), meter)
                for name, meter in self._attended.read_meters().items()
            ],
            database_bytes=database,
            wal_bytes=log,
            targets=[TargetFigures(**row) for row in self._outlets.read_targets()],
        )

    def _figures_of(self, name: str, row: dict[str, Any], meter: Meter) -> AccountFigures:
        sign = self.signs.of(name)
        return AccountFigures(
            account=name,
            state=sign.state or row.get("state") or "starting",
            age_seconds=row.get("age_seconds"),
            unread=row.get("unread", 0),
            needs_reply=row.get("needs_reply", 0),
            failures=row.get("failures", 0),
            events=row.get("events", {}),
            requests=meter.by_status,
            rows=meter.rows,
            polls=sign.polls,
            poll_seconds=sign.poll_seconds,
        )
