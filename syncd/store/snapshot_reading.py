"""Every public table and view, row by row, as of one instant; imports nothing heavy."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

_DELETIONS = (("table_name", "TEXT"), ("key", "TEXT"), ("change_id", "INTEGER"))


class Source(Struct, frozen=True, kw_only=True):
    """A public table or view, or the deletions of an increment: its columns with their declared types."""

    name: str
    kind: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...] = ()


def read_sources(database: sqlite3.Connection, *, deletions: bool) -> list[Source]:
    """Tables first, then views, then the deletions if they are wanted."""
    query = (
        "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, 1) <> '_'"
        " AND name NOT LIKE 'sqlite%' ORDER BY type, name"
    )
    found = [_describe(database, name, kind) for name, kind in database.execute(query).fetchall()]
    return [*found, Source(name="deletions", kind="deletions", columns=_DELETIONS)] if deletions else found


def _describe(database: sqlite3.Connection, name: str, kind: str) -> Source:
    rows = database.execute("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (name,)).fetchall()
    key = tuple(column for _, column in sorted((pk, column) for column, _, pk in rows if pk))
    return Source(name=name, kind=kind, columns=tuple((column, declared) for column, declared, _ in rows), key=key)


def read_source(database: sqlite3.Connection, source: Source, since: int | None) -> Iterator[tuple[Any, ...]]:
    """Its rows; a table's in the order of its key, behind `since` those that changed, in the order they did."""
    if source.kind == "deletions":
        query = 'SELECT table_name, "key", change_id FROM _deletions WHERE change_id > ? ORDER BY change_id'
        return database.execute(query, (since or 0,))
    query = f"SELECT * FROM {source.name}"  # noqa: S608 - a name from the schema
    if source.kind == "table" and since is not None:
        return database.execute(f"{query} WHERE change_id > ? ORDER BY change_id", (since,))
    return database.execute(f"{query} ORDER BY {', '.join(source.key)}" if source.key else query)


def read_change_id(database: sqlite3.Connection) -> int:
    """The number of the last transaction."""
    return int(database.execute("SELECT value FROM _counters WHERE name = 'change_id'").fetchone()[0])
