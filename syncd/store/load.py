"""Read what a plan needs to know, in the transaction that will apply it."""

from collections.abc import Iterable, Mapping
from sqlite3 import Connection
from typing import Any

from msgspec import json
from msgspec.structs import replace

from syncd.core.model import Candidate, Conversation, Interview, InterviewMessage, Job, Message, Proposal
from syncd.core.observations import (
    Claim,
    HeldAccount,
    HeldClaim,
    HeldConversation,
    HeldEntries,
    HeldJobs,
    HeldListing,
    HeldProposal,
    HeldProposals,
    HeldSuspects,
    HeldTask,
    HeldTurn,
    Turn,
)
from syncd.core.plan import Account, AccountCheckpoint, Failure, PendingTask
from syncd.core.unreadable import ListingRead
from syncd.core.walk import ConversationCheckpoint, Fresh, Reason
from syncd.protocols import Backlog
from syncd.store import rows

_memo = json.Decoder(AccountCheckpoint)
_errand = json.Decoder(Reason)


def fetch_one(connection: Connection, sql: str, *parameters: Any) -> Any:
    """The first row of a query, or None."""
    return connection.execute(sql, parameters).fetchone()


def fetch_ids(connection: Connection, sql: str, *parameters: Any) -> frozenset[str]:
    """The first column of a query, as a set."""
    return frozenset(row[0] for row in connection.execute(sql, parameters))


def listed(ids: Iterable[str]) -> str:
    """Any number of ids as one parameter, for json_each()."""
    return json.encode(list(ids)).decode()


def load_account(connection: Connection, account: str, change_id: int) -> HeldAccount:
    """The account itself."""
    return HeldAccount(
        account=_load_row(connection, account),
        account_checkpoint=load_account_checkpoint(connection, account),
        change_id=change_id,
    )


_ACCOUNT = f"SELECT {', '.join(Account.__struct_fields__)} FROM accounts WHERE account = ?"  # noqa: S608 - names of our own


def _load_row(connection: Connection, account: str) -> Account | None:
    row = fetch_one(connection, _ACCOUNT, account)
    return None if row is None else Account(**dict(zip(Account.__struct_fields__, row, strict=True)))


def load_account_checkpoint(connection: Connection, account: str) -> AccountCheckpoint:
    """What is remembered of the account beside its row."""
    row = fetch_one(connection, "SELECT state FROM _accounts WHERE account = ?", account)
    return AccountCheckpoint() if row is None else _memo.decode(row[0])


def known_account(connection: Connection, account: str) -> Account:
    """The account, or an empty one before it was first seen."""
    return _load_row(connection, account) or Account(source="", base_url="")


def load_pending(connection: Connection, account: str, kind: str, ids: Iterable[str]) -> dict[str, PendingTask]:
    """The debts of one kind, by subject."""
    sql = (
        "SELECT subject_id, due_at, payload, version FROM _owed"
        " WHERE account = ? AND kind = ? AND subject_id IN (SELECT value FROM json_each(?))"
    )
    return {
        subject: PendingTask(
            kind=kind,
            subject_id=subject,
            due_at=due_at,
            reason=None if payload is None else _errand.decode(payload),
            version=version,
        )
        for subject, due_at, payload, version in connection.execute(sql, (account, kind, listed(ids)))
    }


def load_failure(connection: Connection, account: str, kind: str, subject_id: str) -> Failure | None:
    """The row in `failures` of that subject, unless it tells of its entry in a list."""
    row = fetch_one(
        connection,
        "SELECT kind, subject_id, reason, request_id, tries, first_failed_at, next_try_at FROM failures"
        " WHERE account = ? AND kind = ? AND subject_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM _unreadable AS u"
        " WHERE u.account = failures.account AND u.kind = failures.kind AND u.subject_id = failures.subject_id)",
        account,
        kind,
        subject_id,
    )
    return None if row is None else Failure(**dict(zip(Failure.__struct_fields__, row, strict=True)))


def load_unreadable(connection: Connection, account: str, read: ListingRead) -> dict[str, Failure] | None:
    """The failures of a listing's entries, by subject: of those that an answer names, or at its end of all.

    None where there is nothing to plan, which hardly ever is otherwise.
    """
    any_known = "SELECT 1 FROM _unreadable WHERE account = ? AND listing = ? AND kind = ? LIMIT 1"
    if not read.unreadable and fetch_one(connection, any_known, account, read.listing, read.kind) is None:
        return None
    names = None if read.met is not None else listed([*read.read, *(one.subject_id for one in read.unreadable)])
    found = connection.execute(_UNREADABLE, (account, read.listing, read.kind, names, names))
    known = (Failure(**dict(zip(Failure.__struct_fields__, row, strict=True))) for row in found)
    return {failure.subject_id: failure for failure in known}


