"""How a database of ours is told from any other file; imports nothing heavy."""

import sqlite3
from pathlib import Path

from syncd.errors import DatabaseError

APPLICATION_ID = 0x73796E63
"""SQLite's `application_id` of every syncd database: "sync" in ASCII."""

SCHEMA_VERSION = 6
"""The number of the last migration, SQLite's `user_version`."""

BUSY_TIMEOUT_MS = 5000
"""How long a statement waits for another process's lock, in milliseconds."""

_MAGIC = b"SQLite format 3\0"


def check_file(path: Path) -> None:
    """Refuse what is no file, can't be read or is no SQLite file, by its first bytes alone; an empty file passes."""
    if not path.is_file():
        what = "a directory" if path.is_dir() else "no regular file"
        raise DatabaseError(f"{path} is {what}; give the path of the database file itself")
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise DatabaseError(f"{path} can't be read: {error.strerror}; check the path and its permissions") from error
    if start and start != _MAGIC:
        raise DatabaseError(f"{path} is not an SQLite database and was left as it is; choose another path")


def check_application(path: Path, application_id: int) -> None:
    """Refuse another program's SQLite file."""
    if application_id != APPLICATION_ID:
        raise DatabaseError(f"{path} belongs to another program and was left as it is; choose another path")


def check_version(path: Path, version: int, newest: int = SCHEMA_VERSION) -> None:
    """Refuse a database that a newer syncd wrote."""
    if version > newest:
        raise DatabaseError(
            f"{path} was written by a newer syncd (schema {version}, this one knows {newest}); update syncd"
        )


def fetch_application_id(connection: sqlite3.Connection) -> int:
    """The file's `application_id`, 0 when none was set."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def fetch_version(connection: sqlite3.Connection) -> int:
    """The file's `user_version`, 0 when none was set."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
