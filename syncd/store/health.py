"""What the doctor asks of the database, over a connection that can't write."""

import sqlite3
from contextlib import closing
from pathlib import Path

from syncd.errors import DatabaseError
from syncd.store.reading import connect_read_only, open_reader

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
