"""JSON as real servers write it, and the one canonical way in which we write it."""

import json
import re
from contextlib import suppress
from typing import Any, Final

import msgspec

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NUL: Final = b"\\u0000"
_MOST_DEPTH: Final = 100
_MOST_DIGITS: Final = 4000  # the interpreter refuses to write or read more than 4,300 (sys.get_int_max_str_digits)
_BRACKET_OR_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(body: bytes, usual: msgspec.json.Decoder[Any] | None = None) -> Any:
    """What the bytes say; raises ValueError where they are no JSON.

    Where they are of the `usual` shape, what that makes of them; NUL, which no id may hold, is never usual.

    Strings come out as valid Unicode: half a surrogate pair, which a server leaves when it cuts a text inside an emoji,
    and bytes that are no UTF-8 become U+FFFD, in a MendedText. What is one entry's mistake costs that entry only: a
    number that is none (NaN, 1e400, or of thousands of digits) and whatever is nested too deeply come out as NaN.
    """
    if usual is not None and _NUL not in body:
        with suppress(msgspec.MsgspecError, ValueError):
            return usual.decode(body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_slowly(body)


def render_json(value: Any) -> str:
    """The canonical text: sorted keys, no spaces, every script as itself."""
    return _CANONICAL.encode(value)


class MendedText(str):
    """A text that is not what the server meant, as far as that can be told: good to read, and no good as an id."""

    __slots__ = ()


def _parse_slowly(body: bytes) -> Any:
    """The standard library takes what msgspec refuses: lone surrogates, a byte order mark, NaN, raw control signs."""
    text = body.decode("utf-8-sig", "replace")
    try:
        return _mend(_slow.decode(text))
    except RecursionError:
        with suppress(RecursionError):
            return _mend(_slow.decode(_without_depths(text)))
        raise ValueError("nested too deeply, and never closed") from None


def _read_integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float("nan")


_slow: Final = json.JSONDecoder(parse_int=_read_integer, strict=False)


def _without_depths(text: str) -> str:
    """The same JSON with NaN for whatever is nested more than so deeply."""
    kept: list[str] = []
    depth = at = 0
    for found in _BRACKET_OR_TEXT.finditer(text):
        sign = found[0]
        if sign in "[{":
            depth += 1
            if depth == _MOST_DEPTH + 1:
                kept.append(text[at : found.start()])
        elif sign in "]}":
            if depth == _MOST_DEPTH + 1:
                kept.append("NaN")
                at = found.end()
            depth -= 1
    return "".join([*kept, text[at:]])


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return MendedText(_SURROGATE.sub("\ufffd", value)) if _SURROGATE.search(value) else value
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {str(_mend(name)): _mend(item) for name, item in value.items()}
    return value
