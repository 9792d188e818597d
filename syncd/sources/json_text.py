"""JSON as real servers write it, and the one canonical way in which we write it."""

import json
import math
import re
from contextlib import suppress
from typing import Any, Final, NoReturn

import msgspec

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(body: bytes, usual: msgspec.json.Decoder[Any] | None = None) -> Any:
    """What the bytes say; raises ValueError where they are no JSON or hold a number that is not finite.

    Where they are of the `usual` shape, what that makes of them.

    Strings come out as valid Unicode: half a surrogate pair, which a server leaves when it cuts a text inside an emoji,
    and bytes that are no UTF-8 become U+FFFD.
    """
    if usual is not None:
        with suppress(msgspec.MsgspecError, ValueError):
            return usual.decode(body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_slowly(body)


def render_json(value: Any) -> str:
    """The canonical text: sorted keys, no spaces, every script as itself."""
    return _CANONICAL.encode(value)


def _parse_slowly(body: bytes) -> Any:
    """The standard library takes what msgspec refuses: lone surrogates and a byte order mark."""
    text = body.decode("utf-8-sig", "replace")
    try:
        return _mend(json.loads(text, parse_float=_finite, parse_constant=_refuse))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(_: str) -> NoReturn:
    raise ValueError("a number that is not finite")


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_mend(name): _mend(item) for name, item in value.items()}
    return value
