"""How messages that came differ from those held."""

from collections.abc import Iterable

from msgspec import Struct

from syncd.core.model import Event, Instant, Message
from syncd.core.plan import Revision


class Comparison(Struct, frozen=True, kw_only=True):
    """How a page differs from the rows held."""

    new: tuple[Message, ...] = ()
    changed: tuple[Message, ...] = ()
    edited: tuple[Message, ...] = ()
    restored: tuple[Message, ...] = ()
    revisions: tuple[Revision, ...] = ()


def compare(held: dict[str, Message], messages: Iterable[Message]) -> Comparison:
    """How the messages that came differ from those held; of an id that comes twice the last one counts."""
    came = {message.id: message for message in messages}
    new = tuple(message for id_, message in came.items() if id_ not in held)
    changed = tuple(message for id_, message in came.items() if id_ in held and held[id_] != message)
    edited = tuple(message for message in changed if _is_edit(held[message.id], message))
    return Comparison(
        new=new,
        changed=changed,
        edited=edited,
        restored=tuple(message for message in changed if held[message.id].gone_at is not None),
        revisions=tuple(
            Revision(message_id=old.id, content=old.content, edited_at=old.edited_at)
            for old in (held[message.id] for message in edited)
            if old.content != came[old.id].content
        ),
    )


def _is_edit(old: Message, new: Message) -> bool:
    return old.content != new.content or (new.edited_at is not None and old.edited_at != new.edited_at)


def message_event(kind: str, message: Message, occurred_at: Instant | None) -> Event:
    """An event of the kinds message.*."""
    return Event(
        kind=kind,
        conversation_id=message.conversation_id,
        message_id=message.id,
        occurred_at=occurred_at,
        data={"is_from_viewer": message.is_from_viewer, "is_system": message.is_system},
    )
