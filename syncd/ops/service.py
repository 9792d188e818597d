"""What the daemon owes its operator: words to systemd, a watchdog fed by progress, metrics, a heartbeat."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

from syncd.core.account import HEALTHY
from syncd.core.model import Instant
from syncd.core.times import as_datetime
from syncd.core.watchdog import Clocks, Progress, find_stuck, is_heartbeat_due, measure_jump
from syncd.errors import SyncdError
from syncd.ops.metrics import AccountFigures, Figures, MetricsServer, TargetFigures
from syncd.protocols import Clock

_MICROSECONDS = 1_000_000


class Supervisor:
    """What started us and watches over us, if it is one that wants to hear."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _parse_address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _parse_watchdog(environ) if self._address else None
        self._status: str | None = None

    def say_ready(self, status: str | None = None) -> None:
        """All that does not depend on the network is up, or up again after `say_reloading`."""
        self._tell("READY=1", *self._changed(status))

    def say_reloading(self, monotonic: float) -> None:
        """The configuration is read again, since so many seconds on the clock that only grows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={round(monotonic * _MICROSECONDS)}")

    def say_stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def say_status(self, status: str) -> None:
        """One line for people, shown by `systemctl status`; told only when it changed."""
        self._tell(*self._changed(status))

    def ping(self) -> None:
        """We get on; without this for `watchdog_seconds` the service is started anew."""
        self._tell("WATCHDOG=1")

    def _changed(self, status: str | None) -> tuple[str, ...]:
        if status is None or status == self._status:
            return ()
        self._status = status
        return (f"STATUS={' '.join(status.split())}",)

    def _tell(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        with (
            suppress(OSError),  # a supervisor that does not listen must not stop what it supervises
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender,
        ):
            sender.sendto("\n".join(lines).encode(), self._address)


def _parse_address(text: str) -> str | None:
    """The socket's address; a leading "@" stands for the abstract namespace's null byte."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _parse_watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds within which a ping is wanted; None where none is, or where it is another process's."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / _MICROSECONDS if text.isascii() and text.isdigit() and int(text) else None


# The daemon's vital signs: what each account's polls came to, and when its next one is due.


@dataclass(slots=True)
class AccountPollStats:
    """One account: its state by its last poll (None: none yet); seconds are those of the clock that only grows."""

    state: str | None = None
    retry_at: Instant | None = None
    waits_until: float | None = None
    polled_at: float | None = None
    polls: int = 0
    poll_seconds: float = 0.0


@dataclass(slots=True)
class PollStats:
    """All accounts' signs by name, in the order they came; `unread` counts conversations."""

    accounts: dict[str, AccountPollStats] = field(default_factory=dict)
    unread: int = 0

    def of(self, account: str) -> AccountPollStats:
        """The account's sign."""
        return self.accounts.setdefault(account, AccountPollStats())

    def keep_only(self, accounts: list[str]) -> None:
        """Forget the accounts that are no longer there."""
        self.accounts = {name: self.of(name) for name in accounts}

    def begin(self, account: str) -> None:
        """A poll is under way: no wait excuses it now."""
        self.of(account).waits_until = None

    def wait(self, account: str, until: float) -> None:
        """Nothing is to be done before then."""
        self.of(account).waits_until = until

    def end(self, account: str, *, state: str | None, retry_at: Instant | None, seconds: float, at: float) -> None:
        """A poll is over; `state` None: it broke on a mistake of ours."""
        account_stats = self.of(account)
        account_stats.state, account_stats.retry_at, account_stats.polled_at = state, retry_at, at
        account_stats.polls += 1
        account_stats.poll_seconds += seconds

    def states(self) -> dict[str, str | None]:
        """Every account's state."""
        return {name: account_stats.state for name, account_stats in self.accounts.items()}

    def describe(self, at: float) -> str:
        """One line that a person understands: what is wrong, else how much there is and how fresh it is."""
        ill = [
            name
            for name, account_stats in self.accounts.items()
            if account_stats.polled_at is not None and account_stats.state not in HEALTHY
        ]
        if ill:
            return "; ".join(_describe_trouble(name, self.accounts[name]) for name in ill) + self._describe_rest(
                len(ill)
            )
        counts = Counter(account_stats.state for account_stats in self.accounts.values())
        under_way = counts[None] + counts["starting"]
        parts = [_count(len(self.accounts), "account")]
        parts += [f"{_count(under_way, 'first pass', 'first passes')} under way"] if under_way else []
        polled = [
            account_stats.polled_at for account_stats in self.accounts.values() if account_stats.polled_at is not None
        ]
        if polled:
            parts += [f"{self.unread} unread", f"last poll {max(0, round(at - max(polled)))} s ago"]
        return ", ".join(parts)

    def _describe_rest(self, ill: int) -> str:
        well = len(self.accounts) - ill
        return f"; {_count(well, 'other account')} well" if well else ""


