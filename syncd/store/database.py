"""Open the database and tell it from other files; say what a refusal of SQLite means. Imports nothing heavy."""

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from syncd.errors import PASSING_ERRORS, DatabaseError, NoDatabaseError, StoreTroubleError

APPLICATION_ID = 0x73796E63
"""SQLite's `application_id` of every syncd database: "sync" in ASCII."""

SCHEMA_VERSION = max(int(file.name[:4]) for file in Path(__file__).with_name("migrations").glob("*.sql"))
"""The number of the last migration, SQLite's `user_version`."""

BUSY_TIMEOUT_MS = 5000
"""How long a statement waits for another process's lock, in milliseconds."""

_MAGIC = b"SQLite format 3\0"


def check_file(path: Path) -> None:
    """Refuse what is no file, can't be read or is no SQLite file, by its first bytes alone; an empty file passes."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a directory" if path.is_dir() else "no regular file"
            raise DatabaseError(f"{path} is {what}; give the path of the database file itself")
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


# Which line of the database's history a change belongs to: a copy that goes on by itself has another from there.


def begin_db_history(connection: sqlite3.Connection) -> None:
    """Have the first numbered change of this opening leave a mark, in the change's own transaction.

    A temporary trigger does it, whoever takes the number; an opening that changes nothing leaves none.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_lineage'").fetchone():
        return  # a schema of before
    mark = secrets.token_hex(8)
    leave = f"INSERT OR IGNORE INTO _lineage (mark, change_id) VALUES ('{mark}', new.value)"  # noqa: S608 - hex digits
    connection.execute(
        "CREATE TEMP TRIGGER lineage AFTER UPDATE OF value ON main._counters WHEN new.name = 'change_id'"
        f" BEGIN {leave}; END"
    )


def read_identity(connection: sqlite3.Connection) -> str:
    """What tells this database, and every copy of it, from any other."""
    row = connection.execute("SELECT mark FROM _lineage ORDER BY change_id, mark LIMIT 1").fetchone()
    return str(row[0])


def read_mark(connection: sqlite3.Connection, change_id: int) -> str:
    """The mark of the time in which that change was made."""
    query = "SELECT mark FROM _lineage WHERE change_id <= ? ORDER BY change_id DESC LIMIT 1"
    return str(connection.execute(query, (change_id,)).fetchone()[0])


# What the doctor asks of the database, over a connection that can't write.


_LARGE_BYTES = 2 << 30  # beyond this only the quick check is made, as the whole one takes minutes


def find_damage(path: Path) -> list[str]:
    """What SQLite's own check finds wrong with the file, at most ten findings; raises DatabaseError."""
    check = "quick_check" if path.stat().st_size > _LARGE_BYTES else "integrity_check"
    try:
        with closing(connect_read_only(path)) as database:
            found = [str(row[0]) for row in database.execute(f"PRAGMA {check}(10)")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def empty_log(database: sqlite3.Connection, patience_ms: int = 100) -> bool:
    """Move the write-ahead log into the file and cut it to nothing; False where a reader stands in the way so long."""
    patience = database.execute("PRAGMA busy_timeout").fetchone()[0]
    database.execute(f"PRAGMA busy_timeout = {patience_ms}")
    try:
        return not database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        database.execute(f"PRAGMA busy_timeout = {int(patience)}")


def describe_schema(path: Path) -> str:
    """Which schema the database has; raises DatabaseError when it is not the one this syncd reads."""
    with closing(open_reader(path)) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        mode = database.execute("PRAGMA journal_mode").fetchone()[0]
    if mode not in {"wal", "delete"}:
        raise DatabaseError(f"{path} has journal mode {mode}; a restarted daemon sets it right")
    return f"schema {version}"


# What it means when SQLite or the disk refuses, and what a person can do about it.


_LOCKED = "another process keeps it locked; `syncd doctor` names it"
_DAMAGED = "the file is damaged; put a backup in its place, with no -wal and -shm file beside it"
_ADVICE = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_NOMEM": "free some memory",
    "SQLITE_READONLY": "the file, its folder or its disk is read-only; make it writable",
    "SQLITE_CANTOPEN": "see that its folder is there and writable",
    "SQLITE_IOERR": "see that its disk is mounted, sound and not full",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
_SOUND = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_NOMEM")  # nothing is wrong with the file


def is_trouble(error: BaseException) -> bool:
    """Whether the file, its disk or another process stands in the way, so that nothing else would fare better."""
    return isinstance(error, StoreTroubleError) or (
        isinstance(error, sqlite3.Error) and _find_advice(error) is not None
    )


def is_doubtful(error: BaseException) -> bool:
    """Whether what the connection has read of its file may be wrong."""
    return is_trouble(error) and isinstance(error, sqlite3.Error) and not _name(error).startswith(_SOUND)


def is_passing(path: Path, error: sqlite3.Error | OSError) -> bool:
    """Whether `path` may be opened some time later with nothing about it changed."""
    if isinstance(error, OSError):
        return error.errno in PASSING_ERRORS
    return _name(error).startswith((*_SOUND, "SQLITE_IOERR")) or (is_trouble(error) and _is_disk_read_only(path))


def translated(error: Exception) -> Exception:
    """What SQLite says, in our words; our own mistakes as they are."""
    if not isinstance(error, sqlite3.Error):
        return error
    return StoreTroubleError(f"{explain(error)}; syncd then goes on by itself")


def explain(error: sqlite3.Error) -> str:
    """What SQLite says, and what to do about it."""
    advice = _find_advice(error) or "`syncd doctor` looks at it"
    return f"the database refuses ({_name(error)}: {error}): {advice}"


def _find_advice(error: BaseException) -> str | None:
    return next((advice for name, advice in _ADVICE.items() if _name(error).startswith(name)), None)


def _name(error: BaseException) -> str:
    """SQLite's name for it; no mistake of ours bears one of those that have an advice."""
    return getattr(error, "sqlite_errorname", "SQLITE_ERROR")


def _is_disk_read_only(path: Path) -> bool:
    there = next(place for place in (path, *path.parents) if place.exists())
    return bool(os.statvfs(there).f_flag & os.ST_RDONLY)


# Open the database to read it, while the daemon writes or after it stopped; imports nothing heavy.


Connection = sqlite3.Connection

Database = sqlite3.Connection
"""A connection that can't write, whose rows are dictionaries."""

Row = dict[str, Any]


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
    return any(os.path.exists(f"{path}{suffix}") for suffix in ("-wal", "-journal"))  # noqa: PTH110 - Path's raises


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


def database_path(database: sqlite3.Connection) -> Path:
    """The file that the connection has open."""
    return Path(database.execute("PRAGMA database_list").fetchone()[2])


def transact(database: sqlite3.Connection, work: Callable[[], None]) -> None:
    """Do the work in one transaction of its own."""
    database.execute("BEGIN IMMEDIATE")
    try:
        work()
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
