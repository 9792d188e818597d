"""Which line of the database's history a change belongs to: a copy that goes on by itself has another from there."""

import secrets
import sqlite3


def begin_lineage(connection: sqlite3.Connection) -> None:
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
