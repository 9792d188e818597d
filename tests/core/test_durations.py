from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.times import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("10m", 600),
        ("4h", 14400),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        (" 1W ", 604800),
        ("3650d", 315_360_000),
    ],
)
def test_a_number_and_a_unit_are_read(text: str, seconds: float) -> None:
    """Every way people write a duration gives its seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "4", "h", "-4h", "4 h", "4h!", "1y", "nan", "inf", "٤h", "1" * 5000, "9" * 99 + "h"]
)
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    """A bare number, a sign, an unknown unit or another script's digits are refused, and the text says what works."""
    with pytest.raises(ValueError, match="10m, 4h"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3651d", "9999d", "999999999w"])
def test_more_than_ten_years_are_refused(text: str) -> None:
    """What leads before any date is refused with the most that works."""
    with pytest.raises(ValueError, match="at most 3650d"):
        parse_duration(text)


@given(st.integers(0, 3000), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_parts_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    """The parts of a duration add up, whatever they are."""
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    """Any text is a number of seconds or a ValueError."""
    with suppress(ValueError):
        assert parse_duration(text) >= 0
