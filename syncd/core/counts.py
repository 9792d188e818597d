"""What a list's counts mean, weighed against the messages that came with them."""

from syncd.core.held import HeldThread
from syncd.core.model import Conversation, Event, Key
from syncd.core.thread import Fresh, Thread


def is_counted(fresh: Fresh, last: Key | None) -> bool:
    """Whether an entry whose last message stands at `last` has counted this one; a newer one is counted later."""
    return last is None or fresh.place <= last


def keep_newest(fresh: tuple[Fresh, ...], last: Key | None) -> tuple[Fresh, ...]:
    """The newest that the entry counts, and the newest that it does not: no event ever names another."""
    counted = [one for one in fresh if is_counted(one, last)]
    ahead = [one for one in fresh if not is_counted(one, last)]
    return tuple(max(group, key=lambda one: one.place) for group in (counted, ahead) if group)


def count_events(held: HeldThread, thread: Thread, entry: Conversation, last: Key | None) -> tuple[Event, ...]:
    """The events of both counts: risen, fallen to nothing, or met by a new message while above nothing."""
    before = held.conversation
    arrived = max((one for one in thread.fresh if is_counted(one, last)), key=lambda one: one.place, default=None)
    unread = _count_event(
        held,
        entry,
        arrived,
        ("conversation.unread", "conversation.read", "unread_count"),
        (entry.unread_count, None if before is None else before.unread_count),
    )
    needs_reply = _count_event(
        held,
        entry,
        arrived,
        ("conversation.needs_reply", "conversation.answered", "needs_reply_count"),
        (entry.needs_reply_count, None if before is None else before.needs_reply_count),
    )
    return tuple(event for event in (unread, needs_reply) if event is not None)


def _count_event(
    held: HeldThread,
    entry: Conversation,
    arrived: Fresh | None,
    names: tuple[str, str, str],
    counts: tuple[int | None, int | None],
) -> Event | None:
    risen, fallen, column = names
    count, previous = (value or 0 for value in counts)
    if count == 0:
        return fell(fallen, entry.id, previous) if previous > 0 else None
    if arrived is None and count <= previous:
        return None
    message = arrived or held.newest_inbound
    if arrived is None and risen in held.told:
        return None  # a rise that nothing new explains, and whose newest message had its event
    return Event(
        kind=risen,
        conversation_id=entry.id,
        message_id=None if message is None else message.id,
        proposal_id=entry.proposal_id,
        baseline=message is not None and message.history,
        occurred_at=None if message is None else message.at or None,
        data={column: count, "previous": previous},
    )


def fell(kind: str, conversation_id: str, previous: int) -> Event:
    """The event of a count that fell to nothing."""
    return Event(kind=kind, conversation_id=conversation_id, data={"previous": previous})
