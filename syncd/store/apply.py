"""Apply a plan: write all of it, in the transaction that it was made in. Nothing else writes mirrored rows."""

from sqlite3 import Connection
from typing import Any

from msgspec import Struct, convert, json

from syncd.core.model import Event, Instant
from syncd.core.plan import PendingTask, Plan, SyncRun, renewed
from syncd.store import rows
from syncd.store.index import Text, find_new_texts, index_texts
from syncd.store.load import load_pending
from syncd.store.outbox import write_outgoing


class Recorded(Struct, frozen=True, kw_only=True):
    """An event that is in the database."""

    id: int
    account: str
    event: Event


class Applied(Struct, frozen=True, kw_only=True):
    """What became of an observation: the planner's answer, the events recorded, and how many rows were written."""

    answer: Any
    events: tuple[Recorded, ...]
    rows: int


class Transaction:
    """One write transaction: it takes its number when it first writes; `texts` are those that it has added."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.before: int = connection.execute("SELECT value FROM _counters WHERE name = 'change_id'").fetchone()[0]
        self.texts: list[Text] = []
        self._number: int | None = None

    @property
    def number(self) -> int:
        """The transaction's `change_id`."""
        if self._number is None:
            self._number = self.before + 1
            self.connection.execute("UPDATE _counters SET value = ? WHERE name = 'change_id'", (self._number,))
        return self._number

    def index(self) -> None:
        """Take the texts into the search index: at the end, as it takes many at once best, or before any is removed."""
        if self.texts:
            index_texts(self.connection, self.texts)
            self.texts.clear()


def write(transaction: Transaction, account: str, now: Instant, plan: Plan) -> Applied:
    """Write all that the plan changes; an empty plan writes nothing."""
    connection, count = transaction.connection, 0
    if plan.rows:
        _revise(transaction, account, now, plan)
        transaction.texts += find_new_texts(connection, account, plan.rows, now)
        count += rows.upsert(connection, account, plan.rows, now=now, change_id=transaction.number)
    for id_, state in (*plan.checkpoints, *plan.chats):
        _put_state(connection, "_threads (account, conversation_id, state)", account, id_, json.encode(state).decode())
    if plan.forget_cursors:
        connection.execute(
            "UPDATE _threads SET state = json_remove(state, '$.tail_cursor', '$.walk', '$.sought') WHERE account = ?",
            (account,),
        )
    _write_debts(connection, account, plan)
    count += _write_failures(transaction, account, plan)
    _write_suspicions(connection, account, now, plan)
    recorded = tuple(_record(transaction, account, now, event) for event in plan.events)
    count += len(recorded) + _write_account(transaction, account, plan)
    if plan.outgoing:
        count += write_outgoing(connection, account, plan.outgoing, transaction.number)
    answer = plan.answer if plan.run is None else _write_run(transaction, account, plan.run)
    return Applied(answer=answer, events=recorded, rows=count)


def _put_state(connection: Connection, into: str, *values: str | int) -> None:
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT OR REPLACE INTO {into} VALUES ({marks})", values)  # noqa: S608 - names of our own


def _revise(transaction: Transaction, account: str, now: Instant, plan: Plan) -> None:
    sql = (
        "INSERT INTO message_revisions (account, message_id, revision, content, edited_at, replaced_at, change_id)"
        " SELECT :account, :message_id, COALESCE(MAX(revision), 0) + 1, :content, :edited_at, :now, :change_id"
        " FROM message_revisions WHERE account = :account AND message_id = :message_id"
    )
    common = {"account": account, "now": now, "change_id": transaction.number}
    for old in plan.revisions:
        values = {"message_id": old.message_id, "content": old.content, "edited_at": old.edited_at}
        transaction.connection.execute(sql, common | values)


def _write_debts(connection: Connection, account: str, plan: Plan) -> None:
    for kind, subject_id, version in plan.completed:
        connection.execute(
            "DELETE FROM _owed WHERE account = ? AND kind = ? AND subject_id = ? AND version = ?",
            (account, kind, subject_id, version),
        )
    for new in plan.tasks:
        task = renewed(load_pending(connection, account, new.kind, [new.subject_id]).get(new.subject_id), new)
        connection.execute(
            "INSERT OR REPLACE INTO _owed (account, kind, subject_id, version, due_at, payload)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (account, task.kind, task.subject_id, task.version, task.due_at, _payload(task)),
        )


def _payload(task: PendingTask) -> str | None:
    return None if task.reason is None else json.encode(task.reason).decode()


def _write_failures(transaction: Transaction, account: str, plan: Plan) -> int:
    connection = transaction.connection
    for failure in plan.failures:
        connection.execute(
            "INSERT OR REPLACE INTO failures (account, kind, subject_id, reason, request_id, tries, first_failed_at,"
            " next_try_at, change_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                account,
                failure.kind,
                failure.subject_id,
                failure.reason,
                failure.request_id,
                failure.tries,
                failure.first_failed_at,
                failure.next_try_at,
                transaction.number,
            ),
        )
    connection.executemany(
        "INSERT OR IGNORE INTO _unreadable (account, listing, kind, subject_id) VALUES (?, ?, ?, ?)",
        [(account, *one) for one in plan.set_aside],
    )
    for kind, subject_id in plan.recovered:
        connection.execute(
            "DELETE FROM _unreadable WHERE account = ? AND kind = ? AND subject_id = ?", (account, kind, subject_id)
        )
        connection.execute(
            "DELETE FROM failures WHERE account = ? AND kind = ? AND subject_id = ?", (account, kind, subject_id)
        )
        _put_state(
            connection,
            "_deletions (table_name, key, change_id)",
            "failures",
            json.encode([account, kind, subject_id]).decode(),
            transaction.number,
        )
    return len(plan.failures) + len(plan.recovered)


