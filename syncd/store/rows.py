"""Rows as frozen values ↔ rows of tables; the statements are built once, from the values' own fields.

`tables` says the same columns to whoever reads with SQLModel; nothing here needs it, as it takes long to import.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from sqlite3 import Connection
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from msgspec.structs import astuple

from syncd.core.model import Instant, Row

_Row = TypeVar("_Row", bound=Row)


@cache
def columns(kind: type[Row]) -> str:
    """The value's columns, as a SELECT lists them."""
    return ", ".join(kind.__struct_fields__)


@cache
def _builder(kind: type[_Row]) -> Callable[[Iterable[Any]], _Row]:
    """What makes a value of a row: SQLite has no booleans, so those columns are converted."""
    fields = kind.__struct_fields__
    booleans = [i for i, name in enumerate(fields) if _is_boolean(get_type_hints(kind)[name])]

    def build(row: Iterable[Any]) -> _Row:
        values = list(row)
        for i in booleans:
            if values[i] is not None:
                values[i] = bool(values[i])
        return kind(**dict(zip(fields, values, strict=True)))

    return build


def _is_boolean(hint: Any) -> bool:
    return hint is bool or (isinstance(hint, UnionType) and bool in get_args(hint))


def select(
    connection: Connection, kind: type[_Row], where: str, parameters: tuple[Any, ...] | dict[str, Any]
) -> list[_Row]:
    """The rows of the kind's table that meet the condition, as values."""
    sql = f"SELECT {columns(kind)} FROM {kind.table} WHERE {where}"  # noqa: S608 - names of our own
    build = _builder(kind)
    return [build(row) for row in connection.execute(sql, parameters)]


_STAMPS = ("account", "first_seen_at", "changed_at", "change_id")
_AS_INTEGER: dict[Any, int | None] = {True: 1, False: 0, None: None}


@cache
def _upsert_sql(kind: type[Row], names: tuple[str, ...]) -> tuple[str, str]:
    """Insert, or change all but the time of first sight; a row that comes here is known to differ.

    What stands before the values, and behind them. `names` are the columns that values are given for; the others
    become NULL.
    """
    key = ("account", *kind.key)
    changes = [name for name in (*_STAMPS, *kind.__struct_fields__) if name not in (*key, "first_seen_at")]
    return (
        f"INSERT INTO {kind.table} ({', '.join(names)}) VALUES",
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changes)}",
    )


@cache
def _layout(kind: type[Row]) -> tuple[tuple[str, bool], ...]:
    """Of each of the table's columns: name, and whether it is a boolean."""
    hints = get_type_hints(kind)
    return tuple((name, _is_boolean(hints.get(name))) for name in (*_STAMPS, *kind.__struct_fields__))


def upsert(connection: Connection, account: str, rows: Iterable[Row], *, now: Instant, change_id: int) -> int:
    """Write the rows, kind by kind; how many there were."""
    stamps = (account, now, now, change_id)
    kinds: dict[type[Row], list[tuple[Any, ...]]] = {}
    for row in rows:
        kinds.setdefault(type(row), []).append(stamps + astuple(row))
    for kind, many in kinds.items():
        _upsert(connection, kind, many)
    return sum(len(many) for many in kinds.values())


def _upsert(connection: Connection, kind: type[Row], many: list[tuple[Any, ...]]) -> None:
    """Write rows of one kind, column by column; what is empty in all of them, or no integer yet, is dear to bind."""
    given: dict[str, Iterable[Any]] = {}
    for (name, is_boolean), column in zip(_layout(kind), zip(*many, strict=True), strict=True):
        if column.count(None) < len(many):
            given[name] = map(_AS_INTEGER.__getitem__, column) if is_boolean else column
    before, behind = _upsert_sql(kind, tuple(given))
    bulk_insert(connection, before, list(zip(*given.values(), strict=True)), behind)


# Many rows in few statements: other threads run while SQLite is at work, and each statement makes them wait once.


_ROWS = 64  # of a table with 25 columns: 1,600 of the 32,766 values that a statement may have


def bulk_insert(connection: sqlite3.Connection, insert: str, rows: Sequence[tuple[Any, ...]], behind: str = "") -> None:
    """Insert rows of one length; `insert` ends with VALUES, `behind` is what follows the values."""
    whole = len(rows) - len(rows) % _ROWS
    for start in range(0, whole, _ROWS):
        many = rows[start : start + _ROWS]
        connection.execute(_render(insert, len(many[0]), _ROWS, behind), tuple(chain.from_iterable(many)))
    if rest := rows[whole:]:
        connection.executemany(_render(insert, len(rest[0]), 1, behind), rest)


@cache
def _render(insert: str, columns: int, rows: int, behind: str) -> str:
    values = f"({', '.join('?' * columns)})"
    return f"{insert} {', '.join([values] * rows)} {behind}"
