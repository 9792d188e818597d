"""How long a 429 asks to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.times import LONGEST_RATE_LIMIT_SECONDS
from syncd.sources.retry_after import DEFAULT_SECONDS, retry_after

NOW = "2026-06-12T10:00:00.000Z"


@pytest.mark.parametrize(
    ("body", "header", "seconds"),
    [
        ({"details": {"retryAfterSeconds": 7}}, None, 7),
        ({"details": {"retryAfterSeconds": 0.5}}, None, 0.5),
        ({"details": {"retryAfterSeconds": "12.5"}}, None, 12.5),
        ({"retryAfterSeconds": 8}, None, 8),
        (None, "9", 9),
        (None, "Fri, 12 Jun 2026 10:01:30 GMT", 90),
        (None, "Fri, 12 Jun 2026 09:00:00 GMT", 0),
        ({"details": {"retryAfterSeconds": 7}}, "9", 9),
        ({"details": {"retryAfterSeconds": 10}}, "9", 10),
        ({"details": {"retryAfterSeconds": 0}}, None, 0),
        ({"details": {"retryAfterSeconds": -1}}, None, DEFAULT_SECONDS),
        ({"details": {"retryAfterSeconds": "nan"}}, None, DEFAULT_SECONDS),
        ({"details": {"retryAfterSeconds": True}}, None, DEFAULT_SECONDS),
        ({"details": {"retryAfterSeconds": None}}, "soon", DEFAULT_SECONDS),
        ({"details": "later"}, "", DEFAULT_SECONDS),
        (None, None, DEFAULT_SECONDS),
        ({"details": {"retryAfterSeconds": 10**9}}, None, LONGEST_RATE_LIMIT_SECONDS),
        ({"details": {"retryAfterSeconds": "inf"}}, None, LONGEST_RATE_LIMIT_SECONDS),
        ({"details": {"retryAfterSeconds": 10**400}}, None, LONGEST_RATE_LIMIT_SECONDS),
    ],
)
def test_waits(body: object, header: str | None, seconds: float) -> None:
    """The longest wait that is named counts, at most a day; a default where none can be made out."""
    assert retry_after(body, header, NOW) == seconds


@given(st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.none()), st.text())
def test_any_wait(named: object, header: str) -> None:
    """Whatever a server names, the wait is from 0 seconds to a day."""
    assert 0 <= retry_after({"details": {"retryAfterSeconds": named}}, header, NOW) <= LONGEST_RATE_LIMIT_SECONDS