def _write_suspicions(connection: Connection, account: str, now: Instant, plan: Plan) -> None:
    if plan.forget_met is not None:
        _forget_met(connection, account, plan.forget_met)
    if plan.met:
        conversation_id = plan.checkpoints[0][0]
        connection.executemany(
            "INSERT OR IGNORE INTO _seen (account, conversation_id, message_id) VALUES (?, ?, ?)",
            [(account, conversation_id, id_) for id_ in plan.met],
        )
    if plan.suspect is not None:
        met = json.encode(list(plan.suspect.met)).decode()
        conversation_id = plan.suspect.conversation_id
        words = {"account": account, "conversation_id": conversation_id, "met": met, "now": now}
        connection.execute(_SUSPECT, words | {"since": plan.suspect.since, "nameless": f"thread:{conversation_id}#"})
        _forget_met(connection, account, conversation_id)
    for kind, subject_id, conversation_id in plan.suspects:
        connection.execute(
            "INSERT INTO _suspects (account, kind, subject_id, conversation_id, since) VALUES (?, ?, ?, ?, ?)" + _SINCE,  # noqa: S608 - ours
            (account, kind, subject_id, conversation_id, now),
        )
    for kind, subject_id in plan.unsuspect:
        connection.execute(
            "DELETE FROM _suspects WHERE account = ? AND kind = ? AND subject_id = ?", (account, kind, subject_id)
        )


_SINCE = " ON CONFLICT DO UPDATE SET since = excluded.since WHERE since > excluded.since"
"""A suspicion is as old as its first sign, and never younger than now: the clock may have been set back since."""

# An entry without a usable id, which is known by its listing, may be any of the messages that are missing.
_SUSPECT = f"""
INSERT INTO _suspects (account, kind, subject_id, conversation_id, since)
SELECT account, 'message', id, conversation_id, :now FROM messages
WHERE account = :account AND conversation_id = :conversation_id AND gone_at IS NULL AND change_id <= :since
  AND id NOT IN (SELECT value FROM json_each(:met))
  AND NOT EXISTS (SELECT 1 FROM json_each(:met) WHERE substr(value, 1, length(:nameless)) = :nameless)
  AND NOT EXISTS (SELECT 1 FROM _seen WHERE account = :account AND conversation_id = :conversation_id
    AND substr(message_id, 1, length(:nameless)) = :nameless)
  AND id NOT IN (SELECT message_id FROM _seen WHERE account = :account AND conversation_id = :conversation_id)
{_SINCE}
"""  # noqa: S608 - ours


def _forget_met(connection: Connection, account: str, conversation_id: str) -> None:
    connection.execute("DELETE FROM _seen WHERE account = ? AND conversation_id = ?", (account, conversation_id))


def _record(transaction: Transaction, account: str, now: Instant, event: Event) -> Recorded:
    result = transaction.connection.execute(
        "INSERT INTO events (account, kind, conversation_id, message_id, proposal_id, baseline, occurred_at,"
        " recorded_at, data, change_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account,
            event.kind,
            event.conversation_id,
            event.message_id,
            event.proposal_id,
            int(event.baseline),
            event.occurred_at or now,
            now,
            json.encode(event.data).decode(),
            transaction.number,
        ),
    )
    return Recorded(id=result.lastrowid or 0, account=account, event=event)


def _write_account(transaction: Transaction, account: str, plan: Plan) -> int:
    if plan.account_checkpoint is not None:
        _put_state(
            transaction.connection, "_accounts (account, state)", account, json.encode(plan.account_checkpoint).decode()
        )
    if plan.account is None:
        return 0
    names = plan.account.__struct_fields__
    values = [getattr(plan.account, name) for name in names]
    marks = ", ".join("?" * (len(names) + 2))
    transaction.connection.execute(
        f"INSERT OR REPLACE INTO accounts (account, {', '.join(names)}, change_id) VALUES ({marks})",  # noqa: S608 - names of our own
        (account, *values, transaction.number),
    )
    return 1


def _write_run(transaction: Transaction, account: str, run: SyncRun) -> int:
    """Open or close a run's row; its number."""
    result = transaction.connection.execute(
        "INSERT OR REPLACE INTO sync_runs (id, account, kind, started_at, finished_at, requests, rows_written, error,"
        " change_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run.id,
            account,
            run.kind,
            run.started_at,
            run.finished_at,
            run.requests,
            run.rows_written,
            run.error,
            transaction.number,
        ),
    )
    return run.id or result.lastrowid or 0


# Events that were committed and have had no log line yet.


_FIELDS = ("kind", "conversation_id", "message_id", "proposal_id", "occurred_at")
_UNLOGGED = (
    "SELECT id, account, data, kind, conversation_id, message_id, proposal_id, occurred_at"
    " FROM events WHERE logged_at IS NULL AND baseline = 0 ORDER BY id"
)


def load_unlogged(connection: Connection) -> list[Recorded]:
    """What a crash left between its commit and its log line, oldest first."""
    return [
        Recorded(id=id_, account=account, event=convert(fields | {"data": json.decode(data)}, Event))
        for id_, account, data, fields in (
            (row[0], row[1], row[2] or "{}", dict(zip(_FIELDS, row[3:], strict=True)))
            for row in connection.execute(_UNLOGGED).fetchall()
        )
    ]
