"""Times as text: reading what servers write, and reckoning with it."""

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
