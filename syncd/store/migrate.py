"""Open the database to write it: make it, check it, and bring it to the newest schema."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Self

from syncd.core.sources import SOURCES
from syncd.errors import DatabaseError, StoreTroubleError
from syncd.files import ForeignFileError, check_regular, remove, replacing, set_mode
from syncd.store.database import (
    APPLICATION_ID,
    BUSY_TIMEOUT_MS,
    begin_db_history,
    check_application,
    check_file,
    check_version,
    connect_without_trace,
    empty_log,
    explain,
    fetch_application_id,
    fetch_version,
    is_passing,
)
from syncd.store.index import index_due

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
    _register_sources(connection)


def _register_sources(connection: sqlite3.Connection) -> None:
    """Have the views know what each kind of source can do."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_sources'").fetchone():
        return  # a schema of before
    wanted = {(kind.name, int(kind.has_viewer), int(kind.names_subjects)) for kind in SOURCES.values()}
    held = set(connection.execute("SELECT source, has_viewer, names_subjects FROM _sources"))
    for row in sorted(wanted - held):
        connection.execute("INSERT OR REPLACE INTO _sources (source, has_viewer, names_subjects) VALUES (?, ?, ?)", row)


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
    database = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    with (
        replacing(target, mode=database.stat().st_mode & 0o777, database=True) as unfinished,
        closing(sqlite3.connect(unfinished, isolation_level=None)) as copy,
    ):
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable without -wal and -shm


def _copy_path(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.v{version}.bak")


def find_copies(path: Path) -> list[Path]:
    """The copies that migrations left beside the database, unfinished ones too."""
    name = re.compile(rf"\.?{re.escape(path.name)}\.v\d+\.bak(\.syncd-new|\.part)?(-journal)?")
    return sorted(entry for entry in path.parent.iterdir() if name.fullmatch(entry.name))


def remove_copies(path: Path, *, before: datetime) -> list[Path]:
    """Remove the copies made before that time (an aware one) and say which."""
    old = [copy for copy in find_copies(path) if copy.stat().st_mtime < before.timestamp()]
    for copy in old:
        copy.unlink(missing_ok=True)
    return old


# Open the database to write it: make it, check whose it is, bring it to the newest schema.


_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an event is logged only after its commit is on disk
    "PRAGMA wal_autocheckpoint = 8192",  # 32 MiB: a page that many commits change moves into the main file once
    "PRAGMA journal_size_limit = 67108864",  # a long reader's WAL shrinks again
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",  # 16 MiB at most: a first pass of any size stays under 120 MB
)

LOG_BYTES = 64 * 1024 * 1024  # a longer log means that there is always somebody who reads
_READERS_MS = 1000

_Identity = tuple[int, int] | None  # device and inode; None: there is no such file


