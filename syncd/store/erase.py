"""Erase a person or a conversation: the rows in one transaction, then every trace in the file."""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from syncd.store.feed import transact
from syncd.store.indexing import index_due
from syncd.store.scrub import find_backups, finish_erasures


class Scope(Struct, frozen=True, kw_only=True):
    """What is erased of one account, by ids; `messages` are those outside the conversations."""

    account: str
    candidates: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def words(self) -> dict[str, str]:
        """The ids as parameters of a query, each list as JSON."""
        lists = {name: json.dumps(getattr(self, name)) for name in self.__struct_fields__ if name != "account"}
        return {"account": self.account, **lists}


def _among(column: str, *lists: str) -> str:
    parts = (f"{column} IN (SELECT value FROM json_each(:{name}))" for name in lists)  # noqa: S608 - constants
    return f"({' OR '.join(parts)})"


_MESSAGES = f"account = :account AND ({_among('conversation_id', 'conversations')} OR {_among('id', 'messages')})"
_THEIRS = f"IN (SELECT id FROM messages WHERE {_MESSAGES})"  # noqa: S608 - built of constants
_OF_PROPOSALS = f"account = :account AND {_among('proposal_id', 'proposals')}"
_OF_CONVERSATIONS = f"account = :account AND {_among('conversation_id', 'conversations')}"
_TOLD = " OR ".join(
    (
        _among("conversation_id", "conversations"),
        _among("proposal_id", "proposals"),
        _among("message_id", "messages"),
    )
)
_SUBJECTS = f"account = :account AND {_among('subject_id', 'conversations', 'proposals', 'messages')}"
# What points at messages comes before them.
PUBLIC = {
    "message_revisions": ("account, message_id, revision", f"account = :account AND message_id {_THEIRS}"),
    "events": ("id", f"account = :account AND ({_TOLD})"),
    "messages": ("account, id", _MESSAGES),
    "outbox": ("id", _OF_CONVERSATIONS),
    "conversations": ("account, id", f"account = :account AND {_among('id', 'conversations')}"),
    "interview_messages": ("account, proposal_id, id", _OF_PROPOSALS),
    "interviews": ("account, proposal_id", _OF_PROPOSALS),
    "proposals": ("account, id", f"account = :account AND {_among('id', 'proposals')}"),
    "candidates": ("account, id", f"account = :account AND {_among('id', 'candidates')}"),
    "failures": ("account, kind, subject_id", _SUBJECTS),
}
"""Each public table that is erased from: its primary key, and which rows."""
_INTERNAL = {
    "_threads": _OF_CONVERSATIONS,
    "_seen": _OF_CONVERSATIONS,
    "_owed": _SUBJECTS,
    "_suspects": f"({_SUBJECTS}) OR ({_OF_CONVERSATIONS})",
    "_outbox": "id NOT IN (SELECT id FROM outbox)",  # what the outbox had beside it
}


