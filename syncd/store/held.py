"""Read what a plan needs to know, in the transaction that will apply it."""

from collections.abc import Iterable
from typing import Any

from msgspec import json
from msgspec.structs import replace
from sqlalchemy import Connection

from syncd.core import held
from syncd.core.model import Candidate, Conversation, Interview, InterviewMessage, Job, Message, Proposal
from syncd.core.plan import Account, Failure, Memo, Owed
from syncd.core.thread import Errand, Fresh, Thread
from syncd.store import rows

_memo = json.Decoder(Memo)
_thread = json.Decoder(Thread)
_errand = json.Decoder(Errand)


def _one(connection: Connection, sql: str, *parameters: Any) -> Any:
    return connection.exec_driver_sql(sql, parameters).fetchone()


def _ids(connection: Connection, sql: str, *parameters: Any) -> frozenset[str]:
    return frozenset(row[0] for row in connection.exec_driver_sql(sql, parameters))


def _listed(ids: Iterable[str]) -> str:
    """Any number of ids as one parameter, for json_each()."""
    return json.encode(list(ids)).decode()


def load_account(connection: Connection, account: str, change_id: int) -> held.HeldAccount:
    """The account itself."""
    row = _one(connection, f"SELECT {', '.join(Account.__struct_fields__)} FROM accounts WHERE account = ?", account)  # noqa: S608 - names of our own
    known = None if row is None else Account(**dict(zip(Account.__struct_fields__, row, strict=True)))
    return held.HeldAccount(account=known, memo=load_memo(connection, account), change_id=change_id)


def load_memo(connection: Connection, account: str) -> Memo:
    """What is remembered of the account beside its row."""
    row = _one(connection, "SELECT state FROM _accounts WHERE account = ?", account)
    return Memo() if row is None else _memo.decode(row[0])


def _known_account(connection: Connection, account: str) -> Account:
    known = load_account(connection, account, 0).account
    return known or Account(source="", base_url="")


def load_owed(connection: Connection, account: str, kind: str, ids: Iterable[str]) -> dict[str, Owed]:
    """The debts of one kind, by subject."""
    sql = (
        "SELECT subject_id, due_at, payload, version FROM _owed"
        " WHERE account = ? AND kind = ? AND subject_id IN (SELECT value FROM json_each(?))"
    )
    return {
        subject: Owed(
            kind=kind,
            subject_id=subject,
            due_at=due_at,
            errand=None if payload is None else _errand.decode(payload),
            version=version,
        )
        for subject, due_at, payload, version in connection.exec_driver_sql(sql, (account, kind, _listed(ids)))
    }


def load_failure(connection: Connection, account: str, kind: str, subject_id: str) -> Failure | None:
    """The row in `failures` of that subject."""
    row = _one(
        connection,
        "SELECT kind, subject_id, reason, request_id, tries, first_failed_at, next_try_at FROM failures"
        " WHERE account = ? AND kind = ? AND subject_id = ?",
        account,
        kind,
        subject_id,
    )
    return None if row is None else Failure(**dict(zip(Failure.__struct_fields__, row, strict=True)))


def load_thread(
    connection: Connection, account: str, change_id: int, conversation_id: str, message_ids: Iterable[str]
) -> held.HeldThread:
    """A conversation, its debt, and those of the messages named (its last and its wanted one too) that are held."""
    conversation = _first(rows.select(connection, Conversation, "account = ? AND id = ?", (account, conversation_id)))
    state = _one(
        connection, "SELECT state FROM _threads WHERE account = ? AND conversation_id = ?", account, conversation_id
    )
    owed = load_owed(connection, account, "conversation", [conversation_id]).get(conversation_id)
    thread = None if state is None else _thread.decode(state[0])
    messages = _messages(connection, account, {*message_ids, *_named(owed, conversation)})
    newest = _newest_inbound(connection, account, conversation_id, thread)
    return held.HeldThread(
        account=_known_account(connection, account),
        change_id=change_id,
        conversation=conversation,
        thread=thread,
        owed=owed,
        failure=load_failure(connection, account, "conversation", conversation_id),
        messages=messages,
        suspects=_suspected(connection, account, "message", messages),
        newest_inbound=newest,
        told=frozenset() if newest is None else _told(connection, account, newest.id),
        interview_looked_for=_interview_looked_for(connection, account, conversation),
    )


def _first(found: list[Any]) -> Any:
    return found[0] if found else None


def _named(owed: Owed | None, conversation: Conversation | None) -> set[str]:
    errand = (owed and owed.errand) or Errand()
    entry = errand.entry or conversation
    last = None if entry is None else entry.last_message_id
    return {id_ for id_ in (errand.want, last) if id_ is not None}


def _messages(connection: Connection, account: str, ids: Iterable[str]) -> dict[str, Message]:
    where = "account = ? AND id IN (SELECT value FROM json_each(?))"
    return {message.id: message for message in rows.select(connection, Message, where, (account, _listed(ids)))}


