"""What the mirror holds of a source that answers with whole chats, as far as one plan needs it."""

from msgspec import Struct

from syncd.core.model import Candidate, Conversation, Instant, Job, Message
from syncd.core.plan import Account, Failure, Memo
from syncd.core.snapshot import Chat

Suspicion = tuple[str, str]
"""The kind (message or conversation) and the id of what is suspected to be gone."""


class HeldRound(Struct, frozen=True, kw_only=True):
    """Every chat of the account. `failing`: when each failed subject, by kind and id, is tried again."""

    memo: Memo
    chats: dict[str, Chat]
    jobs: dict[str, str | None]
    gone: frozenset[str]
    suspects: frozenset[str]
    failing: dict[tuple[str, str], Instant]


class HeldRoster(Struct, frozen=True, kw_only=True):
    """The subjects that a list names, with their chats. `failing`: what has a row in `failures`, by kind and id."""

    account: Account
    memo: Memo
    subjects: dict[tuple[str, str], Job | Candidate]
    conversations: dict[str, Conversation]
    chats: dict[str, Chat]
    suspects: frozenset[str]
    failing: frozenset[tuple[str, str]]


class HeldChat(Struct, frozen=True, kw_only=True):
    """One chat with all of its messages, and whatever else is held under the ids asked for."""

    conversation: Conversation | None
    chat: Chat | None
    failure: Failure | None
    messages: dict[str, Message]
    suspects: frozenset[str]


class HeldChats(Struct, frozen=True, kw_only=True):
    """The state of several chats, and which of them have a row in `failures`."""

    chats: dict[str, Chat]
    failing: frozenset[str]


class HeldLosses(Struct, frozen=True, kw_only=True):
    """What is suspected to be gone, since when, and how much of each is held.

    `newest`: the last message that is neither gone nor suspected, of each chat that lost some.
    """

    account: Account
    memo: Memo
    conversations: tuple[Conversation, ...]
    messages: tuple[Message, ...]
    since: dict[Suspicion, Instant]
    owners: dict[str, Conversation]
    subjects: dict[str, Job | Candidate]
    newest: dict[str, Message]
    chats: dict[str, Chat]
    all_conversations: int
    all_messages: int
