"""How long: the one reading of `90s`, `10m`, `4h`, `1h30m`, `2d` or `0`."""

import re

SECONDS_PER_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+", re.ASCII)


def parse_duration(text: str) -> float:
    """Give the seconds that `text` names; `0` needs no unit; raises ValueError saying what would be right."""
    words = text.strip().lower()
    if words == "0":
        return 0.0
    if not _WHOLE.fullmatch(words):
        raise ValueError(f"{text!r} is no duration; write a number and a unit, as in 90s, 10m, 4h, 1h30m, 2d, or 0")
    return sum(float(number) * SECONDS_PER_UNIT[unit] for number, unit in _PART.findall(words))
