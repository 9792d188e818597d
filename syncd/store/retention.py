"""Erase by age: messages, transcripts and events older than `[store] retention_days`."""

import sqlite3

from syncd.core.times import after
from syncd.store.erase import PUBLIC, delete_rows, keep_ids, next_change, note_gaps, owe_scrubbing
from syncd.store.feed import transact
from syncd.store.indexing import index_due
from syncd.store.scrub import finish_erasures

_SECONDS_PER_DAY = 86_400.0
_OLD = {
    "message_revisions": ("(account, message_id) IN (SELECT account, id FROM messages WHERE created_at < :before)"),
    "messages": "created_at < :before",
    "events": "occurred_at < :before",
    "outbox": "created_at < :before AND state NOT IN ('queued', 'sending')",
    "interviews": (
        "EXISTS (SELECT 1 FROM interview_messages m WHERE m.account = interviews.account"
        " AND m.proposal_id = interviews.proposal_id AND m.sent_at < :before)"
        " AND NOT EXISTS (SELECT 1 FROM interview_messages m WHERE m.account = interviews.account"
        " AND m.proposal_id = interviews.proposal_id AND (m.sent_at >= :before OR m.sent_at IS NULL))"
    ),
    "interview_messages": "sent_at < :before",
}
"""Which rows of each table are too old; what looks at others comes before them."""


def apply_retention(database: sqlite3.Connection, days: int, now: str) -> dict[str, int]:
    """Erase what is older than so many days (0: nothing is), by the lock's holder and outside a transaction.

    Gives how many rows of each table went. To be called daily, and at each start.
    """
    if not days:
        transact(database, lambda: _forget_age(database))
        return {}
    before = after(now, -days * _SECONDS_PER_DAY)
    counts = count_old(database, before)
    transact(database, lambda: _erase_old(database, before, now, anything=bool(counts)))
    if counts:
        finish_erasures(database)
    return counts


def count_old(database: sqlite3.Connection, before: str) -> dict[str, int]:
    """How many rows of each table are older; tables without any are left out."""
    counts = {
        table: database.execute(f"SELECT count(*) FROM {table} WHERE {where}", {"before": before}).fetchone()[0]  # noqa: S608 - constants
        for table, where in _OLD.items()
    }
    return {table: count for table, count in counts.items() if count}


def _forget_age(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM _erased WHERE kind = 'before'")


def _erase_old(database: sqlite3.Connection, before: str, now: str, *, anything: bool) -> None:
    _forget_age(database)
    for (account,) in database.execute("SELECT account FROM accounts").fetchall():
        keep_ids(database, account, "before", [before], now)
    if not anything:
        return
    words = {"before": before}
    replaced = f"SELECT account, coalesce(interview_id, proposal_id) FROM interviews WHERE {_OLD['interviews']}"  # noqa: S608 - constants
    for account, id in database.execute(replaced, words).fetchall():
        keep_ids(database, account, "interview", [id], now)
    note_gaps(database, _OLD["events"], words, "retention", now)
    change_id = next_change(database)
    for table, where in _OLD.items():
        delete_rows(database, table, PUBLIC[table][0], where, words | {"change_id": change_id})
    index_due(database)
    owe_scrubbing(database, "retention", now)
