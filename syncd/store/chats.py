"""What plans for whole chats are made from, and which planner each of their observations has."""

from collections.abc import Callable, Iterable
from sqlite3 import Connection
from typing import Any

from msgspec import json

from syncd.core.chats import (
    ChatsUnchanged,
    HeldChat,
    HeldChats,
    HeldLosses,
    HeldRound,
    HeldSubjects,
    ListsRead,
    RoundBegun,
    RoundEnded,
    SnapshotRead,
    SubjectFailed,
    SubjectMissing,
    SubjectsRead,
    plan_lists_read,
    plan_round_begun,
    plan_round_ended,
    plan_snapshot,
    plan_subject_failed,
    plan_subject_list,
    plan_subject_missing,
    plan_unchanged,
)
from syncd.core.model import Candidate, Chat, Conversation, Job, Message, parse_chat_id
from syncd.core.observations import Observation
from syncd.core.plan import Account, PendingTask, Plan
from syncd.store import rows
from syncd.store.apply import Transaction
from syncd.store.load import (
    load_account,
    load_account_checkpoint,
    load_claims,
    load_failure,
    load_gone_owners,
    load_pending,
    load_suspects,
)

_chat = json.Decoder(Chat)

_AMONG = "account = ? AND id IN (SELECT value FROM json_each(?))"
_NEWEST = (
    "rowid = (SELECT rowid FROM messages WHERE account = :account AND conversation_id = :id AND gone_at IS NULL"
    " AND id NOT IN (SELECT subject_id FROM _suspects WHERE account = :account AND kind = 'message')"
    " ORDER BY COALESCE(created_at, '') DESC, id DESC LIMIT 1)"
)


def _listed(ids: Iterable[str]) -> str:
    return json.encode(list(ids)).decode()


def _account(connection: Connection, account: str) -> Account:
    return load_account(connection, account, 0).account or Account(source="", base_url="")


def _chats(connection: Connection, account: str, ids: Iterable[str] | None = None) -> dict[str, Chat]:
    """The states of these chats, or of all."""
    sql = "SELECT conversation_id, state FROM _threads WHERE account = ?"
    if ids is None:
        found = connection.execute(sql, (account,))
    else:
        among = " AND conversation_id IN (SELECT value FROM json_each(?))"
        found = connection.execute(sql + among, (account, _listed(ids)))
    return {id_: _chat.decode(state) for id_, state in found}


def _by_id(connection: Connection, kind: type[Any], account: str, ids: Iterable[str]) -> dict[str, Any]:
    return {row.id: row for row in rows.select(connection, kind, _AMONG, (account, _listed(ids)))}


def _suspects(connection: Connection, account: str, kind: str) -> frozenset[str]:
    sql = "SELECT subject_id FROM _suspects WHERE account = ? AND kind = ?"
    return frozenset(id_ for (id_,) in connection.execute(sql, (account, kind)))


def _failing(connection: Connection, account: str) -> dict[tuple[str, str], str]:
    sql = "SELECT kind, subject_id, next_try_at FROM failures WHERE account = ?"
    return {(kind, id_): next_try_at for kind, id_, next_try_at in connection.execute(sql, (account,))}


def load_round(connection: Connection, account: str) -> HeldRound:
    """Every chat of the account."""
    sql = "SELECT id, job_id, gone_at FROM conversations WHERE account = ?"
    known = connection.execute(sql, (account,)).fetchall()
    return HeldRound(
        account_checkpoint=load_account_checkpoint(connection, account),
        chats=_chats(connection, account),
        jobs={id_: job_id for id_, job_id, _ in known},
        gone=frozenset(id_ for id_, _, gone_at in known if gone_at is not None),
        suspects=_suspects(connection, account, "conversation"),
        failing=_failing(connection, account),
        listings=_listings(connection, account),
    )


def _listings(connection: Connection, account: str) -> dict[str, PendingTask]:
    """The tasks to list the candidates of a job, by job."""
    sql = "SELECT subject_id FROM _owed WHERE account = ? AND kind = 'candidates'"
    ids = [id_ for (id_,) in connection.execute(sql, (account,))]
    return load_pending(connection, account, "candidates", ids)


