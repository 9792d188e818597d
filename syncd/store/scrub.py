"""Remove from the files what was deleted from the tables, and name the copies that still have it."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from glob import escape
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from syncd.store.migrate import find_copies, make_durable
from syncd.store.reading import connect_read_only

_PATIENCE_SECONDS = 5.0
"""How long readers may keep the write-ahead log from being emptied before that is left to the next start."""


def finish_erasures(database: sqlite3.Connection) -> bool:
    """Do what is left of every erasure whose rows are gone; False while a reader is in the way.

    To be called by the lock's holder outside a transaction, at each start too: a crash may have come in between.
    """
    newest = database.execute("SELECT max(id) FROM _erasures").fetchone()[0]
    if newest is None:
        return True
    _rewrite(database)
    for copy in find_copies(database_path(database)):
        copy.unlink(missing_ok=True)
    if not _empty_log(database):
        return False
    database.execute("DELETE FROM _erasures WHERE id <= ?", (newest,))
    return True


def _rewrite(database: sqlite3.Connection) -> None:
    """Merge the search index to one part and build the file anew: older parts and free space keep deleted text."""
    database.execute("INSERT INTO _search (_search) VALUES ('optimize')")
    kept = database.execute("PRAGMA temp_store").fetchone()[0]
    database.execute("PRAGMA temp_store = FILE")  # the copy of the whole database has no place in memory
    try:
        database.execute("VACUUM")
    finally:
        database.execute(f"PRAGMA temp_store = {int(kept)}")


def _empty_log(database: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and cut it to nothing."""
    deadline = monotonic() + _PATIENCE_SECONDS
    while database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if monotonic() > deadline:
            return False
        sleep(0.1)
    make_durable(database_path(database))
    return True


def database_path(database: sqlite3.Connection) -> Path:
    """The file that the connection has open."""
    return Path(database.execute("PRAGMA database_list").fetchone()[2])


def note_backup(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Remember where a copy of the database was made (`path`), so that an erasure can name it."""
    row = (str(words["path"]), now)
    database.execute("INSERT OR REPLACE INTO _backups (path, made_at) VALUES (?, ?)", row)
    return {"path": row[0]}


def find_backups(database: sqlite3.Connection, account: str, ids: Iterable[str]) -> list[str]:
    """The known backups that are still there and hold one of these candidates or conversations, or can't be read.

    Older ones that `--keep` has renamed, FILE.1 and so on, are looked at too.
    """
    known = [Path(row[0]) for row in database.execute("SELECT path FROM _backups ORDER BY made_at")]
    there = {
        file: None
        for path in known
        for file in (path, *sorted(path.parent.glob(f"{escape(path.name)}.[0-9]*")))
        if file.is_file()
    }
    wanted = list(ids)
    return [str(path) for path in there if _holds(path, account, wanted)]


def _holds(path: Path, account: str, ids: list[str]) -> bool:
    query = (
        "WITH held AS (SELECT value FROM json_each(:ids))"
        " SELECT EXISTS (SELECT 1 FROM candidates WHERE account = :account AND id IN held)"
        " OR EXISTS (SELECT 1 FROM conversations WHERE account = :account AND id IN held)"
    )
    try:
        with closing(connect_read_only(path)) as backup:
            return bool(backup.execute(query, {"account": account, "ids": json.dumps(ids)}).fetchone()[0])
    except sqlite3.Error:
        return True
