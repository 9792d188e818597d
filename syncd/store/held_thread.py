"""Read what a plan for one conversation needs to know."""

from collections.abc import Iterable
from sqlite3 import Connection

from msgspec import json

from syncd.core import held
from syncd.core.model import Conversation, Message
from syncd.core.plan import Owed
from syncd.core.thread import Errand, Fresh, Thread
from syncd.store import rows
from syncd.store.held import fetch_ids, fetch_one, first, known_account, listed, load_failure, load_owed, load_suspected

_thread = json.Decoder(Thread)


def load_thread(
    connection: Connection, account: str, change_id: int, conversation_id: str, message_ids: Iterable[str]
) -> held.HeldThread:
    """A conversation, its debt, and those of the messages named (its last and its wanted one too) that are held."""
    conversation = first(rows.select(connection, Conversation, "account = ? AND id = ?", (account, conversation_id)))
    state = fetch_one(
        connection, "SELECT state FROM _threads WHERE account = ? AND conversation_id = ?", account, conversation_id
    )
    owed = load_owed(connection, account, "conversation", [conversation_id]).get(conversation_id)
    thread = None if state is None else _thread.decode(state[0])
    messages = _messages(connection, account, {*message_ids, *_named(owed, conversation)})
    newest = _newest_inbound(connection, account, conversation_id, thread)
    return held.HeldThread(
        account=known_account(connection, account),
        change_id=change_id,
        conversation=conversation,
        thread=thread,
        owed=owed,
        failure=load_failure(connection, account, "conversation", conversation_id),
        messages=messages,
        suspects=load_suspected(connection, account, "message", messages),
        newest_inbound=newest,
        told=frozenset() if newest is None else _told(connection, account, newest.id),
        interview_looked_for=_interview_looked_for(connection, account, conversation),
    )


def _named(owed: Owed | None, conversation: Conversation | None) -> set[str]:
    errand = (owed and owed.errand) or Errand()
    entry = errand.entry or conversation
    last = None if entry is None else entry.last_message_id
    return {id_ for id_ in (errand.want, last) if id_ is not None}


def _messages(connection: Connection, account: str, ids: Iterable[str]) -> dict[str, Message]:
    where = "account = ? AND id IN (SELECT value FROM json_each(?))"
    return {message.id: message for message in rows.select(connection, Message, where, (account, listed(ids)))}


def _newest_inbound(connection: Connection, account: str, conversation_id: str, thread: Thread | None) -> Fresh | None:
    row = fetch_one(
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


def load_turn(connection: Connection, account: str, conversation_id: str) -> held.HeldTurn:
    """The open turn of a two-sided conversation that still needs a reply."""
    owed = load_owed(connection, account, "overdue", [conversation_id]).get(conversation_id)
    row = connection.execute(_OPEN_TURN, {"account": account, "id": conversation_id}).fetchone()
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
