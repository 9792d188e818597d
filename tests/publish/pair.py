"""A mirror and its copy in PostgreSQL, asked the same and held against each other."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from syncd.publish.target import register_sources, write_schema
from syncd.store.tables import describe_catalogue

Row = dict[str, Any]

CATALOGUE = describe_catalogue()
TABLES = tuple(table.name for table in CATALOGUE.tables)
VIEWS = tuple(view.name for view in CATALOGUE.views)
MOVING = ("waiting_seconds", "age_seconds", "hours")
"""What grows from one question to the next."""

_JSON = ("extra", "data")
_UNPUBLISHED = frozenset({"logged_at"})
"""When the mirror's own log had an event."""
TARGET_0_1 = Path(__file__).with_name("target_0_1.sql")
"""What makes the schema as version 0.1 of the program did."""
_CLOCK_STEP = 0.002  # SQLite's clock has whole milliseconds, and both round


def create_schema(target: psycopg.Connection) -> None:
    """Make the published tables and views, empty."""
    with target.transaction(), target.cursor() as cursor:
        cursor.execute("CREATE SCHEMA syncd")
        write_schema(cursor, "syncd", CATALOGUE)
        register_sources(cursor, "syncd")


def plain(value: Any) -> Any:
    """A value of PostgreSQL as the mirror has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return int(value) if isinstance(value, bool) else value


class Pair:
    """The mirror and the target; what differs between them fails the test that asks."""

    def __init__(self, mirror: sqlite3.Connection, target: psycopg.Connection) -> None:
        self.mirror, self.target = mirror, target

    def copy(self) -> None:
        """Put the mirror's rows into the target, in the plainest way there is."""
        for table in TABLES:
            # Quicker than TRUNCATE where there is little.
            self.target.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            kinds = self._kinds(table)
            found = self.mirror.execute(f"SELECT {', '.join(kinds)} FROM {table}").fetchall()  # noqa: S608 - our own names
            rows = [
                [
                    bool(value) if kinds[name] == "boolean" and value is not None else value
                    for name, value in zip(kinds, row, strict=True)
                ]
                for row in found
            ]
            names = sql.SQL(", ").join(map(sql.Identifier, kinds))
            marks = sql.SQL(", ").join(sql.Placeholder() for _ in kinds)
            with self.target.cursor() as cursor:
                cursor.executemany(
                    sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, marks), rows
                )

    def _kinds(self, table: str) -> dict[str, str]:
        found = self.target.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'syncd' AND table_name = %s ORDER BY ordinal_position",
            [table],
        )
        return dict(found.fetchall())

    def ask(self, query: str) -> list[Row]:
        """The mirror's rows for a query, once both engines have given the same."""
        before, copied, after = self._ask_mirror(query), self._ask_target(query), self._ask_mirror(query)
        if "ORDER BY" not in query:
            before, copied, after = (sorted(rows, key=_still) for rows in (before, copied, after))
        assert [_still(row) for row in copied] == [_still(row) for row in before]
        for low, found, high in zip(before, copied, after, strict=True):
            for name in MOVING:
                _assert_between(low.get(name), found.get(name), high.get(name))
        return before

    def compare_views(self) -> None:
        """Every column of every row of every view is the same on both."""
        for view in VIEWS:
            self.ask(f"SELECT * FROM {view}")  # noqa: S608 - our own names

    def compare_tables(self) -> None:
        """Every column of every row of every public table is the same on both; JSON by what it says."""
        assert not list(self.differences())

    def differences(self, *, up_to: int | None = None) -> Iterator[str]:
        """Each row that the target lacks, as lost, and each that only it has, as doubled.

        `up_to`: only what was last changed by then is looked for; the target must not have anything newer.
        """
        limit = "" if up_to is None else f" WHERE change_id <= {up_to}"
        for table in TABLES:
            held = self._count(self._ask_mirror(f"SELECT * FROM {table}{limit}"))  # noqa: S608 - our own names
            copied = self._count(self._ask_target(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
            yield from (f"lost: {table} {row}" for row in held - copied)
            if up_to is None:
                yield from (f"doubled: {table} {row}" for row in copied - held)
            else:
                newer = self._ask_target(f"SELECT account FROM {table} WHERE change_id > {up_to}")  # noqa: S608 - our own names
                yield from (f"doubled: {table} has {row}, newer than its place" for row in newer)

    def _count(self, rows: list[Row]) -> Counter[str]:
        return Counter(
            repr({name: _told(name, row[name]) for name in sorted(row.keys() - _UNPUBLISHED)}) for row in rows
        )

    def _ask_mirror(self, query: str) -> list[Row]:
        cursor = self.mirror.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _ask_target(self, query: str) -> list[Row]:
        cursor = self.target.execute(query.encode())
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, map(plain, row), strict=True)) for row in cursor]


def _still(row: Row) -> list[tuple[str, str]]:
    """The row without what moves, in a form that can be sorted and shown."""
    return [(name, repr(value)) for name, value in sorted(row.items()) if name not in MOVING]


def _told(name: str, value: Any) -> Any:
    """JSON in one form, as PostgreSQL orders the keys and writes numbers its own way."""
    if name not in _JSON or value is None:
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(json.loads(text, parse_float=_whole), sort_keys=True)


def _whole(text: str) -> float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _assert_between(low: float | None, found: float | None, high: float | None) -> None:
    if low is None or found is None or high is None:
        assert low is found is high
    else:
        assert low - _CLOCK_STEP <= found <= high + _CLOCK_STEP
