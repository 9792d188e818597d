"""Cadence, backoff and times."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.times import after, backoff, next_interval, parse_time, seconds_between, trouble_wait


@pytest.mark.parametrize(("tries", "seconds"), [(1, 60), (2, 120), (3, 240), (9, 15360), (10, 21600), (10_000, 21600)])
def test_backoff(tries: int, seconds: float) -> None:
    """It doubles from a minute to six hours."""
    assert backoff(tries) == seconds


@pytest.mark.parametrize(
    ("troubles", "poll", "seconds"),
    [(1, 15, 15), (2, 15, 30), (6, 15, 300), (99_999, 15, 300), (1, 1, 5), (1, 3600, 3600), (5, 3600, 3600)],
)
def test_trouble(troubles: int, poll: float, seconds: float) -> None:
    """An account in trouble is tried after a poll's time, then ever later, up to five minutes."""
    assert trouble_wait(troubles, poll) == seconds


@given(polls=st.integers(0, 40), poll=st.floats(1, 100), idle=st.floats(1, 1000))
def test_cadence(polls: int, poll: float, idle: float) -> None:
    """It is never quicker than poll_seconds, nor slower than idle_seconds, and quick again once something happens."""
    interval = poll
    for _ in range(polls):
        slower = next_interval(interval, busy=False, poll_seconds=poll, idle_seconds=idle)
        assert min(interval, max(poll, idle)) <= slower <= max(poll, idle)
        interval = slower
    assert next_interval(interval, busy=True, poll_seconds=poll, idle_seconds=idle) == poll


TIMES = [
    ("2026-06-12T09:15:00.000Z", "2026-06-12T09:15:00.000Z"),
    ("2026-06-12T09:15:00Z", "2026-06-12T09:15:00.000Z"),
    ("2026-06-12T11:15:00.123999+02:00", "2026-06-12T09:15:00.123Z"),
    ("2026-06-12T09:15:00", "2026-06-12T09:15:00.000Z"),
    ("2026-06-12", "2026-06-12T00:00:00.000Z"),
    ("0001-01-01T00:00:00+05:00", None),
    ("yesterday", None),
    ("", None),
    (1718183700, None),
    (None, None),
]


@pytest.mark.parametrize(("text", "instant"), TIMES)
def test_parse_time(text: object, instant: str | None) -> None:
    """Any ISO 8601 text is UTC text with milliseconds, cut; what is none is None."""
    assert parse_time(text) == instant


EARLIEST = datetime(1971, 1, 1)  # noqa: DTZ001 - Hypothesis wants its bounds without a zone


@given(moment=st.datetimes(min_value=EARLIEST), seconds=st.integers(0, 10**6))
def test_reckoning(moment: object, seconds: int) -> None:
    """What is so many seconds later is so many seconds away, and sorts behind."""
    instant = parse_time(str(moment))
    assert instant is not None
    if instant < "9999":
        later = after(instant, seconds)
        assert seconds_between(instant, later) == pytest.approx(seconds)
        assert later >= instant
