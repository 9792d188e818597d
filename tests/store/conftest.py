"""Databases to test with: a migrated one in memory for the views, real files for the rest."""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncd.store.migrate import load_migrations, migrate

Insert = Callable[..., None]
"""`insert(table, column=value, …)`: one row, with plain values for the columns that may not be NULL."""

Query = Callable[..., list[dict[str, Any]]]
"""`query(sql, *values)`: the rows, each as a dictionary."""


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    """A migrated database in memory with the accounts `ot` (OpenTrain) and `ats` (OpenATS)."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, Path("memory"), load_migrations())
        connection.row_factory = sqlite3.Row
        for account, source in (("ot", "opentrain"), ("ats", "openats")):
            insert_row(connection, "accounts", account=account, source=source, state="ok")
        yield connection


def insert_row(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert one row; what may not be NULL and isn't given gets a plain value."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    stamps = {"first_seen_at": "2026-01-01T00:00:00.000Z", "changed_at": "2026-01-01T00:00:00.000Z", "change_id": 1}
    row = {name: value for name, value in stamps.items() if name in columns} | values
    marks = ", ".join("?" for _ in row)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})",  # noqa: S608 - names are the tests' own
        tuple(row.values()),
    )


def format_ago(seconds: float) -> str:
    """A time so many seconds before now."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def ago() -> Callable[[float], str]:
    """`ago(5)`: the time five seconds before now."""
    return format_ago


@pytest.fixture
def insert(database: sqlite3.Connection) -> Insert:
    """Insert a row, of the account `ot` unless told otherwise."""

    def insert_one(table: str, **values: object) -> None:
        insert_row(database, table, **({"account": "ot"} | values))

    return insert_one


@pytest.fixture
def say(insert: Insert) -> Insert:
    """`say("in" | "out" | "system", id, seconds ago)`: a message in conversation `c`, unless told otherwise."""

    def say_one(direction: str, id: str, seconds: float | None, **values: object) -> None:
        flags = {"is_from_viewer": int(direction == "out"), "is_system": int(direction == "system")}
        created_at = None if seconds is None else format_ago(seconds)
        insert("messages", **({"id": id, "conversation_id": "c", "created_at": created_at} | flags | values))

    return say_one


@pytest.fixture
def query(database: sqlite3.Connection) -> Query:
    """Ask the database."""

    def fetch(sql: str, *values: object) -> list[dict[str, Any]]:
        return [dict(row) for row in database.execute(sql, values)]

    return fetch


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="syncd-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Call it to become somebody whom permissions stop, for the rest of the test; only root has to change for that."""
    user = os.geteuid()
    yield lambda: os.seteuid(65534) if user == 0 else None
    os.seteuid(user)
