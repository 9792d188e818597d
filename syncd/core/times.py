"""Times as text, lengths of time, and how long things wait."""

import math
import re
from datetime import UTC, datetime, timedelta

from syncd.core.model import Instant


def parse_time(text: object) -> Instant | None:
    """The time that an ISO 8601 text names, or None where it names none; without a zone it is taken as UTC."""
    if not isinstance(text, str):
        return None
    try:
        return render_time(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def render_time(moment: datetime) -> Instant:
    """The moment as UTC text with milliseconds (cut, not rounded: a time never moves into the future)."""
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def as_datetime(instant: Instant) -> datetime:
    """The instant as an aware datetime."""
    return datetime.fromisoformat(instant)


def after(instant: Instant, seconds: float) -> Instant:
    """The instant `seconds` later (earlier, if negative)."""
    return render_time(as_datetime(instant) + timedelta(seconds=seconds))


def seconds_between(start: Instant, end: Instant) -> float:
    """How many seconds lie from start to end; negative when end comes first."""
    return (as_datetime(end) - as_datetime(start)).total_seconds()


# What a stored instant is worth once the clock may have been set since. Every instant is weighed where it is read.


AHEAD_SECONDS = 10.0
"""How far ahead an instant of our own clock may lie, in seconds, before that clock must have been set back."""


def clamp(instant: Instant, now: Instant, longest: float) -> Instant:
    """The instant, which was never set more than `longest` seconds ahead: if it lies further ahead, it lies there."""
    return min(instant, after(now, longest))


def is_due(instant: Instant, now: Instant, longest: float | None = None) -> bool:
    """Whether the instant has come, or lies further ahead than any that was ever set (the longest backoff)."""
    return not now < instant <= after(now, AHEAD_SECONDS + (LONGEST_BACKOFF_SECONDS if longest is None else longest))


def elapsed(since: Instant, now: Instant) -> float:
    """Seconds since then; endless where it lies ahead, as then nobody knows how long ago it was."""
    seconds = seconds_between(since, now)
    return max(seconds, 0.0) if seconds >= -AHEAD_SECONDS else math.inf


# How long: the one reading of `90s`, `10m`, `4h`, `1h30m`, `2d` or `0`.


_SECONDS_PER_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST_DAYS = 3650  # ten years; with much more there would be no date so long ago

_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+", re.ASCII)


def parse_duration(text: str) -> float:
    """Give the seconds that `text` names; `0` needs no unit; raises ValueError saying what would be right."""
    words = text.strip().lower()
    if words == "0":
        return 0.0
    if not _WHOLE.fullmatch(words):
        raise ValueError("must be a duration such as 90s, 10m, 4h, 1h30m or 2d, or 0")
    seconds = sum(float(number) * _SECONDS_PER_UNIT[unit] for number, unit in _PART.findall(words))
    if seconds > _LONGEST_DAYS * _SECONDS_PER_UNIT["d"]:
        raise ValueError(f"must be at most {_LONGEST_DAYS}d")
    return seconds


# When to ask again: cadence, backoff, a server's "retry after".


INTERVIEW_LOOK_SECONDS = 3600.0
"""How long a proposal without an interview is left alone, in seconds, while its conversation is active."""

ACTIVE_SECONDS = 7 * 86400.0
"""How long after its last message a conversation counts as active, in seconds."""

SIT_OUT_SECONDS = 60.0
"""The longest wait that is sat out inside a pass, in seconds."""

EXPLAIN_PAGES = 3
"""How many pages a poll spends on looking for what moved one conversation."""

ERASURE_LOOK_SECONDS = 3600.0
"""How long after the signs of a person's erasure were first seen they must be seen again, in seconds."""

SECOND_LOOK_SECONDS = 600.0
"""How long after a large loss was first seen it is looked at again, in seconds."""

_FIRST_BACKOFF = 60.0
LONGEST_RATE_LIMIT_SECONDS = 86_400.0
"""The longest wait that a server is believed, in seconds: one that means for ever will say so again tomorrow."""

LONGEST_BACKOFF_SECONDS = 6 * 3600.0
"""The longest that anything that failed is left alone, in seconds; nothing on the worklist is put off for longer."""

_FIRST_TROUBLE = 5.0
_LONGEST_PUBLISH_WAIT = 60.0
_LONGEST_TROUBLE = 300.0


def backoff(tries: int) -> float:
    """Seconds to leave a failed subject alone after so many tries: doubling from a minute to six hours."""
    return min(_FIRST_BACKOFF * 2.0 ** min(tries - 1, 30), LONGEST_BACKOFF_SECONDS)


def trouble_wait(troubles: int, poll_seconds: float) -> float:
    """Seconds until an account in trouble for so many polls in a row is tried again: doubling, up to five minutes."""
    return min(max(_FIRST_TROUBLE, poll_seconds) * 2.0 ** min(troubles - 1, 30), max(_LONGEST_TROUBLE, poll_seconds))


def publish_wait(tries: int) -> float:
    """Seconds until a target that could not be published to so many times in a row is tried again: 1, 2, 4 … 60."""
    return min(2.0 ** min(tries - 1, 30), _LONGEST_PUBLISH_WAIT)


def next_interval(interval: float, *, busy: bool, poll_seconds: float, idle_seconds: float) -> float:
    """Seconds to the next poll: `poll_seconds` while busy, then a quarter more each time, up to `idle_seconds`."""
    if busy:
        return poll_seconds
    return min(max(interval, poll_seconds) * 1.25, max(idle_seconds, poll_seconds))
