"""JSON as real servers write it: read leniently, field by field, and written again in one canonical way.

What can't be read becomes None, and whatever no column took is kept as `extra`.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec

from syncd.core.model import NOWHERE, Instant, Unreadable
from syncd.core.times import parse_time
from syncd.errors import ProtocolError

T = TypeVar("T")

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NUL: Final = b"\\u0000"
_MOST_DEPTH: Final = 100
_MOST_DIGITS: Final = 4000  # the interpreter refuses to write or read more than 4,300 (sys.get_int_max_str_digits)
_BRACKET_OR_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_BRACKET_OR_TEXT_BYTES: Final = re.compile(_BRACKET_OR_TEXT.pattern.encode(), re.DOTALL)
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
    """What the bytes say; raises ValueError where they are no JSON.

    The result is the `decoder`'s where the body fits it, else plain objects and lists; one with NUL, which no id may
    hold, never fits. Strings are valid Unicode: half a surrogate pair, which a server leaves when it cuts a text
    inside an emoji, and bytes that are no UTF-8 become U+FFFD, in a MendedText. What is one entry's mistake costs that
    entry only: a number that is none (NaN, 1e400, or of thousands of digits) and whatever is nested too deeply come
    out as NaN.
    """
    if decoder is not None and _NUL not in body:
        with suppress(msgspec.MsgspecError, ValueError):
            return decoder.decode(body)
    if not _is_deep(body):
        with suppress(msgspec.MsgspecError, ValueError):
            return msgspec.json.decode(body)
    return _parse_slowly(body)


def render_json(value: Any) -> str:
    """The canonical text: sorted keys, no spaces, every script as itself."""
    return _CANONICAL.encode(value)


def _parse_slowly(body: bytes | bytearray) -> Any:
    """Parse with the standard library, which accepts what msgspec refuses: lone surrogates, NaN, raw control signs."""
    text = body.decode("utf-8-sig", "replace")
    try:
        return _mend(_slow.decode(_without_depths(text)))
    except RecursionError:
        raise ValueError("nested too deeply, and never closed") from None


class MendedText(str):
    """A text that is not what the server meant, as far as that can be told: good to read, and no good as an id."""

    __slots__ = ()


def _read_integer(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float("nan")


_slow: Final = json.JSONDecoder(parse_int=_read_integer, strict=False)


def _is_deep(body: bytes | bytearray) -> bool:
    """Whether anything is nested more deeply than is kept; how deep an interpreter can go differs between versions."""
    if body.count(b"[") + body.count(b"{") <= _MOST_DEPTH:
        return False
    depth = 0
    for found in _BRACKET_OR_TEXT_BYTES.finditer(body):
        sign = found[0]
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        if depth > _MOST_DEPTH:
            return True
    return False


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


class Fields:
    """A JSON object whose fields are taken one by one; `rest` holds those that were not taken or not understood."""

    __slots__ = ("rest", "what")

    def __init__(self, body: Any, what: str) -> None:
        """`what` names the object in errors ("a message"); raises ProtocolError where the body is no object."""
        if not isinstance(body, dict):
            raise shape_error(f"{what} that is no object")
        self.what = what
        self.rest: dict[str, Any] = body.copy()

    def id(self, name: str = "id") -> str:
        """The field that names the object; raises ProtocolError where there is none that can be kept."""
        value = self.key(name)
        if value:
            return value
        if self.rest.get(name) is None:
            raise shape_error(f"{self.what} without {name}")
        raise shape_error(f"{self.what} whose {name} is neither a text without NUL nor a whole number of 64 bits")

    def key(self, name: str) -> str | None:
        """Another object's id; integers become text.

        A text with NUL, or with half a surrogate pair, is no id: SQLite calls what its functions make of NUL undefined
        (https://sqlite.org/nulinstr.html), PostgreSQL has no room for it, and neither can be asked for in an address.
        """
        value = self.rest.pop(name, None)
        if value is None or (type(value) is str and "\0" not in value):
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
        if isinstance(value, str):  # one that was mended
            return str(value)
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


class ShapeError(ProtocolError):
    """JSON of a shape that no document describes; `found` says what it is."""

    def __init__(self, found: str) -> None:
        super().__init__(f"the server sent {found}: this version of syncd can't read it", reason="shape")
        self.found = found


def shape_error(found: str) -> ProtocolError:
    """The error for JSON of a shape that no document describes."""
    return ShapeError(found)


def parse_each(
    items: Sequence[Any],
    parse: Callable[[Any], T],
    kind: str,
    listing: str,
    name: Callable[[str], str] = str,
) -> tuple[list[T], tuple[Unreadable, ...]]:
    """What the entries of a list say, and those that can't be read: one bad entry takes no other with it.

    `listing` names the list; `name` makes of an entry's id what the mirror calls it.
    """
    entries: list[T] = []
    unreadable: dict[str, Unreadable] = {}
    for item in items:
        try:
            if _is_odd(item):
                raise shape_error(f"a {kind.replace('_', ' ')} with a number that is not finite, or nested too deeply")
            entries.append(parse(item))
        except ShapeError as error:
            one = _set_aside(item, error.found, kind, listing, name)
            unreadable[one.subject_id] = one
    return entries, tuple(unreadable.values())


def _set_aside(item: Any, found: str, kind: str, listing: str, name: Callable[[str], str]) -> Unreadable:
    id_ = Fields(item, kind).key("id") if isinstance(item, dict) else None
    if id_:
        return Unreadable(kind=kind, subject_id=name(id_), reason=found, id=id_)
    # An id that can't be kept is the same wherever its entry comes; without any, the entry itself has to tell.
    what = (item.get("id") or item) if isinstance(item, dict) else item
    digest = blake2b(repr(what).encode(errors="backslashreplace"), digest_size=8).hexdigest()
    return Unreadable(kind=kind, subject_id=f"{listing}#{digest}", reason=found)


def _is_odd(value: Any) -> bool:
    """Whether a number that no JSON has stands anywhere in it; only the slow reader of JSON lets one pass."""
    left = [value]
    while left:
        one = left.pop()
        if type(one) is dict:
            left.extend(one.values())
        elif type(one) is list:
            left.extend(one)
        elif type(one) is float and not math.isfinite(one):
            return True
    return False


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
    """The cursor of the next page; None, absent, false and "" mean the end; a number is sent back as its text.

    Anything else is no cursor, and no end either: NOWHERE.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if value is None or value is False:
        return None
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int and abs(value) < _INTEGER_LIMIT else NOWHERE


def unique(rows: Sequence[T], key: Callable[[T], str]) -> tuple[T, ...]:
    """The rows without duplicates: of two with the same key the later one stays, in the place of the earlier one."""
    return tuple({key(row): row for row in rows}.values())