def _suspected(connection: Connection, account: str, kind: str, ids: Iterable[str]) -> frozenset[str]:
    return _ids(
        connection,
        "SELECT subject_id FROM _suspects WHERE account = ? AND kind = ?"
        " AND subject_id IN (SELECT value FROM json_each(?))",
        account,
        kind,
        _listed(ids),
    )


def _newest_inbound(connection: Connection, account: str, conversation_id: str, thread: Thread | None) -> Fresh | None:
    row = _one(
        connection,
        "SELECT COALESCE(created_at, ''), id, first_seen_at FROM messages"
        " WHERE account = ? AND conversation_id = ?"
        " AND is_from_viewer IS NOT 1 AND is_system IS NOT 1 AND gone_at IS NULL"
        " ORDER BY created_at DESC, id DESC LIMIT 1",
        account,
        conversation_id,
    )
    if row is None or thread is None:
        return None
    at, id_, first_seen_at = row
    return Fresh(at=at, id=id_, history=_is_history(thread, at, first_seen_at))


def _is_history(thread: Thread, created_at: str, first_seen_at: str) -> bool:
    """Created before anybody watched, and stored before its conversation was first proved whole."""
    return created_at < thread.history_before and (thread.whole_since is None or first_seen_at <= thread.whole_since)


def _told(connection: Connection, account: str, message_id: str) -> frozenset[str]:
    sql = (
        "SELECT kind FROM events WHERE account = ? AND message_id = ?"
        " AND kind IN ('conversation.unread', 'conversation.needs_reply')"
    )
    return _ids(connection, sql, account, message_id)


def _interview_looked_for(connection: Connection, account: str, conversation: Conversation | None) -> bool:
    if conversation is None or conversation.proposal_id is None:
        return True
    sql = (
        "SELECT EXISTS(SELECT 1 FROM interviews WHERE account = ?1 AND proposal_id = ?2 AND gone_at IS NULL)"
        " OR EXISTS(SELECT 1 FROM _owed WHERE account = ?1 AND kind IN ('proposal', 'interview') AND subject_id = ?2)"
    )
    return bool(_one(connection, sql, account, conversation.proposal_id)[0])


def load_entries(
    connection: Connection, account: str, entries: Iterable[Conversation], *, proposals: Iterable[str] = ()
) -> held.HeldEntries:
    """What is held of the conversations that a list names."""
    seen = list(entries)
    ids, wanted = [entry.id for entry in seen], [*proposals, *(e.proposal_id for e in seen if e.proposal_id)]
    found = rows.select(
        connection, Conversation, "account = ? AND id IN (SELECT value FROM json_each(?))", (account, _listed(ids))
    )
    failing = "SELECT subject_id FROM failures WHERE account = ? AND kind = 'conversation'"
    known = "SELECT id FROM proposals WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
    return held.HeldEntries(
        account=_known_account(connection, account),
        memo=load_memo(connection, account),
        conversations={row.id: row for row in found},
        owed=load_owed(connection, account, "conversation", ids),
        failing=_ids(connection, failing, account),
        proposals=_ids(connection, known, account, _listed(wanted))
        | frozenset(load_owed(connection, account, "proposal", wanted)),
        unread={},
        suspects=_suspected(connection, account, "conversation", ids),
    )


def load_named(
    connection: Connection, account: str, messages: Iterable[tuple[str, str]], proposals: Iterable[str]
) -> held.HeldEntries:
    """The same for what the server's feed names: (conversation, message) pairs, and proposals."""
    pairs = list(messages)
    known = load_entries(connection, account, [Conversation(id=id_) for id_, _ in pairs], proposals=proposals)
    sql = "SELECT id FROM messages WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
    return replace(known, messages=_ids(connection, sql, account, _listed(id_ for _, id_ in pairs)))


def load_listing(connection: Connection, account: str, listed: frozenset[str] | None) -> held.HeldListing:
    """What a walk down the list is weighed against; None: it was not walked whole."""
    memo = load_memo(connection, account)
    if listed is None:
        return held.HeldListing(memo=memo)
    ids = _ids(connection, "SELECT id FROM conversations WHERE account = ? AND gone_at IS NULL", account)
    return held.HeldListing(memo=memo, unlisted=ids - listed)


def load_unread(connection: Connection, account: str, entries: Iterable[Conversation]) -> held.HeldEntries:
    """The same, with every conversation that counts as unread here."""
    known = load_entries(connection, account, entries)
    unread = rows.select(connection, Conversation, "account = ? AND unread_count > 0", (account,))
    owed = load_owed(connection, account, "conversation", [row.id for row in unread])
    return replace(known, unread={row.id: row for row in unread}, owed=known.owed | owed)