def purge(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Erase `candidate` or `conversation` of `account`, by the lock's holder and outside a transaction.

    Gives how many rows of each table went, the backups that still hold them, and whether every trace is gone from the
    file: a reader that stays in the way leaves the last step to the next start.
    """
    finish_erasures(database)  # what a crash left, so that one answer speaks for all
    scope = find_scope(database, str(words["account"]), words.get("candidate"), words.get("conversation"))
    counts = count_rows(database, scope)
    transact(database, lambda: erase_rows(database, scope, now))
    return {
        "account": scope.account,
        "rows": counts,
        "backups": find_backups(database, scope.account, scope.candidates or scope.conversations),
        "clean": finish_erasures(database),
    }


def find_scope(database: sqlite3.Connection, account: str, candidate: str | None, conversation: str | None) -> Scope:
    """What has to go with a candidate, or with a conversation alone; nothing else has to be known of either."""
    if candidate is None:
        return Scope(account=account, conversations=(str(conversation),))
    proposals = _ids(database, "SELECT id FROM proposals WHERE account = ? AND candidate_id = ?", account, candidate)
    threads = "SELECT id FROM conversations WHERE account = ? AND proposal_id IN (SELECT value FROM json_each(?))"
    conversations = _ids(database, threads, account, json.dumps(proposals))
    chats = _ids(
        database, "SELECT id FROM conversations WHERE account = ? AND id = ?", account, f"candidate:{candidate}"
    )
    own = Scope(
        account=account, candidates=(candidate,), proposals=tuple(proposals), conversations=(*conversations, *chats)
    )
    elsewhere = [row[0] for row in database.execute(_ELSEWHERE, own.words | {"candidate": candidate})]
    return Scope(**{name: getattr(own, name) for name in own.__struct_fields__} | {"messages": tuple(elsewhere)})


_ELSEWHERE = f"""
SELECT m.id FROM messages m
WHERE m.account = :account AND m.is_from_viewer IS NOT 1 AND m.is_system IS NOT 1
  AND NOT {_among("m.conversation_id", "conversations")}
  AND (m.sender_user_id = :candidate OR m.sender_user_id IN (
    SELECT t.sender_user_id FROM messages t
    WHERE t.account = :account AND {_among("t.conversation_id", "conversations")}
      AND t.is_from_viewer IS NOT 1 AND t.is_system IS NOT 1))
  AND m.sender_user_id NOT IN (
    SELECT o.sender_user_id FROM conversations c
    JOIN proposals p ON p.account = c.account AND p.id = c.proposal_id
    JOIN messages o ON o.account = c.account AND o.conversation_id = c.id
    WHERE c.account = :account AND o.sender_user_id IS NOT NULL AND o.is_from_viewer IS NOT 1
      AND p.candidate_id IS NOT :candidate)
"""  # noqa: S608 - built of constants
"""Their messages in other conversations; whoever writes in other candidates' threads too is a colleague of ours."""


def count_rows(database: sqlite3.Connection, scope: Scope) -> dict[str, int]:
    """How many rows of each public table would go; tables without any are left out."""
    counts = {
        table: database.execute(f"SELECT count(*) FROM {table} WHERE {where}", scope.words).fetchone()[0]  # noqa: S608 - constants
        for table, (_, where) in PUBLIC.items()
    }
    return {table: count for table, count in counts.items() if count}


def erase_rows(database: sqlite3.Connection, scope: Scope, now: str) -> None:
    """Delete the rows inside the transaction, keep the ids, and owe the file's scrubbing."""
    words = scope.words | {"change_id": next_change(database)}
    note_gaps(database, PUBLIC["events"][1], scope.words, "erasure", now)
    for table, (key, where) in PUBLIC.items():
        delete_rows(database, table, key, where, words)
    for table, where in _INTERNAL.items():
        database.execute(f"DELETE FROM {table} WHERE {where}", scope.words)  # noqa: S608 - constants
    kinds = {
        "candidate": scope.candidates,
        "proposal": scope.proposals,
        "conversation": scope.conversations,
        "message": scope.messages,
    }
    for kind, ids in kinds.items():
        keep_ids(database, scope.account, kind, ids, now)
    index_due(database)
    owe_scrubbing(database, "candidate" if scope.candidates else "conversation", now)


def delete_rows(database: sqlite3.Connection, table: str, key: str, where: str, words: dict[str, Any]) -> None:
    """Delete rows of a public table and tell those who follow it, by their keys."""
    noted = f"SELECT '{table}', json_array({key}), :change_id FROM {table} WHERE {where}"  # noqa: S608 - constants
    database.execute(f'INSERT OR REPLACE INTO _deletions (table_name, "key", change_id) {noted}', words)
    database.execute(f"DELETE FROM {table} WHERE {where}", words)  # noqa: S608 - the same


def keep_ids(database: sqlite3.Connection, account: str, kind: str, ids: Iterable[str], now: str) -> None:
    """Remember what may not be mirrored again."""
    many = [(account, kind, id, now) for id in ids]
    database.executemany("INSERT OR IGNORE INTO _erased (account, kind, id, erased_at) VALUES (?, ?, ?, ?)", many)


def note_gaps(database: sqlite3.Connection, where: str, words: dict[str, Any], reason: str, now: str) -> None:
    """Write down which events are about to go, a row for each run of ids."""
    runs: list[list[int]] = []
    for (id,) in database.execute(f"SELECT id FROM events WHERE {where} ORDER BY id", words):  # noqa: S608 - constants
        if runs and runs[-1][1] == id - 1:
            runs[-1][1] = id
        else:
            runs.append([id, id])
    rows = [(first, last, reason, now) for first, last in runs]
    database.executemany("INSERT INTO _gaps (first_id, last_id, reason, erased_at) VALUES (?, ?, ?, ?)", rows)


def owe_scrubbing(database: sqlite3.Connection, subject: str, now: str) -> None:
    """Remember that traces of deleted rows may be left in the file."""
    database.execute("INSERT INTO _erasures (subject, begun_at) VALUES (?, ?)", (subject, now))


def next_change(database: sqlite3.Connection) -> int:
    """Take the transaction's number."""
    database.execute("UPDATE _counters SET value = value + 1 WHERE name = 'change_id'")
    return int(database.execute("SELECT value FROM _counters WHERE name = 'change_id'").fetchone()[0])


def _ids(database: sqlite3.Connection, sql: str, *words: str) -> list[str]:
    return [row[0] for row in database.execute(sql, words)]
