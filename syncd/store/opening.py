"""Open the database to write it: make it, check whose it is, bring it to the newest schema."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from syncd.errors import DatabaseError, StoreTroubleError
from syncd.store.identity import BUSY_TIMEOUT_MS, check_application, check_file, fetch_application_id
from syncd.store.migrate import Migration, load_migrations, migrate
from syncd.store.reading import connect_read_only

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an event is logged only after its commit is on disk
    "PRAGMA journal_size_limit = 67108864",  # a long reader's WAL shrinks again: 64 MiB
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -65536",  # 64 MiB at most
)

_PASSING = {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM"}


class Writer:
    """The one connection that writes, usable from any one thread at a time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._engine = _build_engine(connection)
        self.connection: Connection = self._engine.connect()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` when the body raises."""
        with self.connection.begin():
            yield self.connection

    def close(self) -> None:
        """Close; when nobody else has the database open, what the WAL holds moves into the main file."""
        self.connection.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_writer(path: Path, *, group_read: bool = False, migrations: Sequence[Migration] | None = None) -> Writer:
    """Open the database for its one writer, made when missing and migrated when older.

    Raises DatabaseError for a newer or foreign database or a path that can't be used (the file is left as it is),
    StoreTroubleError when the disk is full or another process keeps the database locked.
    """
    try:
        _prepare_file(path, group_read=group_read)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        try:
            # The schema before WAL: a new file then has its whole identity in itself from its first commit on.
            migrate(connection, path, load_migrations() if migrations is None else migrations)
            for setting in _SETTINGS:
                connection.execute(setting)
            return Writer(path, connection)
        except BaseException:
            connection.close()
            raise
    except OSError as error:
        raise DatabaseError(f"{path} can't be opened: {error.strerror}; check the path and its permissions") from error
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def _build_engine(connection: sqlite3.Connection) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def begin(opened: Connection) -> None:
        # The sqlite3 driver begins nothing itself here; a deferred BEGIN could fail later, when it first writes.
        opened.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _prepare_file(path: Path, *, group_read: bool) -> None:
    mode = 0o640 if group_read else 0o600
    path.parent.mkdir(mode=0o750 if group_read else 0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        # Made here and not by SQLite, so that no moment has wider permissions; -wal and -shm take after this file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    _check_ours(path)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError, PermissionError):  # another owner's file keeps its permissions
            path.with_name(name).chmod(mode)


def _check_ours(path: Path) -> None:
    """Look at an existing file without changing a byte of it."""
    check_file(path)
    if path.stat().st_size == 0:
        return
    connection = connect_read_only(path)
    try:
        check_application(path, fetch_application_id(connection))
    finally:
        connection.close()


def _translate(path: Path, error: sqlite3.Error) -> DatabaseError | StoreTroubleError:
    name = getattr(error, "sqlite_errorname", "")
    if any(name.startswith(passing) for passing in _PASSING):
        return StoreTroubleError(f"{path} can't be opened for now: {error}; free disk space, or stop what holds it")
    return DatabaseError(
        f"{path} can't be opened: {error}; check the path and its permissions, `syncd doctor` says more"
    )
