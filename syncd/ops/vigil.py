"""Watch over the daemon from inside: ping its watchdog while it gets on, say how it goes, notice a suspend."""

from typing import Protocol

from syncd.core.times import as_datetime
from syncd.core.watch import Clocks, Progress, find_stuck, measure_jump
from syncd.ops.notify import Supervisor
from syncd.protocols import Clock

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


class Vigil:
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
