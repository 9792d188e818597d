"""A mirror and its copy in PostgreSQL, asked the same and held against each other."""

import json
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

Row = dict[str, Any]

TABLES = (
    "accounts",
    "conversations",
    "messages",
    "message_revisions",
    "jobs",
    "candidates",
    "proposals",
    "interviews",
    "interview_messages",
    "failures",
    "events",
    "outbox",
    "sync_runs",
)
VIEWS = (
    "inbox",
    "unread",
    "needs_reply",
    "thread",
    "response_times",
    "daily_activity",
    "interview_results",
    "freshness",
)
MOVING = ("waiting_seconds", "age_seconds", "hours")
"""What grows from one question to the next."""

_JSON = ("extra", "data")
_SCHEMA = Path(__file__).parents[2] / "syncd" / "publish" / "schema"
_CLOCK_STEP = 0.002  # SQLite's clock has whole milliseconds, and both round


def create_schema(target: psycopg.Connection) -> None:
    """Make the published tables and views, empty."""
    target.execute("CREATE SCHEMA syncd")
    for file in sorted(_SCHEMA.glob("*.sql")):
        target.execute(file.read_text(encoding="utf-8").encode())


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
        for table in TABLES:
            query = f"SELECT * FROM {table}"  # noqa: S608 - our own names
            copied, held = (
                [_parsed(row) for row in rows] for rows in (self._ask_target(query), self._ask_mirror(query))
            )
            assert sorted(copied, key=_place) == sorted(held, key=_place), table

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


def _place(row: Row) -> list[tuple[str, str]]:
    """What a row is sorted by: all but JSON, in which PostgreSQL orders the keys its own way."""
    return _still({name: value for name, value in row.items() if name not in _JSON})


def _parsed(row: Row) -> Row:
    return {
        name: json.loads(value) if name in _JSON and isinstance(value, str) else value for name, value in row.items()
    }


def _assert_between(low: float | None, found: float | None, high: float | None) -> None:
    if low is None or found is None or high is None:
        assert low is found is high
    else:
        assert low - _CLOCK_STEP <= found <= high + _CLOCK_STEP
