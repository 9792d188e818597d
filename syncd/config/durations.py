"""Durations as people write them."""

import re

_LONGEST_DAYS = 3650
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _SECONDS))


def parse_duration(text: str) -> int:
    """Return the seconds of `4h`, `10m`, `90s`, `1d`, `1h30m` or `0`; ValueError says what would be right."""
    if text == "0":
        return 0
    found = _PATTERN.fullmatch(text)
    if not text or found is None:
        raise ValueError('must be a duration such as "4h", "10m", "90s" or "1d", or "0"')
    seconds = sum(int(number) * _SECONDS[unit] for unit, number in found.groupdict(default="0").items())
    if seconds > _LONGEST_DAYS * _SECONDS["d"]:
        raise ValueError(f"must be at most {_LONGEST_DAYS}d")
    return seconds
