"""Open the database to read it, while the daemon writes or after it stopped; imports nothing heavy."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from syncd.errors import DatabaseError, NoDatabaseError
from syncd.store.identity import (
    BUSY_TIMEOUT_MS,
    SCHEMA_VERSION,
    check_application,
    check_file,
    check_version,
    fetch_application_id,
    fetch_version,
)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open an existing, current database; the connection can't write and belongs to whoever closes it.

    Raises NoDatabaseError when there is none yet, DatabaseError when it is foreign, newer, older or unreadable.
    """
    _check_exists(path)
    check_file(path)
    try:
        connection = connect_read_only(path)
    except sqlite3.Error as error:
        raise DatabaseError(f"{path} can't be read: {error}; `syncd doctor` says more") from error
    try:
        _check_current(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Connect without the right to write; raises sqlite3.Error when the file can't be read."""
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:
        # A WAL database wants its -wal and -shm files made, which is impossible in a folder we may not write.
        if _is_in_use(path):
            raise
        return _connect(path, "mode=ro&immutable=1")


def connect_without_trace(path: Path) -> sqlite3.Connection:
    """Connect for a short look that makes no file beside a database nobody uses; raises as `connect_read_only`."""
    return _connect(path, "mode=ro" if _is_in_use(path) else "mode=ro&immutable=1")


def _is_in_use(path: Path) -> bool:
    """Whether somebody may be writing, or was stopped while writing: without these files the main file is whole."""
    return any(path.with_name(path.name + suffix).exists() for suffix in ("-wal", "-journal"))


def _connect(path: Path, options: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?{options}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        with closing(connection.execute("SELECT count(*) FROM sqlite_master")) as cursor:
            cursor.fetchone()  # the first read is what fails, not connecting
    except BaseException:
        connection.close()
        raise
    return connection


def _check_exists(path: Path) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise NoDatabaseError(f"there is no database at {path}; `syncd sync` makes one") from error
    except OSError as error:
        raise DatabaseError(f"{path} can't be read: {error.strerror}; check the path and its permissions") from error
    if size == 0 and path.is_file():
        raise NoDatabaseError(f"the database at {path} is still empty; `syncd sync` fills it")


def _check_current(path: Path, connection: sqlite3.Connection) -> None:
    check_application(path, fetch_application_id(connection))
    version = fetch_version(connection)
    check_version(path, version)
    if version < SCHEMA_VERSION:
        raise DatabaseError(
            f"{path} is of an older syncd (schema {version}, now {SCHEMA_VERSION}); "
            "`syncd sync` or a restarted `syncd run` brings it up to date"
        )
