"""Bring a database to the newest schema: each numbered SQL file whole or not at all, after a copy beside it."""

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from syncd.store.identity import APPLICATION_ID, check_version, fetch_version

KEEP_COPIES = timedelta(days=7)
"""How long the copy made before a migration is kept."""


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file: what it does to a database of the version before."""

    version: int
    script: str


def load_migrations() -> tuple[Migration, ...]:
    """Every migration of this installation, in order."""
    found = (entry for entry in files("syncd.store.migrations").iterdir() if entry.name.endswith(".sql"))
    return tuple(
        Migration(int(entry.name.partition("_")[0]), entry.read_text(encoding="utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    )


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Apply the migrations that the database lacks, each in one transaction; `connection` is in autocommit mode.

    Raises sqlite3.Error when one fails: the database then has the version it had before that one.
    """
    version = fetch_version(connection)
    check_version(path, version, migrations[-1].version)
    if 0 < version < migrations[-1].version:
        write_copy(connection, _copy_path(path, version))
    with _quick_to_drop(connection):
        for migration in migrations:
            if migration.version > version:
                _apply(connection, migration)


@contextmanager
def _quick_to_drop(connection: sqlite3.Connection) -> Iterator[None]:
    """Let dropped tables be: SQLite as Debian builds it clears each of their pages, and keeps all of them in memory."""
    kept = connection.execute("PRAGMA secure_delete").fetchone()[0]
    connection.execute("PRAGMA secure_delete = FAST")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA secure_delete = {('OFF', 'ON', 'FAST')[kept]}")


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have been quicker.
        if fetch_version(connection) < migration.version:
            for statement in _split(migration.script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {migration.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _split(script: str) -> Iterator[str]:
    """One statement after the other; `executescript` would commit the transaction it runs in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def write_copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database to one durable file with the same permissions; it appears whole or not at all."""
    unfinished = target.with_name(target.name + ".part")
    unfinished.unlink(missing_ok=True)
    database = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    unfinished.chmod(database.stat().st_mode & 0o777)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable without -wal and -shm
    make_durable(unfinished)
    unfinished.replace(target)
    make_durable(target.parent)


def make_durable(path: Path) -> None:
    """Wait until a file's content, or a directory's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_path(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.v{version}.bak")


def find_copies(path: Path) -> list[Path]:
    """The copies that migrations left beside the database, unfinished ones too."""
    name = re.compile(re.escape(path.name) + r"\.v\d+\.bak(\.part)?(-journal)?")
    return sorted(entry for entry in path.parent.iterdir() if name.fullmatch(entry.name))


def remove_copies(path: Path, *, before: datetime) -> list[Path]:
    """Remove the copies made before that time (an aware one) and say which."""
    old = [copy for copy in find_copies(path) if copy.stat().st_mtime < before.timestamp()]
    for copy in old:
        copy.unlink(missing_ok=True)
    return old
