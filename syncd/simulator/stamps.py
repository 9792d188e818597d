"""Times as the API prints them, and ids that say nothing about order."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)
_ODD = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The aware datetime of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def iso(milliseconds: int) -> str:
    """A time as the API prints it: `2026-06-12T09:15:00.000Z`."""
    return (_NAIVE_EPOCH + milliseconds * _MILLISECOND).isoformat(timespec="milliseconds") + "Z"


def scattered_id(prefix: str, number: int) -> str:
    """A unique id whose order has nothing to do with its age, as real ids have not."""
    return f"{prefix}{(number * _ODD) & _MASK:016x}"
