"""Lenient reading of JSON objects: what can't be read becomes None, and whatever no column took is kept as `extra`."""

import math
import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeVar

from syncd.core.model import NOWHERE, Instant, Unreadable
from syncd.core.times import parse_time
from syncd.errors import ProtocolError
from syncd.sources.json_text import render_json

T = TypeVar("T")

_INTEGER_LIMIT: Final = 2**63
OUR_TIME: Final = (
    r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
"""The times that OpenTrain writes are our own form already: seeing that is three times faster than reading them.

Days above 28 are left to the calendar.
"""

_is_our_time = re.compile(OUR_TIME).fullmatch


class Fields:
    """A JSON object whose fields are taken one by one; `rest` is what was not taken, or not understood."""

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
        """A nested object, taken out (empty where there is none); `give_back` keeps what is left of it."""
        value = self.rest.get(name)
        if value is None or type(value) is dict:
            return Fields(self.rest.pop(name, None) or {}, name)
        return Fields({}, name)

    def give_back(self, name: str, group: "Fields") -> None:
        """Put what nobody took of a nested object into the rest."""
        if group.rest:
            self.rest[name] = group.rest

    def drop(self, *names: str) -> None:
        """Keep nothing of these fields."""
        for name in names:
            self.rest.pop(name, None)

    def extra(self, **groups: "Fields") -> str | None:
        """What was not taken of it and of its nested groups, as canonical JSON text; None where all was."""
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
    """The bookmark of the next page; None, absent, false and "" mean the end; a number is sent back as its text.

    Anything else is no bookmark, and no end either: NOWHERE.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if value is None or value is False:
        return None
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int and abs(value) < _INTEGER_LIMIT else NOWHERE


def unique(rows: Sequence[T], key: Callable[[T], str]) -> tuple[T, ...]:
    """The rows, each once: of two with the same key the later stands, in the place of the earlier."""
    return tuple({key(row): row for row in rows}.values())