_UNREADABLE = (
    f"SELECT {', '.join(f'f.{name}' for name in Failure.__struct_fields__)} FROM _unreadable AS u"  # noqa: S608 - names of our own
    " JOIN failures AS f ON f.account = u.account AND f.kind = u.kind AND f.subject_id = u.subject_id"
    " WHERE u.account = ? AND u.listing = ? AND u.kind = ?"
    " AND (? IS NULL OR u.subject_id IN (SELECT value FROM json_each(?)))"
)


def load_met(connection: Connection, account: str, conversation_id: str) -> frozenset[str]:
    """The messages that a comparison has met so far, those that can't be read among them."""
    sql = "SELECT message_id FROM _seen WHERE account = ? AND conversation_id = ?"
    return fetch_ids(connection, sql, account, conversation_id)


def first(found: list[Any]) -> Any:
    """The first of what was found, or None."""
    return found[0] if found else None


def load_suspected(connection: Connection, account: str, kind: str, ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that are suspected to be gone."""
    return fetch_ids(
        connection,
        "SELECT subject_id FROM _suspects WHERE account = ? AND kind = ?"
        " AND subject_id IN (SELECT value FROM json_each(?))",
        account,
        kind,
        listed(ids),
    )


def load_entries(
    connection: Connection, account: str, entries: Iterable[Conversation], *, proposals: Iterable[str] = ()
) -> HeldEntries:
    """What is held of the conversations that a list names."""
    seen = list(entries)
    ids, wanted = [entry.id for entry in seen], [*proposals, *(e.proposal_id for e in seen if e.proposal_id)]
    found = rows.select(
        connection, Conversation, "account = ? AND id IN (SELECT value FROM json_each(?))", (account, listed(ids))
    )
    failing = "SELECT subject_id FROM failures WHERE account = ? AND kind = 'conversation'"
    known = "SELECT id FROM proposals WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
    return HeldEntries(
        account=known_account(connection, account),
        account_checkpoint=load_account_checkpoint(connection, account),
        conversations={row.id: row for row in found},
        pending=load_pending(connection, account, "conversation", ids),
        failing=fetch_ids(connection, failing, account),
        proposals=fetch_ids(connection, known, account, listed(wanted))
        | frozenset(load_pending(connection, account, "proposal", wanted)),
        unread={},
        suspects=load_suspected(connection, account, "conversation", ids),
    )


def load_named(
    connection: Connection, account: str, messages: Iterable[tuple[str, str]], proposals: Iterable[str]
) -> HeldEntries:
    """The same for what the server's feed names: (conversation, message) pairs, and proposals."""
    pairs = list(messages)
    known = load_entries(connection, account, [Conversation(id=id_) for id_, _ in pairs], proposals=proposals)
    sql = "SELECT id FROM messages WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
    return replace(known, messages=fetch_ids(connection, sql, account, listed(id_ for _, id_ in pairs)))


def load_listing(connection: Connection, account: str, listed: frozenset[str] | None) -> HeldListing:
    """What a walk down the list is weighed against; None: it was not walked whole."""
    account_checkpoint = load_account_checkpoint(connection, account)
    failure = load_failure(connection, account, "conversations", "all")
    if listed is None:
        return HeldListing(account_checkpoint=account_checkpoint, failure=failure)
    ids = fetch_ids(connection, "SELECT id FROM conversations WHERE account = ? AND gone_at IS NULL", account)
    return HeldListing(account_checkpoint=account_checkpoint, unlisted=ids - listed, failure=failure)


def load_unread(connection: Connection, account: str, entries: Iterable[Conversation]) -> HeldEntries:
    """The same, with every conversation that counts as unread here."""
    known = load_entries(connection, account, entries)
    unread = rows.select(connection, Conversation, "account = ? AND unread_count > 0", (account,))
    pending = load_pending(connection, account, "conversation", [row.id for row in unread])
    return replace(known, unread={row.id: row for row in unread}, pending=known.pending | pending)


# Read what a plan for one conversation needs to know.


_thread = json.Decoder(ConversationCheckpoint)


def load_conversation(
    connection: Connection, account: str, change_id: int, conversation_id: str, message_ids: Iterable[str]
) -> HeldConversation:
    """A conversation, its debt, and those of the messages named (its last and its wanted one too) that are held."""
    conversation = first(rows.select(connection, Conversation, "account = ? AND id = ?", (account, conversation_id)))
    state = fetch_one(
        connection, "SELECT state FROM _threads WHERE account = ? AND conversation_id = ?", account, conversation_id
    )
    pending = load_pending(connection, account, "conversation", [conversation_id]).get(conversation_id)
    checkpoint = None if state is None else _thread.decode(state[0])
    messages = _messages(connection, account, {*message_ids, *_named(pending, conversation)})
    newest = _newest_inbound(connection, account, conversation_id, checkpoint)
    return HeldConversation(
        account=known_account(connection, account),
        change_id=change_id,
        conversation=conversation,
        checkpoint=checkpoint,
        pending=pending,
        failure=load_failure(connection, account, "conversation", conversation_id),
        messages=messages,
        suspects=load_suspected(connection, account, "message", messages),
        newest_inbound=newest,
        told=frozenset() if newest is None else _told(connection, account, newest.id),
        interview_looked_for=_interview_looked_for(connection, account, conversation),
        claims=load_claims(connection, account, conversation_id),
        gone=load_gone_owners(connection, account, conversation_id, messages),
    )


_GONE = (
    "SELECT id FROM conversations WHERE account = ? AND gone_at IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
)


def load_gone_owners(
    connection: Connection, account: str, conversation_id: str, messages: Mapping[str, Message]
) -> frozenset[str]:
    """Which conversations beside this one hold some of the messages and are gone."""
    others = {message.conversation_id for message in messages.values()} - {conversation_id}
    return fetch_ids(connection, _GONE, account, listed(others)) if others else frozenset()


_CLAIMS = """
SELECT s.subject_id, s.conversation_id,
  EXISTS(SELECT 1 FROM _seen WHERE account = :account AND conversation_id = :id AND message_id = s.subject_id),
  EXISTS(SELECT 1 FROM failures WHERE account = :account AND kind = 'message' AND subject_id = s.subject_id)
FROM _suspects AS s JOIN messages AS m ON m.account = :account AND m.id = s.subject_id
WHERE s.account = :account AND s.kind = 'claim' AND :id IN (s.conversation_id, m.conversation_id)
"""


def load_claims(connection: Connection, account: str, conversation_id: str) -> dict[str, Claim]:
    """The messages that the conversation and another one show."""
    found = connection.execute(_CLAIMS, {"account": account, "id": conversation_id}).fetchall()
    messages = _messages(connection, account, {row[0] for row in found}) if found else {}
    return {
        id_: Claim(message=messages[id_], claimant=claimant, is_met=bool(is_met), fails=bool(fails))
        for id_, claimant, is_met, fails in found
    }


def load_claim(connection: Connection, account: str, message_id: str) -> HeldClaim:
    """A message that two conversations show."""
    task = load_task(connection, account, "message", message_id)
    sql = "SELECT conversation_id FROM _suspects WHERE account = ? AND kind = 'claim' AND subject_id = ?"
    claimant, message = fetch_one(connection, sql, account, message_id), _messages(connection, account, [message_id])
    claim = Claim(message=message[message_id], claimant=claimant[0]) if claimant and message else None
    return HeldClaim(pending=task.pending, failure=task.failure, claim=claim)


def _named(pending: PendingTask | None, conversation: Conversation | None) -> set[str]:
    reason = (pending and pending.reason) or Reason()
    entry = reason.entry or conversation
    last = None if entry is None else entry.last_message_id
    return {id_ for id_ in (reason.want, last) if id_ is not None}


def _messages(connection: Connection, account: str, ids: Iterable[str]) -> dict[str, Message]:
    where = "account = ? AND id IN (SELECT value FROM json_each(?))"
    return {message.id: message for message in rows.select(connection, Message, where, (account, listed(ids)))}


def _newest_inbound(
    connection: Connection, account: str, conversation_id: str, checkpoint: ConversationCheckpoint | None
) -> Fresh | None:
    row = fetch_one(
        connection,
        "SELECT COALESCE(created_at, ''), id, first_seen_at FROM messages"
        " WHERE account = ? AND conversation_id = ?"
        " AND is_from_viewer IS NOT 1 AND is_system IS NOT 1 AND gone_at IS NULL"
        " ORDER BY created_at DESC, id DESC LIMIT 1",
        account,
        conversation_id,
    )
    if row is None or checkpoint is None:
        return None
    at, id_, first_seen_at = row
    return Fresh(at=at, id=id_, history=_is_history(checkpoint, at, first_seen_at))


def _is_history(checkpoint: ConversationCheckpoint, created_at: str, first_seen_at: str) -> bool:
    """Created before anybody watched, and stored before its conversation was first proved whole."""
    return created_at < checkpoint.history_before and (
        checkpoint.whole_since is None or first_seen_at <= checkpoint.whole_since
    )


def _told(connection: Connection, account: str, message_id: str) -> frozenset[str]:
    sql = (
        "SELECT kind FROM events WHERE account = ? AND message_id = ?"
        " AND kind IN ('conversation.unread', 'conversation.needs_reply')"
    )
    return fetch_ids(connection, sql, account, message_id)


def _interview_looked_for(connection: Connection, account: str, conversation: Conversation | None) -> bool:
    if conversation is None or conversation.proposal_id is None:
        return True
    sql = (
        "SELECT EXISTS(SELECT 1 FROM interviews WHERE account = :account AND proposal_id = :id AND gone_at IS NULL)"
        " OR EXISTS(SELECT 1 FROM _owed WHERE account = :account AND subject_id = :id"
        " AND kind IN ('proposal', 'interview'))"
    )
    found = connection.execute(sql, {"account": account, "id": conversation.proposal_id})
    return bool(found.fetchone()[0])


def load_turn(connection: Connection, account: str, conversation_id: str) -> HeldTurn:
    """The open turn of a two-sided conversation that still needs a reply."""
    pending = load_pending(connection, account, "overdue", [conversation_id]).get(conversation_id)
    row = connection.execute(_OPEN_TURN, {"account": account, "id": conversation_id}).fetchone()
    if row is None:
        return HeldTurn(pending=pending, turn=None)
    message_id, asked_at, first_seen_at, told, state = row
    return HeldTurn(
        pending=pending,
        turn=Turn(
            message_id=message_id,
            asked_at=asked_at,
            history=_is_history(_thread.decode(state), asked_at, first_seen_at),
            told=bool(told),
        ),
    )


_OPEN_TURN = """
WITH ours AS (
  SELECT created_at, id FROM messages
  WHERE account = :account AND conversation_id = :id AND is_from_viewer = 1 AND is_system IS NOT 1 AND gone_at IS NULL
  ORDER BY created_at DESC, id DESC LIMIT 1)
SELECT m.id, m.created_at, m.first_seen_at,
  EXISTS(SELECT 1 FROM events e WHERE e.account = :account AND e.kind = 'conversation.overdue' AND e.message_id = m.id),
  t.state
FROM messages m
JOIN conversations c ON c.account = m.account AND c.id = m.conversation_id
JOIN _threads t ON t.account = m.account AND t.conversation_id = m.conversation_id
WHERE m.account = :account AND m.conversation_id = :id AND m.is_from_viewer IS NOT 1 AND m.is_system IS NOT 1
  AND m.gone_at IS NULL AND m.created_at IS NOT NULL
  AND c.gone_at IS NULL AND c.channel_name IS NULL AND c.needs_reply_count > 0
  AND (m.created_at, m.id) > (COALESCE((SELECT created_at FROM ours), ''), COALESCE((SELECT id FROM ours), ''))
ORDER BY m.created_at, m.id LIMIT 1
"""


# Read what plans for proposals, jobs and suspicions need to know.


_SUSPECTED = "SELECT COUNT(*) FROM _suspects WHERE account = ? AND kind IN ('conversation', 'message')"

_SETTLED = """
SELECT kind, subject_id, since FROM _suspects AS s
WHERE account = :account AND kind IN ('conversation', 'message') AND NOT EXISTS (
  SELECT 1 FROM _owed AS o WHERE o.account = :account AND o.kind = 'conversation' AND o.subject_id = s.conversation_id
    AND json_extract(o.payload, '$.verify'))
"""


def load_proposal(
    connection: Connection, account: str, kind: str, proposal_id: str, candidate_id: str | None
) -> HeldProposal:
    """One proposal with everything that hangs on it; `kind` says whose debt is being paid."""
    proposal = first(rows.select(connection, Proposal, "account = ? AND id = ?", (account, proposal_id)))
    about = (account, proposal_id)
    messages = rows.select(connection, InterviewMessage, "account = ? AND proposal_id = ?", about)
    active = fetch_one(
        connection,
        "SELECT MAX(COALESCE(last_message_at, updated_at)) FROM conversations WHERE account = ? AND proposal_id = ?",
        *about,
    )
    erasure = fetch_one(
        connection,
        "SELECT since FROM _suspects WHERE account = ? AND kind = 'erasure' AND subject_id = ?",
        *about,
    )
    return HeldProposal(
        account=known_account(connection, account),
        proposal=proposal,
        candidate=first(rows.select(connection, Candidate, "account = ? AND id = ?", (account, candidate_id or ""))),
        interview=first(rows.select(connection, Interview, "account = ? AND proposal_id = ?", about)),
        messages={message.id: message for message in messages},
        pending=load_pending(connection, account, kind, [proposal_id]).get(proposal_id),
        failure=load_failure(connection, account, kind, proposal_id),
        active_at=active[0],
        nameless=bool(load_suspected(connection, account, "nameless", [candidate_id or ""])),
        erasure_since=None if erasure is None else erasure[0],
    )


def load_jobs(connection: Connection, account: str, ids: Iterable[str]) -> HeldJobs:
    """Those of the jobs that are held."""
    where = "account = ? AND id IN (SELECT value FROM json_each(?))"
    return HeldJobs(jobs={job.id: job for job in rows.select(connection, Job, where, (account, listed(ids)))})


def load_task(connection: Connection, account: str, kind: str, subject_id: str) -> HeldTask:
    """What is owed of a subject that no row stands for, and whether it failed before."""
    return HeldTask(
        pending=load_pending(connection, account, kind, [subject_id]).get(subject_id),
        failure=load_failure(connection, account, kind, subject_id),
    )


def load_proposals(connection: Connection, account: str) -> HeldProposals:
    """The ids of every proposal that is held."""
    sql = "SELECT id FROM proposals WHERE account = ? ORDER BY id"
    return HeldProposals(
        account_checkpoint=load_account_checkpoint(connection, account),
        proposals=tuple(id_ for (id_,) in connection.execute(sql, (account,))),
    )


def load_suspects(connection: Connection, account: str) -> HeldSuspects:
    """What is suspected to be deleted upstream, where no other look is owed."""
    found = connection.execute(_SETTLED, {"account": account})
    since = {(kind, subject_id): at for kind, subject_id, at in found}
    suspected = "account = ? AND gone_at IS NULL AND id IN (SELECT value FROM json_each(?))"
    conversations = "SELECT COUNT(*) FROM conversations WHERE account = ? AND gone_at IS NULL"
    # what lies in conversations that are gone can't be seen, and so is no measure of a loss
    messages = (
        "SELECT COUNT(*) FROM messages WHERE account = :account AND gone_at IS NULL AND conversation_id NOT IN"
        " (SELECT id FROM conversations WHERE account = :account AND gone_at IS NOT NULL)"
    )

    def suspected_rows(kind: type[Any], name: str) -> tuple[Any, ...]:
        ids = listed(id_ for of, id_ in since if of == name)
        return tuple(rows.select(connection, kind, suspected, (account, ids)))

    return HeldSuspects(
        account=known_account(connection, account),
        account_checkpoint=load_account_checkpoint(connection, account),
        conversations=suspected_rows(Conversation, "conversation"),
        messages=suspected_rows(Message, "message"),
        all_conversations=fetch_one(connection, conversations, account)[0],
        all_messages=connection.execute(messages, {"account": account}).fetchone()[0],
        since=since,
        deferred=fetch_one(connection, _SUSPECTED, account)[0] - len(since),
    )


# What stands between an account and the end of a comparison.


def load_backlog(connection: Connection, account: str) -> Backlog:
    """How many conversations are still to be compared, but for those that fail; and how many suspicions there are."""
    comparisons = (
        "SELECT COUNT(*) FROM _owed WHERE account = :account AND kind = 'conversation'"
        " AND json_extract(payload, '$.verify')"
        " AND subject_id NOT IN (SELECT subject_id FROM failures WHERE account = :account AND kind = 'conversation')"
    )
    return Backlog(
        comparisons=connection.execute(comparisons, {"account": account}).fetchone()[0],
        suspects=connection.execute(_SUSPECTED, (account,)).fetchone()[0],
    )