def _describe_trouble(name: str, account_stats: AccountPollStats) -> str:
    state = (account_stats.state or "internal error").replace("_", " ")
    if account_stats.retry_at is None:
        return f"{name}: {state}"
    word = "until" if account_stats.state == "rate_limited" else "next try"
    return f"{name}: {state} {word} {as_datetime(account_stats.retry_at):%H:%M} UTC"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


# Watch over the daemon from inside: ping its watchdog while it gets on, say how it goes, notice a suspend.


_LOOK_SECONDS = 5.0
_LOOKS_PER_WATCHDOG = 6  # several, so that one that comes late costs nothing
_STUCK_SECONDS = 180.0  # without a watchdog nothing ends the daemon, but it says so


class Watched(Protocol):
    """What the vigil asks of the daemon, and what it tells it."""

    def read_progress(self) -> list[Progress]:
        """How far each account has come."""

    def describe(self) -> str:
        """How it goes, in one line for people."""

    def note_jump(self, seconds: float) -> None:
        """The wall clock went that much further than time did: the machine slept, or somebody set it."""

    def note_stuck(self, accounts: tuple[str, ...]) -> None:
        """These accounts neither get on nor wait; unless that changes, a watchdog ends the daemon."""


class Watchdog:
    """Looks every few seconds, in the event loop: where that is dead nothing pings."""

    def __init__(self, supervisor: Supervisor, clock: Clock, watched: Watched) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._watched = watched
        self._clocks = self._read_clocks()
        self._at_ping: dict[str, Progress] = {}
        self._pinged_at = self._clocks.monotonic
        self._complained = False

    async def keep(self) -> None:
        """Look, until cancelled."""
        watchdog = self._supervisor.watchdog_seconds
        seconds = min(_LOOK_SECONDS, watchdog / _LOOKS_PER_WATCHDOG) if watchdog else _LOOK_SECONDS
        while True:
            self.look()
            await self._clock.sleep(seconds)

    def look(self) -> None:
        """One look at the clocks and at every account."""
        before, self._clocks = self._clocks, self._read_clocks()
        if jump := measure_jump(before, self._clocks):
            self._watched.note_jump(jump)
        self._supervisor.say_status(self._watched.describe())
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        progress, at = self._watched.read_progress(), self._clocks.monotonic
        stuck = find_stuck(self._at_ping, progress, at)
        if not stuck:
            self._supervisor.ping()
            self._at_ping = {one.account: one for one in progress}
            self._pinged_at, self._complained = at, False
        elif not self._complained and at - self._pinged_at >= (self._supervisor.watchdog_seconds or _STUCK_SECONDS) / 2:
            self._watched.note_stuck(stuck)
            self._complained = True

    def _read_clocks(self) -> Clocks:
        return Clocks(wall=as_datetime(self._clock.now()).timestamp(), monotonic=self._clock.monotonic())


# What the daemon owes whoever operates it: a word to systemd, metrics, a heartbeat, and an eye on itself.


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
        self.poll_stats = PollStats()
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
        self._start(Watchdog(self._supervisor, self._attended.clock, self).keep())

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
        self.poll_stats.end(account, state=state, retry_at=retry_at, seconds=seconds, at=at)
        self._supervisor.say_status(self.describe())
        url = self._wishes.heartbeat_url
        if url is not None and is_heartbeat_due(self.poll_stats.states(), self._beat_at, at):
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
                polls=self.poll_stats.of(name).polls,
                waits_until=self.poll_stats.of(name).waits_until or meter.sits_until,
            )
            for name, meter in self._attended.read_meters().items()
        ]

    def describe(self) -> str:
        """How it goes, in one line for people."""
        return self.poll_stats.describe(self._attended.clock.monotonic())

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
        account_stats = self.poll_stats.of(name)
        return AccountFigures(
            account=name,
            state=account_stats.state or row.get("state") or "starting",
            age_seconds=row.get("age_seconds"),
            unread=row.get("unread", 0),
            needs_reply=row.get("needs_reply", 0),
            failures=row.get("failures", 0),
            events=row.get("events", {}),
            requests=meter.by_status,
            rows=meter.rows,
            polls=account_stats.polls,
            poll_seconds=account_stats.poll_seconds,
        )
