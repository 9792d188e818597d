"""Whether the daemon gets on: does its watchdog deserve a ping, did the machine sleep, is a heartbeat due."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from syncd.core.account import HEALTHY

JUMP_SECONDS = 10.0
"""How far the wall clock may leave the one that only grows before something must have happened to it, in seconds."""

HEARTBEAT_SECONDS = 60.0
"""How long after one heartbeat the next may be asked for, in seconds."""

_GRACE_SECONDS = 5.0  # what is due begins a little late on a busy machine


class Progress(Struct, frozen=True, kw_only=True):
    """What one account has done since the daemon began, and until when it has said to do nothing.

    `requests`, `rows` and `polls` only grow; a new request is one that an old one made room for. `waits_until` is on
    the clock that only grows, None while a poll is under way.
    """

    account: str
    requests: int = 0
    rows: int = 0
    polls: int = 0
    waits_until: float | None = None

    def is_past(self, before: "Progress") -> bool:
        """Whether anything was finished in between."""
        return (self.requests, self.rows, self.polls) != (before.requests, before.rows, before.polls)


def find_stuck(before: Mapping[str, Progress], now: Sequence[Progress], at: float) -> tuple[str, ...]:
    """The accounts that have neither done anything since `before` nor said that they wait until later than `at`."""
    return tuple(
        progress.account
        for progress in now
        if not _waits(progress, at)
        and (known := before.get(progress.account)) is not None
        and not progress.is_past(known)
    )


def _waits(progress: Progress, at: float) -> bool:
    return progress.waits_until is not None and at < progress.waits_until + _GRACE_SECONDS


class Clocks(Struct, frozen=True, kw_only=True):
    """Two clocks read at one moment, in seconds: the wall's, and one that only grows, and rests in a suspend."""

    wall: float
    monotonic: float


def measure_jump(before: Clocks, now: Clocks) -> float:
    """Seconds that the wall clock went further than time did, by a suspend or by hand; negative: set back."""
    drift = (now.wall - before.wall) - (now.monotonic - before.monotonic)
    return drift if abs(drift) >= JUMP_SECONDS else 0.0


def is_heartbeat_due(states: Mapping[str, str | None], last_at: float | None, at: float) -> bool:
    """Whether all accounts are well by their last poll (None: none yet), and the last heartbeat is long enough ago."""
    well = bool(states) and all(state in HEALTHY for state in states.values())
    return well and (last_at is None or at - last_at >= HEARTBEAT_SECONDS)
