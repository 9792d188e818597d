from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.config.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4h", 14_400), ("10m", 600), ("90s", 90), ("1d", 86_400), ("1h30m", 5_400), ("0", 0), ("0s", 0)],
)
def test_people_write_durations(text: str, seconds: int) -> None:
    """A number and a unit, several of them from large to small, or a bare 0 are seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "4", "h", "4 h", "4H", "-1h", "1.5h", "30m1h", "1h1h", "٤h", "4h\n", "9999d", "1" * 5000]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Anything else is a ValueError that says what would be right."""
    with pytest.raises(ValueError, match="must be"):
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
