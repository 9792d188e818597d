"""JSON as real servers write it: read leniently, field by field, and written again in one canonical way.

What can't be read becomes None, and whatever no column took is kept as `extra`.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from syncd.core.model import Instant
from syncd.core.times import parse_time
from syncd.errors import ProtocolError

T = TypeVar("T")

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_INTEGER_LIMIT: Final = 2**63
OUR_TIME: Final = (
    r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
"""Times as we store them. OpenTrain writes the same form, and matching it is three times faster than parsing it.

Days above 28 depend on the month, so those are parsed.
"""

_is_our_time = re.compile(OUR_TIME).fullmatch


def parse_json(body: bytes | bytearray, decoder: msgspec.json.Decoder[Any] | None = None) -> Any:
    """What the bytes say; raises ValueError where they are no JSON or hold a number that is not finite.

    The result is the `decoder`'s where the body fits it, else plain objects and lists. Strings are valid Unicode: half
    a surrogate pair, which a server leaves when it cuts a text inside an emoji, and bytes that are no UTF-8 become
    U+FFFD.
    """
    if decoder is not None:
        with suppress(msgspec.MsgspecError, ValueError):
            return decoder.decode(body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_slowly(body)


def render_json(value: Any) -> str:
    """The canonical text: sorted keys, no spaces, every script as itself."""
    return _CANONICAL.encode(value)


def _parse_slowly(body: bytes | bytearray) -> Any:
    """Parse with the standard library, which accepts what msgspec refuses: lone surrogates, a byte order mark."""
    text = body.decode("utf-8-sig", "replace")
    try:
        return _replace_surrogates(json.loads(text, parse_float=_finite, parse_constant=_refuse))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(_: str) -> NoReturn:
    raise ValueError("a number that is not finite")


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_replace_surrogates(name): _replace_surrogates(item) for name, item in value.items()}
    return value


class Fields:
    """A JSON object whose fields are taken one by one; `rest` holds those that were not taken or not understood."""

    __slots__ = ("rest", "what")

    def __init__(self, body: Any, what: str) -> None:
        """`what` names the object in errors ("a message"); raises ProtocolError where the body is no object."""
        if type(body) is not dict:
            raise shape_error(f"{what} that is no object")
        self.what = what
        self.rest: dict[str, Any] = body.copy()

    def id(self, name: str = "id") -> str:
        """The field that names the object; raises ProtocolError where there is none."""
        value = self.key(name)
        if not value:
            raise shape_error(f"{self.what} without {name}")
        return value

    def key(self, name: str) -> str | None:
        """Another object's id; integers become text."""
        value = self.rest.pop(name, None)
        if value is None or type(value) is str:
            return value
        if type(value) is int and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            return str(value)
        self.rest[name] = value
        return None

    def text(self, name: str) -> str | None:
        """A string."""
        value = self.rest.pop(name, None)
        if value is None or type(value) is str:
            return value
        self.rest[name] = value
        return None

    def boolean(self, name: str) -> bool | None:
        """True or false, and nothing that merely looks like it."""
        value = self.rest.pop(name, None)
        if value is None or type(value) is bool:
            return value
        self.rest[name] = value
        return None

    def integer(self, name: str) -> int | None:
        """A whole number of 64 bits; JSON makes no difference between 3 and 3.0."""
        value = self.rest.pop(name, None)
        if value is None or (type(value) is int and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT):
            return value
        if type(value) is float and value.is_integer() and abs(value) < _INTEGER_LIMIT:
            return int(value)
        self.rest[name] = value
        return None

    def real(self, name: str) -> float | None:
        """A number; an integer that a float would round is not understood."""
        value = self.rest.pop(name, None)
        if value is None or (type(value) is float and math.isfinite(value)):
            return value
        if type(value) is int and abs(value) < _INTEGER_LIMIT and int(float(value)) == value:
            return float(value)
        self.rest[name] = value
        return None

    def time(self, name: str) -> Instant | None:
        """A time in any ISO 8601 form."""
        value = self.rest.pop(name, None)
        if value is None or (type(value) is str and _is_our_time(value)):
            return value
        moment = parse_time(value)
        if moment is None:
            self.rest[name] = value
        return moment

    def group(self, name: str) -> "Fields":
        """A nested object, taken out (empty where there is none); `give_back` returns what is left of it."""
        value = self.rest.get(name)
        if value is None or type(value) is dict:
            return Fields(self.rest.pop(name, None) or {}, name)
        return Fields({}, name)

    def give_back(self, name: str, group: "Fields") -> None:
        """Put the fields of a nested object that were not taken back into the rest."""
        if group.rest:
            self.rest[name] = group.rest

    def drop(self, *names: str) -> None:
        """Keep nothing of these fields."""
        for name in names:
            self.rest.pop(name, None)

    def extra(self, **groups: "Fields") -> str | None:
        """The fields of it and of its nested groups that were not taken, as canonical JSON; None where all were."""
        for name, group in groups.items():
            self.give_back(name, group)
        return render_extra(self.rest) if self.rest else None


def render_extra(rest: dict[str, Any]) -> str:
    """The object as canonical JSON text; raises ProtocolError where it is nested too deeply to write."""
    try:
        return render_json(rest)
    except (RecursionError, ValueError):
        raise shape_error("an object that can't be written as JSON again") from None


def shape_error(found: str) -> ProtocolError:
    """The error for JSON of a shape that no document describes."""
    return ProtocolError(f"the server sent {found}: this version of syncd can't read it", reason="shape")


def parse_list(body: Any, names: Sequence[str]) -> list[Any]:
    """The list under the first name that holds one, or the body itself; raises ProtocolError where there is none.

    An answer without its list is never an empty list: that would look as if all were gone.
    """
    if isinstance(body, list):
        return body
    if isinstance(body, dict):
        for name in names:
            if isinstance(body.get(name), list):
                return list(body[name])
    raise shape_error(f"an answer without {names[0]}")


def parse_cursor(body: Any, name: str = "nextCursor") -> str | None:
    """The cursor of the next page; None, absent and "" mean the end; a number is sent back as its text."""
    value = body.get(name) if isinstance(body, dict) else None
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise shape_error(f"a {name} that is neither text nor a number")


def unique(rows: Sequence[T], key: Callable[[T], str]) -> tuple[T, ...]:
    """The rows without duplicates: of two with the same key the later one stays, in the place of the earlier one."""
    return tuple({key(row): row for row in rows}.values())
