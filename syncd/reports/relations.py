"""What an export carries: tables and views with the types of their columns."""

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

Type = Literal["text", "integer", "real", "boolean", "time", "date"]
Rows = Iterator[tuple[Any, ...]]

_BOOLEANS = frozenset(
    {"is_from_viewer", "is_system", "has_unread_flag", "has_audio", "transcript_available", "baseline"}
)
_INTEGERS = frozenset(
    {"inbound", "outbound", "system_messages", "active_conversations", "question_count", "failures", "unread_count"}
)
_REALS = frozenset({"waiting_seconds", "seconds", "age_seconds"})
_DECLARED: dict[str, Type] = {"INTEGER": "integer", "REAL": "real"}


class Column(Struct, frozen=True):
    """A column and what it holds; any value may be missing."""

    name: str
    type: Type


class Relation(Struct, frozen=True, kw_only=True):
    """A table, a view, or the deletions of an increment, in which a table has only the rows that changed."""

    name: str
    kind: str
    columns: tuple[Column, ...]


def type_of(name: str, declared: str) -> Type:
    """What a column of this name holds; SQLite knows neither times nor booleans, and nothing of a view's reckoning."""
    if name in _BOOLEANS:
        return "boolean"
    if name.endswith("_at") or name in ("state_since", "complete_since"):
        return "time"
    if name == "day":
        return "date"
    if name in _REALS:
        return "real"
    return "integer" if name in _INTEGERS else _DECLARED.get(declared, "text")
