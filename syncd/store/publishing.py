"""How far the database is published into which targets; written by the lock's holder, like a consumer's place."""

import sqlite3
from typing import Any

from syncd.store.feed import transact
from syncd.store.read import Database, Row


def note_published(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Write down how `target` stands: its `place`, when that was `published_at`, or the `error` and when to try again.

    To be called by the lock's holder, outside a transaction. `follows`: whether somebody keeps it up to date; None
    leaves that as it was.
    """
    given = {name: words.get(name) for name in ("place", "published_at", "error", "tries", "next_try_at", "follows")}
    transact(database, lambda: _write(database, {"target": str(words["target"]), "now": now, **given}))
    return {}


def _write(database: sqlite3.Connection, words: dict[str, Any]) -> None:
    database.execute("INSERT OR IGNORE INTO _published (target) VALUES (:target)", words)
    database.execute(
        "UPDATE _published SET follows = coalesce(:follows, follows), place = coalesce(:place, place),"
        " published_at = coalesce(:published_at, published_at), error = :error, tries = coalesce(:tries, 0),"
        " failing_since = CASE WHEN :error IS NOT NULL THEN coalesce(failing_since, :now) END,"
        " next_try_at = :next_try_at WHERE target = :target",
        words,
    )


def leave_targets(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Nobody keeps any target up to date but `target` (None: none at all), as far as the daemon goes."""
    del now
    values = (words.get("target"),)
    if database.execute("SELECT 1 FROM _published WHERE follows AND target IS NOT ?", values).fetchone():
        transact(database, lambda: _leave(database, values))
    return {}


def _leave(database: sqlite3.Connection, values: tuple[Any, ...]) -> None:
    database.execute(
        "UPDATE _published SET follows = 0, error = NULL, tries = 0, failing_since = NULL, next_try_at = NULL"
        " WHERE follows AND target IS NOT ?",
        values,
    )


_TARGETS = """
SELECT p.target, p.follows, p.place, c.value - p.place AS behind, p.published_at, p.error, p.tries, p.failing_since,
       p.next_try_at,
       (SELECT count(*) FROM _deletions d WHERE d.change_id > p.place AND d.table_name <> 'failures') AS to_remove
FROM _published p, _counters c WHERE c.name = 'change_id' ORDER BY p.target
"""


def read_targets(database: Database) -> list[Row]:
    """Every target: how many transactions it is behind, rows still to be removed from it, and what keeps it up."""
    rows = database.execute(_TARGETS).fetchall()
    return [row | {"follows": bool(row["follows"])} for row in rows]