def load_subjects(connection: Connection, account: str, read: SubjectsRead) -> HeldSubjects:
    """The subjects that a list names, with their chats."""
    named = read.subjects
    unreadable = (one.id for one in read.unreadable if one.id is not None)
    of_jobs = [*(s.row.id for s in named if s.kind == "job"), *unreadable] if read.list_of is None else [read.list_of]
    ids = [subject.conversation_id for subject in named]
    jobs = _by_id(connection, Job, account, (s.row.id for s in named if s.kind == "job"))
    candidates = _by_id(connection, Candidate, account, (s.row.id for s in named if s.kind == "candidate"))
    return HeldSubjects(
        account=_account(connection, account),
        account_checkpoint=load_account_checkpoint(connection, account),
        subjects={("job", id_): row for id_, row in jobs.items()}
        | {("candidate", id_): row for id_, row in candidates.items()},
        conversations=_by_id(connection, Conversation, account, ids),
        chats=_chats(connection, account, ids),
        suspects=_suspects(connection, account, "conversation"),
        failing=frozenset(_failing(connection, account)),
        listings=load_pending(connection, account, "candidates", of_jobs),
    )


def load_chat(
    connection: Connection, account: str, kind: str, subject_id: str, message_ids: Iterable[str] = ()
) -> HeldChat:
    """One chat with all of its messages; `kind` says whose failure is meant."""
    where = "account = ? AND (conversation_id = ? OR id IN (SELECT value FROM json_each(?)))"
    found = rows.select(connection, Message, where, (account, subject_id, _listed(message_ids)))
    messages = {message.id: message for message in found}
    return HeldChat(
        conversation=_by_id(connection, Conversation, account, [subject_id]).get(subject_id),
        chat=_chats(connection, account, [subject_id]).get(subject_id),
        failure=load_failure(connection, account, kind, subject_id),
        pending=load_pending(connection, account, kind, [subject_id]).get(subject_id),
        messages=messages,
        suspects=_suspects(connection, account, "message") & messages.keys(),
        claims=load_claims(connection, account, subject_id),
        gone=load_gone_owners(connection, account, subject_id, messages),
    )


def load_chats(connection: Connection, account: str, ids: Iterable[str]) -> HeldChats:
    """The state of several chats."""
    wanted = list(ids)
    failing = frozenset(id_ for kind, id_ in _failing(connection, account) if kind == "conversation")
    return HeldChats(chats=_chats(connection, account, wanted), failing=failing.intersection(wanted))


def load_losses(connection: Connection, account: str) -> HeldLosses:
    """What is suspected to be gone."""
    sql = "SELECT kind, subject_id, since FROM _suspects WHERE account = ?"
    since = {(kind, id_): at for kind, id_, at in connection.execute(sql, (account,))}
    suspects = load_suspects(connection, account)
    losing = {row.conversation_id for row in suspects.messages}
    newest = (rows.select(connection, Message, _NEWEST, {"account": account, "id": id_}) for id_ in losing)
    return HeldLosses(
        account=suspects.account,
        account_checkpoint=suspects.account_checkpoint,
        conversations=suspects.conversations,
        messages=suspects.messages,
        since=since,
        owners=_by_id(connection, Conversation, account, losing),
        subjects={row.id: subject for row in suspects.conversations for subject in _subject(connection, account, row)},
        newest={found[0].conversation_id: found[0] for found in newest if found},
        chats=_chats(connection, account, losing | {row.id for row in suspects.conversations}),
        all_conversations=suspects.all_conversations,
        all_messages=suspects.all_messages,
    )


def _subject(connection: Connection, account: str, conversation: Conversation) -> list[Job | Candidate]:
    kind, id_ = parse_chat_id(conversation.id)
    return list(_by_id(connection, Job if kind == "job" else Candidate, account, [id_]).values())


def _plan_snapshot(tx: Transaction, o: SnapshotRead) -> Plan:
    ids = (message.id for message in o.snapshot.messages)
    return plan_snapshot(load_chat(tx.connection, o.account, "conversation", o.conversation_id, ids), o)


CHAT_PLANNERS: dict[type[Observation], Callable[[Transaction, Any], Plan]] = {
    SubjectsRead: lambda tx, o: plan_subject_list(load_subjects(tx.connection, o.account, o), o),
    ListsRead: lambda tx, o: plan_lists_read(load_round(tx.connection, o.account), o),
    RoundBegun: lambda tx, o: plan_round_begun(load_round(tx.connection, o.account), o),
    SnapshotRead: _plan_snapshot,
    ChatsUnchanged: lambda tx, o: plan_unchanged(load_chats(tx.connection, o.account, o.conversation_ids), o),
    SubjectMissing: lambda tx, o: plan_subject_missing(
        load_chat(tx.connection, o.account, "conversation", o.conversation_id), o
    ),
    SubjectFailed: lambda tx, o: plan_subject_failed(load_chat(tx.connection, o.account, o.kind, o.subject_id), o),
    RoundEnded: lambda tx, o: plan_round_ended(load_losses(tx.connection, o.account), o),
}
