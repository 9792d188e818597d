"""How long: the one reading of `90s`, `10m`, `4h`, `1h30m`, `2d` or `0`."""

import re

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
