"""What is seen of outgoing messages, and what is held around one."""

from msgspec import Struct

from syncd.core.held import HeldThread
from syncd.core.model import Conversation, Instant, Message
from syncd.core.observations import Observation
from syncd.core.outgoing import Outgoing


class Candidate(Struct, frozen=True, kw_only=True):
    """A message of the viewer's that no row of the outbox claims; `first_seen_at` None: it is not held."""

    message: Message
    first_seen_at: Instant | None = None


class HeldOutbox(Struct, frozen=True, kw_only=True):
    """One conversation's outbox, as far as a plan needs it.

    `outgoing`: the row asked for; `next_id`: the number of the next one. `open`: the rows that are sending or
    unconfirmed. `candidates`: messages held that may be theirs. `claimed`: messages that rows have found. `thread`:
    the conversation with those of the messages asked for that are held.
    """

    thread: HeldThread
    next_id: int
    outgoing: Outgoing | None = None
    open: tuple[Outgoing, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    claimed: frozenset[str] = frozenset()


class Queued(Observation, frozen=True, kw_only=True):
    """Somebody wants a text sent; the same `key` is the same wish."""

    conversation_id: str
    content: str
    key: str | None = None


class Attempted(Observation, frozen=True, kw_only=True):
    """The message's turn has come: it is to be sent now."""

    id: int


class Answered(Observation, frozen=True, kw_only=True):
    """The server took the message, and answered with it."""

    id: int
    message: Message


class Unanswered(Observation, frozen=True, kw_only=True):
    """The attempt brought no message; `state` is what becomes of it, `error` what to tell a person."""

    id: int
    state: str
    error: str


class Looked(Observation, frozen=True, kw_only=True):
    """A conversation was read back beyond the attempts, to see what of the messages `ids` has arrived.

    `gone`: the server is well, and has no such conversation for us.
    """

    conversation_id: str
    ids: frozenset[int]
    messages: tuple[Message, ...]
    server_time: Instant
    gone: bool = False


class Ordered(Observation, frozen=True, kw_only=True):
    """A person cancels the message, or wants it sent (again)."""

    id: int
    again: bool


class Found(Observation, frozen=True, kw_only=True):
    """A proposal's conversation was opened or found; `entry` None: the list does not show it yet."""

    conversation_id: str
    proposal_id: str
    entry: Conversation | None