class Writer:
    """The one connection that writes, usable from any one thread at a time; `connect` makes it."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self.path = path
        self._connect = connect
        self._doubted = False
        self._changes = 0
        self._log_bound = LOG_BYTES
        self._lock = _identify(path, ".lock")
        self._take_up()

    def _take_up(self) -> None:
        self.connection = self._connect()
        self._file, self._log = _identify(self.path), _identify(self.path, "-wal")

    def doubt(self) -> None:
        """Connect anew before the next use: what this connection has read of a refusing file may be wrong."""
        self._doubted = True

    def has_changed(self) -> bool:
        """Whether anything was written since this was last asked; it is not known of a connection in doubt."""
        if self._doubted:
            return False
        before, self._changes = self._changes, self.connection.total_changes
        return self._changes != before

    def shorten_log(self) -> None:
        """Empty a log that readers who overlap keep from being begun anew.

        SQLite only does so in a moment without any, so here they are waited for, for a second at most; where one stays
        longer, that is tried again when the log has grown by as much once more.
        """
        with suppress(OSError, sqlite3.Error):  # the next transaction meets the same
            size = self.path.with_name(f"{self.path.name}-wal").stat().st_size
            if size < self._log_bound:
                return
            emptied = empty_log(self.connection, _READERS_MS)
            self._log_bound = LOG_BYTES if emptied else size + LOG_BYTES

    def make_sure(self) -> bool:
        """Be connected to the files that bear the database's names now; whether it was replaced by another.

        Raises StoreTroubleError while there is no database of ours there, sqlite3.Error while it can't be opened.
        """
        file = _identify(self.path)
        if not self._doubted and (file, _identify(self.path, "-wal")) == (self._file, self._log):
            return False
        replaced = file != self._file
        self._check_names(file)
        self._doubted = True  # until it is opened again
        self.connection.close()
        if replaced and _identify(self.path, "-wal") == self._log:
            self._remove_log()
        self._take_up()
        self._doubted = False
        return replaced

    def _check_names(self, file: _Identity) -> None:
        if file is None:
            raise StoreTroubleError(
                f"{self.path} was removed while syncd used it; put it or a backup back, then syncd goes on by itself,"
                " or restart syncd to begin a new one"
            )
        if _identify(self.path, ".lock") != self._lock:
            raise StoreTroubleError(
                f"{self.path}.lock was removed, so another syncd may use the database; restart this"
            )

    def _remove_log(self) -> None:
        """The log of the file that was there before would spoil the one that is there now."""
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` when the body raises."""
        self.connection.execute("BEGIN IMMEDIATE")  # a deferred one could fail later, when it first writes
        try:
            yield self.connection
            index_due(self.connection)
            self.connection.commit()
        except BaseException:
            with suppress(sqlite3.Error):  # what went wrong first is what is told
                self.connection.rollback()
            raise

    def close(self) -> None:
        """Close; when nobody else has the database open, what the WAL holds moves into the main file."""
        self.connection.close()

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
        return Writer(path, lambda: _connect_ours(path, known))
    except ForeignFileError as error:
        raise DatabaseError(str(error)) from error
    except OSError as error:
        if is_passing(path, error):
            raise StoreTroubleError(f"{path} can't be opened for now: {error.strerror}; see to its disk") from error
        raise DatabaseError(f"{path} can't be opened: {error.strerror}; check the path and its permissions") from error
    except sqlite3.Error as error:
        raise _translate(path, error) from error


def _connect_ours(path: Path, migrations: Sequence[Migration]) -> sqlite3.Connection:
    _check_ours(path, migrations[-1].version)
    return _connect_current(path, migrations)


def _connect_current(path: Path, migrations: Sequence[Migration]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS:
            connection.execute(setting)
        migrate(connection, path, migrations)
        begin_db_history(connection)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on there is a log
    except BaseException:
        connection.close()
        raise
    return connection


def _identify(path: Path, suffix: str = "") -> _Identity:
    try:
        found = path.with_name(path.name + suffix).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _prepare_file(path: Path, migrations: Sequence[Migration], *, group_read: bool) -> None:
    mode = 0o640 if group_read else 0o600
    path.parent.mkdir(mode=0o750 if group_read else 0o700, parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        check_file(path)  # says why
    for suffix in ("-wal", "-shm", "-journal"):
        check_regular(path.with_name(path.name + suffix))  # SQLite would follow a link
    if not path.exists() or path.stat().st_size == 0:
        _create(path, mode, migrations)
    else:
        _check_ours(path, migrations[-1].version)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError, PermissionError):  # another owner's file keeps its permissions
            set_mode(path.with_name(name), mode)


def _create(path: Path, mode: int, migrations: Sequence[Migration]) -> None:
    """Build the database under another name, so that nobody ever meets half of one under its own."""
    # Made here and not by SQLite, so that no moment has wider permissions; SQLite's side files take after it.
    with replacing(path, mode=mode) as unfinished:
        for suffix in ("-journal", "-wal", "-shm"):
            remove(unfinished.with_name(unfinished.name + suffix))
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # half of it is never used
            migrate(connection, unfinished, migrations)
            connection.execute("PRAGMA journal_mode = WAL")


def _check_ours(path: Path, newest: int) -> None:
    """Look at an existing file without changing a byte of it."""
    check_file(path)
    with closing(connect_without_trace(path)) as connection:
        check_application(path, fetch_application_id(connection))
        check_version(path, fetch_version(connection), newest)


def _translate(path: Path, error: sqlite3.Error) -> DatabaseError | StoreTroubleError:
    if is_passing(path, error):
        return StoreTroubleError(f"{path} can't be opened for now: {explain(error)}")
    return DatabaseError(f"{path} can't be opened: {explain(error)}")
