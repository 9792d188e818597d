"""How a competent user copies a mirror into PostgreSQL: row-wise upserts, a thousand rows a transaction.

`python -m benchmarks.upserting DATABASE URL WAY SHARE`: the tables are there, in the schema `syncd`, with their
indexes. WAY `execute` sends a statement and waits for its answer, row by row; `executemany` lets psycopg send a
thousand ahead. Of the rows one in SHARE is copied.
"""

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import Any

import psycopg
from psycopg import sql

from publish.pair import TABLES

_ROWS = 1_000

Row = tuple[Any, ...]


def copy_table(mirror: sqlite3.Connection, target: psycopg.Connection, table: str, way: str, share: int) -> int:
    """Upsert every row, or one in so many; how many."""
    kinds: dict[str, str] = dict(
        target.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'syncd' AND table_name = %s ORDER BY ordinal_position",
            [table],
        ).fetchall()
    )
    statement = _build_upsert(table, list(kinds), _KEYS.get(table, ["account", "id"]))
    flags = [place for place, kind in enumerate(kinds.values()) if kind == "boolean"]
    query = f"SELECT {', '.join(kinds)} FROM {table} WHERE rowid % {share} = 0"  # noqa: S608 - our own names
    rows = (_convert(row, flags) for row in mirror.execute(query))
    count = 0
    while batch := list(islice(rows, _ROWS)):
        with target.transaction(), target.cursor() as cursor:
            _WAYS[way](cursor, statement, batch)
        count += len(batch)
    return count


_KEYS = {
    "accounts": ["account"],
    "message_revisions": ["account", "message_id", "revision"],
    "interviews": ["account", "proposal_id"],
    "interview_messages": ["account", "proposal_id", "id"],
    "failures": ["account", "kind", "subject_id"],
}


def _build_upsert(table: str, columns: list[str], key: list[str]) -> sql.Composed:
    others = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns if name not in key]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.Placeholder() for _ in columns),
        sql.SQL(", ").join(map(sql.Identifier, key)),
        sql.SQL(", ").join(others),
    )


def _convert(row: Row, flags: list[int]) -> list[Any]:
    values = [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row]
    for place in flags:
        values[place] = None if values[place] is None else bool(values[place])
    return values


def _execute_each(cursor: psycopg.Cursor, statement: sql.Composed, batch: list[list[Any]]) -> None:
    for row in batch:
        cursor.execute(statement, row)


_WAYS: dict[str, Callable[[psycopg.Cursor, sql.Composed, list[list[Any]]], None]] = {
    "execute": _execute_each,
    "executemany": psycopg.Cursor.executemany,
}


def main() -> None:
    """Copy every table and tell how many rows there were."""
    path, url, way, share = sys.argv[1:]
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as mirror,
        psycopg.connect(url, autocommit=True, options="-c search_path=syncd") as target,
    ):
        rows = sum(copy_table(mirror, target, table, way, int(share)) for table in TABLES)
    sys.stdout.write(json.dumps({"rows": rows}) + "\n")


if __name__ == "__main__":
    main()
