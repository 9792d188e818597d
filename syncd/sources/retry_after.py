"""How long a server wants to be left alone."""

import math
from email.utils import parsedate_to_datetime
from typing import Any, Final

from syncd.core.model import Instant
from syncd.core.times import LONGEST_RATE_LIMIT_SECONDS, render_time, seconds_between

DEFAULT_SECONDS: Final = 30.0
"""The wait where a server says 429 and names none."""


def retry_after(body: Any, header: str | None, server_time: Instant) -> float:
    """Seconds from 0 to a day: the longest wait that the answer or its `Retry-After` header names."""
    found = [*_named(body), _header(header, server_time)]
    waits = [wait for wait in found if wait is not None]
    return min(max(waits), LONGEST_RATE_LIMIT_SECONDS) if waits else DEFAULT_SECONDS


def _named(body: Any) -> list[float | None]:
    """`details.retryAfterSeconds` (POST /messages documentation), or the same beside the error [?]."""
    if not isinstance(body, dict):
        return []
    details = body.get("details")
    inner = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return [_seconds(inner), _seconds(body.get("retryAfterSeconds"))]


def _header(text: str | None, server_time: Instant) -> float | None:
    """Seconds, or a date (RFC 9110): that counts from the server's own time: a wrong clock here does no harm."""
    if not text:
        return None
    if (seconds := _seconds(text)) is not None:
        return seconds
    try:
        until = render_time(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds_between(server_time, until))


def _seconds(value: object) -> float | None:
    """A number or numeric text that can be waited for; None for anything else, negative and not-a-number included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return LONGEST_RATE_LIMIT_SECONDS if not isinstance(value, str) and value > 0 else None
    except ValueError:
        return None
    return None if math.isnan(seconds) or seconds < 0 else seconds