def load_proposal(
    connection: Connection, account: str, kind: str, proposal_id: str, candidate_id: str | None
) -> held.HeldProposal:
    """One proposal with everything that hangs on it; `kind` says whose debt is being paid."""
    proposal = _first(rows.select(connection, Proposal, "account = ? AND id = ?", (account, proposal_id)))
    about = (account, proposal_id)
    messages = rows.select(connection, InterviewMessage, "account = ? AND proposal_id = ?", about)
    active = _one(
        connection,
        "SELECT MAX(COALESCE(last_message_at, updated_at)) FROM conversations WHERE account = ? AND proposal_id = ?",
        *about,
    )
    erasure = _one(
        connection,
        "SELECT since FROM _suspects WHERE account = ? AND kind = 'erasure' AND subject_id = ?",
        *about,
    )
    return held.HeldProposal(
        account=_known_account(connection, account),
        proposal=proposal,
        candidate=_first(rows.select(connection, Candidate, "account = ? AND id = ?", (account, candidate_id or ""))),
        interview=_first(rows.select(connection, Interview, "account = ? AND proposal_id = ?", about)),
        messages={message.id: message for message in messages},
        owed=load_owed(connection, account, kind, [proposal_id]).get(proposal_id),
        failure=load_failure(connection, account, kind, proposal_id),
        active_at=active[0],
        nameless=bool(_suspected(connection, account, "nameless", [candidate_id or ""])),
        erasure_since=None if erasure is None else erasure[0],
    )


def load_jobs(connection: Connection, account: str, ids: Iterable[str]) -> held.HeldJobs:
    """Those of the jobs that are held, and whether they failed before."""
    where = "account = ? AND id IN (SELECT value FROM json_each(?))"
    return held.HeldJobs(
        jobs={job.id: job for job in rows.select(connection, Job, where, (account, _listed(ids)))},
        owed=load_owed(connection, account, "jobs", ["mine"]).get("mine"),
        failure=load_failure(connection, account, "jobs", "mine"),
    )


_SETTLED = """
SELECT kind, subject_id, since FROM _suspects AS s WHERE account = ?1 AND NOT EXISTS (
  SELECT 1 FROM _owed AS o WHERE o.account = ?1 AND o.kind = 'conversation' AND o.subject_id = s.conversation_id
    AND json_extract(o.payload, '$.verify'))
"""


def load_suspects(connection: Connection, account: str) -> held.HeldSuspects:
    """What is suspected to be deleted upstream, where no other look is owed."""
    found = connection.exec_driver_sql(_SETTLED, (account,))
    since = {(kind, subject_id): at for kind, subject_id, at in found}
    suspected = "account = ? AND gone_at IS NULL AND id IN (SELECT value FROM json_each(?))"
    totals = "SELECT COUNT(*) FROM {} WHERE account = ? AND gone_at IS NULL"

    def select(kind: type[Any], name: str) -> tuple[Any, ...]:
        ids = _listed(id_ for of, id_ in since if of == name)
        return tuple(rows.select(connection, kind, suspected, (account, ids)))

    return held.HeldSuspects(
        account=_known_account(connection, account),
        memo=load_memo(connection, account),
        conversations=select(Conversation, "conversation"),
        messages=select(Message, "message"),
        all_conversations=_one(connection, totals.format("conversations"), account)[0],
        all_messages=_one(connection, totals.format("messages"), account)[0],
        since=since,
        deferred=_one(connection, "SELECT COUNT(*) FROM _suspects WHERE account = ?", account)[0] - len(since),
    )


def load_turn(connection: Connection, account: str, conversation_id: str) -> held.HeldTurn:
    """The open turn of a two-sided conversation that still needs a reply."""
    owed = load_owed(connection, account, "overdue", [conversation_id]).get(conversation_id)
    row = _one(connection, _OPEN_TURN, account, conversation_id)
    if row is None:
        return held.HeldTurn(owed=owed, turn=None)
    message_id, asked_at, first_seen_at, told, state = row
    return held.HeldTurn(
        owed=owed,
        turn=held.Turn(
            message_id=message_id,
            asked_at=asked_at,
            history=_is_history(_thread.decode(state), asked_at, first_seen_at),
            told=bool(told),
        ),
    )


_OPEN_TURN = """
WITH ours AS (
  SELECT created_at, id FROM messages
  WHERE account = ?1 AND conversation_id = ?2 AND is_from_viewer = 1 AND is_system IS NOT 1 AND gone_at IS NULL
  ORDER BY created_at DESC, id DESC LIMIT 1)
SELECT m.id, m.created_at, m.first_seen_at,
  EXISTS(SELECT 1 FROM events e WHERE e.account = ?1 AND e.kind = 'conversation.overdue' AND e.message_id = m.id),
  t.state
FROM messages m
JOIN conversations c ON c.account = m.account AND c.id = m.conversation_id
JOIN _threads t ON t.account = m.account AND t.conversation_id = m.conversation_id
WHERE m.account = ?1 AND m.conversation_id = ?2 AND m.is_from_viewer IS NOT 1 AND m.is_system IS NOT 1
  AND m.gone_at IS NULL AND m.created_at IS NOT NULL
  AND c.gone_at IS NULL AND c.channel_name IS NULL AND c.needs_reply_count > 0
  AND (m.created_at, m.id) > (COALESCE((SELECT created_at FROM ours), ''), COALESCE((SELECT id FROM ours), ''))
ORDER BY m.created_at, m.id LIMIT 1
"""
