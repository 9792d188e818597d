"""What an erasure would take, for whoever may only read."""

import sqlite3
from typing import Any

from syncd.store.erase import count_rows, find_scope
from syncd.store.read import Database
from syncd.store.scrub import find_backups


def find_owners(database: Database, words: dict[str, Any]) -> list[str]:
    """The accounts that hold the `candidate` or the `conversation`, or something of it."""
    query = (
        "SELECT account FROM candidates WHERE id = :candidate"
        " UNION SELECT account FROM proposals WHERE candidate_id = :candidate"
        " UNION SELECT account FROM conversations"
        " WHERE id = coalesce(:conversation, 'candidate:' || :candidate) ORDER BY account"
    )
    return [row["account"] for row in database.execute(query, words)]


def preview(database: sqlite3.Connection, words: dict[str, Any]) -> dict[str, Any]:
    """How many rows of each table would go, and which backups hold them too; the connection gives plain rows."""
    scope = find_scope(database, str(words["account"]), words.get("candidate"), words.get("conversation"))
    backups = find_backups(database, scope.account, scope.candidates or scope.conversations)
    return {"account": scope.account, "rows": count_rows(database, scope), "backups": backups}
