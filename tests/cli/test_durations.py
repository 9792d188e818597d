import pytest

from syncd.core.durations import parse_duration


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
    ],
)
def test_a_number_and_a_unit_are_read(text: str, seconds: float) -> None:
    """Every way people write a duration gives its seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "-4h", "4 h", "4h!", "1y", "nan", "inf", "٤h", "9" * 5000 + "h"])
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    """A bare number, a sign, an unknown unit or another script's digits are refused, and the text says what works."""
    with pytest.raises(ValueError, match="10m, 4h"):
        parse_duration(text)
