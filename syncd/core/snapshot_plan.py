"""Plans for one chat: an answer compared, as a set, with what is held."""

from collections.abc import Iterable

from msgspec.structs import replace

from syncd.core.comparing import Comparison, compare, message_event
from syncd.core.model import Conversation, Event, Instant, Message
from syncd.core.pacing import next_interval
from syncd.core.plan import Plan
from syncd.core.setbacks import next_failure
from syncd.core.snapshot import Chat, Doubtful, Pace
from syncd.core.snapshot_held import HeldChat, HeldChats
from syncd.core.snapshot_seen import ChatsUnchanged, SnapshotRead, SubjectFailed, SubjectMissing
from syncd.core.times import after, seconds_between

_FRESH_SECONDS = 3600.0  # a chat whose last message is younger than this when it is first seen is one that talks
_AHEAD_SECONDS = 60.0  # a time further ahead of its own answer is no clock's small error, and says nothing


def plan_snapshot(held: HeldChat, read: SnapshotRead) -> Plan:
    """Store what is new and changed, suspect what is missing; the answer is Doubtful, or whether anything differed."""
    conversation, chat = held.conversation, held.chat
    if conversation is None or chat is None:
        return Plan(answer=False)
    live = {m.id: m for m in held.messages.values() if m.gone_at is None and m.conversation_id == conversation.id}
    came = {message.id: message for message in read.snapshot.messages}
    if not came and live and not read.confirmed:
        return Plan(answer=Doubtful())
    compared = compare(held.messages, read.snapshot.messages)
    missing = tuple(id_ for id_ in live if id_ not in came)
    row = with_last(conversation, (*came.values(), *(live[id_] for id_ in missing)))
    differs = bool(compared.new or compared.changed or missing)
    return Plan(
        rows=(*compared.new, *compared.changed, *(() if row == conversation else (row,))),
        revisions=compared.revisions,
        events=tuple(_events(compared, chat, read)),
        chats=((conversation.id, _looked_at(chat, read, row, busy=differs)),),
        suspects=tuple(("message", id_, conversation.id) for id_ in missing if id_ not in held.suspects),
        unsuspect=tuple(("message", id_) for id_ in came if id_ in held.suspects),
        recovered=() if held.failure is None else (("conversation", conversation.id),),
        answer=differs,
    )


def with_last(conversation: Conversation, messages: Iterable[Message]) -> Conversation:
    """The conversation, naming the last of these messages."""
    last = max(messages, key=lambda message: message.place, default=None)
    return replace(
        conversation,
        last_message_id=None if last is None else last.id,
        last_message_at=None if last is None else last.created_at,
    )


def _looked_at(chat: Chat, read: SnapshotRead, row: Conversation, *, busy: bool) -> Chat:
    """The chat after a whole answer; one seen for the first time is as busy as its last message is young."""
    if chat.whole_since is None:
        last = row.last_message_at
        busy = last is not None and seconds_between(last, read.snapshot.server_time) < _FRESH_SECONDS
        chat = replace(chat, whole_since=read.now, interval=read.pace.idle_seconds)
    return replace(settled(chat, read.now, read.pace, busy=busy), etag=read.snapshot.etag)


def settled(chat: Chat, now: Instant, pace: Pace, *, busy: bool) -> Chat:
    """The chat after a look that was no 304: its next turn, and a second look done if it was time for one."""
    doubted = chat.doubted_until if chat.doubted_until is not None and chat.doubted_until > now else None
    return replace(rested(chat, now, pace, busy=busy), looked_at=now, doubted_until=doubted)


def rested(chat: Chat, now: Instant, pace: Pace, *, busy: bool) -> Chat:
    """The chat with its next turn: soon while it talks, ever later while it does not."""
    interval = next_interval(chat.interval, busy=busy, poll_seconds=pace.poll_seconds, idle_seconds=pace.idle_seconds)
    return replace(chat, interval=interval, next_poll_at=after(now, interval))


def _events(compared: Comparison, chat: Chat, read: SnapshotRead) -> Iterable[Event]:
    news = [message for message in compared.new if not _is_history(message, chat, read.snapshot.server_time)]
    if chat.whole_since is None and chat.first_pass and news and len(news) == len(read.snapshot.messages):
        oldest = min(message.place for message in news)[0]
        yield Event(kind="conversation.new", conversation_id=read.conversation_id, occurred_at=oldest)
    for message in news:
        yield message_event("message.new", message, message.created_at)
    for message in compared.edited:
        yield message_event("message.edited", message, None)
    for message in compared.restored:
        yield message_event("message.restored", message, None)


def _is_history(message: Message, chat: Chat, server_time: Instant) -> bool:
    """Whether the message was there before anybody watched: created earlier, and in the chat's first snapshot.

    A time far ahead of the answer that brought it is a clock's mistake; what the first look finds with it is history.
    """
    created = message.created_at or ""
    return chat.whole_since is None and (created < chat.history_before or created > after(server_time, _AHEAD_SECONDS))


def plan_unchanged(held: HeldChats, seen: ChatsUnchanged) -> Plan:
    """Let quiet chats rest a little longer."""
    return Plan(
        chats=tuple((id_, rested(chat, seen.now, seen.pace, busy=False)) for id_, chat in held.chats.items()),
        recovered=tuple(("conversation", id_) for id_ in sorted(held.failing)),
    )


def plan_subject_missing(held: HeldChat, missing: SubjectMissing) -> Plan:
    """Suspect the chat to be gone, and nothing in it; the answer is whether such a chat is held at all."""
    conversation, chat = held.conversation, held.chat
    if conversation is None or chat is None:
        return Plan(answer=False)
    recovered = () if held.failure is None else (("conversation", conversation.id),)
    if conversation.gone_at is not None:
        return Plan(recovered=recovered, answer=True)
    return Plan(
        chats=((conversation.id, settled(chat, missing.now, missing.pace, busy=False)),),
        suspects=(("conversation", conversation.id, conversation.id),),
        unsuspect=tuple(("message", id_) for id_ in sorted(held.suspects)),
        recovered=recovered,
        answer=True,
    )


def plan_subject_failed(held: HeldChat, failed: SubjectFailed) -> Plan:
    """Put the subject off, with the reason."""
    return Plan(failures=(next_failure(held.failure, failed),))
