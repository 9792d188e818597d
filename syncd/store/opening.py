"""Open the database to write it: make it, check whose it is, bring it to the newest schema."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from syncd.errors import DatabaseError, StoreTroubleError
from syncd.store.identity import (
    BUSY_TIMEOUT_MS,
    check_application,
    check_file,
    check_version,
    fetch_application_id,
    fetch_version,
)
from syncd.store.indexing import index_due, raw
from syncd.store.migrate import Migration, load_migrations, make_durable, migrate
from syncd.store.reading import connect_without_trace

_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an event is logged only after its commit is on disk
    "PRAGMA journal_size_limit = 67108864",  # a long reader's WAL shrinks again: 64 MiB
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",  # 16 MiB at most: a first pass of any size stays under 120 MB
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
            index_due(raw(self.connection))

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
    path = path.resolve()
    known = load_migrations() if migrations is None else migrations
    try:
        _prepare_file(path, known, group_read=group_read)
        return Writer(path, _connect_current(path, known))
    except OSError as error:
        raise DatabaseError(f"{path} can't be opened: {error.strerror}; check the path and its permissions") from error
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def _connect_current(path: Path, migrations: Sequence[Migration]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS:
            connection.execute(setting)
        migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _build_engine(connection: sqlite3.Connection) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def begin(opened: Connection) -> None:
        # The sqlite3 driver begins nothing itself here; a deferred BEGIN could fail later, when it first writes.
        opened.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _prepare_file(path: Path, migrations: Sequence[Migration], *, group_read: bool) -> None:
    mode = 0o640 if group_read else 0o600
    path.parent.mkdir(mode=0o750 if group_read else 0o700, parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        check_file(path)  # says why
    if not path.exists() or path.stat().st_size == 0:
        _create(path, mode, migrations)
    else:
        _check_ours(path, migrations[-1].version)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError, PermissionError):  # another owner's file keeps its permissions
            path.with_name(name).chmod(mode)


def _create(path: Path, mode: int, migrations: Sequence[Migration]) -> None:
    """Build the database under another name, so that nobody ever meets half of one under its own."""
    unfinished = path.with_name(f"{path.name}.new")
    for suffix in ("", "-journal", "-wal", "-shm"):
        unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
    # Made here and not by SQLite, so that no moment has wider permissions; SQLite's side files take after it.
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
            migrate(connection, unfinished, migrations)
            connection.execute("PRAGMA journal_mode = WAL")
        make_durable(unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    make_durable(path.parent)


def _check_ours(path: Path, newest: int) -> None:
    """Look at an existing file without changing a byte of it."""
    check_file(path)
    with closing(connect_without_trace(path)) as connection:
        check_application(path, fetch_application_id(connection))
        check_version(path, fetch_version(connection), newest)


def _translate(path: Path, error: sqlite3.Error) -> DatabaseError | StoreTroubleError:
    name = getattr(error, "sqlite_errorname", "")
    if any(name.startswith(passing) for passing in _PASSING):
        return StoreTroubleError(f"{path} can't be opened for now: {error}; free disk space, or stop what holds it")
    return DatabaseError(
        f"{path} can't be opened: {error}; check the path and its permissions, `syncd doctor` says more"
    )
