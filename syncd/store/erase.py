"""Erase a person, a conversation or what is old: the rows in one transaction, then every trace in the files."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from glob import escape
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from msgspec import Struct

from syncd.core.erasure import Erased, find_returning, named_ids, without_entries, without_erased
from syncd.core.observations import Observation
from syncd.core.plan import Plan
from syncd.core.times import after
from syncd.files import make_durable
from syncd.store.apply import Transaction
from syncd.store.database import Database, connect_read_only, database_path, transact
from syncd.store.index import index_due
from syncd.store.migrate import find_copies


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
# Of a listing that is about one of them: `thread:ID`, `interview:ID`.
_ABOUT = "substr(listing, instr(listing, ':') + 1)"
_LISTED = f"account = :account AND {_among(_ABOUT, 'conversations', 'proposals')}"
_UNREADABLE = f"SELECT account, kind, subject_id FROM _unreadable WHERE {_LISTED}"  # noqa: S608 - constants
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
    "failures": (
        "account, kind, subject_id",
        f"({_SUBJECTS}) OR (account, kind, subject_id) IN ({_UNREADABLE})",
    ),
}
"""Each public table that is erased from: its primary key, and which rows."""
_INTERNAL = {
    "_threads": _OF_CONVERSATIONS,
    "_seen": _OF_CONVERSATIONS,
    "_owed": _SUBJECTS,
    "_unreadable": _LISTED,
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
    checkpoints = "SELECT id FROM conversations WHERE account = ? AND proposal_id IN (SELECT value FROM json_each(?))"
    conversations = _ids(database, checkpoints, account, json.dumps(proposals))
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


# What an erasure would take, for whoever may only read.


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


# Plan an observation so that nothing comes back that was erased.


def plan_without_erased(
    transaction: Transaction, observation: Observation, planner: Callable[[Observation], Plan]
) -> Plan:
    """What the planner says of the observation, both without what was erased; inside the writing transaction.

    A proposal that an erased person made since goes the way of the others.
    """
    database, account = transaction.connection, observation.account
    if not database.execute("SELECT 1 FROM _erased WHERE account = ? LIMIT 1", (account,)).fetchone():
        return planner(observation)
    listed = without_entries(observation, load_erased(database, account, named_ids(observation), observation.now))
    plan = planner(listed)
    erased = load_erased(database, account, named_ids(plan), observation.now)
    returning = find_returning(plan, erased)
    if returning:
        transaction.index()
        erase_rows(database, _scope_of(database, account, returning), observation.now)
    return without_erased(plan, erased)


def load_erased(database: sqlite3.Connection, account: str, ids: Iterable[str], now: str) -> Erased:
    """What of these ids was erased, and the age from which nothing is kept.

    An age that lies ahead is none: it was set by a clock that was wrong, and is set anew within a day.
    """
    query = (
        "SELECT kind, id FROM _erased WHERE account = ? AND (kind = 'before' OR id IN (SELECT value FROM json_each(?)))"
    )
    found = database.execute(query, (account, json.dumps(list(ids)))).fetchall()
    before = next((id for kind, id in found if kind == "before" and id <= now), None)
    return Erased(ids=frozenset((kind, id) for kind, id in found), before=before)


def _scope_of(database: sqlite3.Connection, account: str, proposals: tuple[str, ...]) -> Scope:
    query = "SELECT id FROM conversations WHERE account = ? AND proposal_id IN (SELECT value FROM json_each(?))"
    conversations = tuple(row[0] for row in database.execute(query, (account, json.dumps(proposals))))
    return Scope(account=account, proposals=proposals, conversations=conversations)


# Erase by age: messages, transcripts and events older than `[store] retention_days`.


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


# Remove from the files what was deleted from the tables, and name the copies that still have it.


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
