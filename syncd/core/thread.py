"""What is remembered of one conversation between two looks at it: how far it is proved, and the walk that is under way.

A *walk* is a chain of pages, each beginning where the one before it ended. Backfill, tail and reconcile are one walk
with different starts and stops; `goal` says what it is for:

- `fill`: forwards, from nothing or from the stored cursor, until the list's last message is held;
- `start`: backwards from the newest page to the thread's first message, where nothing else proves that the start is
  held;
- `join`: backwards from the newest page until it touches the run that is proved already;
- `explain`: backwards, a few pages a poll, looking for what moved the conversation's `updated_at` or for a message
  that is known to be missing.
"""

from typing import Literal

from msgspec import Struct

from syncd.core.answers import Page
from syncd.core.model import Conversation, Instant, Key

Direction = Literal["older", "newer"]
Goal = Literal["fill", "start", "join", "explain"]
StartProof = Literal["unknown", "assumed", "proved"]


class Walk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A walk under way; it is stored with every page, so that a restart goes on where it was.

    `cursor` None asks for the first page. `start` says whether the chain reaches the thread's first message: *assumed*
    is confirmed by meeting the list's last message at the other end. `joined`: the chain hangs together with the run
    that is proved. `high` is the newest place met. `verify`: what is held and was not met is suspected to be deleted;
    `since` is the number of the last transaction before the walk, as later rows can't be missing. `restarts` counts
    dead cursors. `last`: the last message of the entry that an explanation is sought for; a newer message makes it
    pointless. `sought`: the entry (last message, updated_at) when the walk began; what a later one tells of may have
    happened behind the walk.
    """

    direction: Direction
    goal: Goal
    cursor: str | None = None
    start: StartProof = "unknown"
    joined: bool = False
    high: Key | None = None
    verify: bool = False
    since: int = 0
    restarts: int = 0
    last: str | None = None
    sought: tuple[str | None, Instant | None] | None = None


class Fresh(Struct, frozen=True, kw_only=True, array_like=True):
    """An inbound message that is stored, and that no entry's counts have been weighed against yet."""

    at: str
    id: str
    history: bool

    @property
    def place(self) -> Key:
        """Where the message stands in its conversation."""
        return (self.at, self.id)


class Thread(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The checkpoint of one conversation.

    `tail_cursor`: the last `newer` cursor that was not null. `top`: the newest message of the run that has no gap
    below it. `whole_since`: when the conversation was first proved whole, by our clock. `history_before`: what was
    created earlier, and stored before that, is history. `latest`: the newest time that any message held bears.
    `sought`: the entry (last message, updated_at) that was last walked for. `paged`: it does not fit one page, so that
    `newer` without a cursor is no tail. `told_*`: the messages whose event was written last.
    """

    history_before: Instant
    tail_cursor: str | None = None
    top: Key | None = None
    whole_since: Instant | None = None
    latest: Instant | None = None
    oldest: Instant | None = None
    sought: tuple[str | None, Instant | None] | None = None
    paged: bool = False
    walk: Walk | None = None
    fresh: tuple[Fresh, ...] = ()
    told_unread: str | None = None
    told_needs_reply: str | None = None


class Errand(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a conversation is owed a look.

    `entry`: the list's entry (None: only the stored row is known). `verify`: everything is to be compared. `want`: a
    message the server's feed named. `first_pass`: the first pass found it.
    """

    entry: Conversation | None = None
    verify: bool = False
    want: str | None = None
    first_pass: bool = False


class Trail:
    """The cursors and the last page of one run of a walk: what tells an advance from a repetition.

    A cursor that comes twice (A-A or A-B-A), or a page with nothing that the page before it had not, ends the walk at
    once.
    """

    def __init__(self) -> None:
        self._cursors: set[str] = set()
        self._ids: frozenset[str] = frozenset()

    def advances(self, asked: str | None, page: Page) -> bool:
        """Note that `asked` brought `page`; whether its next cursor leads on."""
        if asked is not None:
            self._cursors.add(asked)
        ids = frozenset(message.id for message in page.messages)
        fresh = bool(ids - self._ids)
        self._ids = ids
        return fresh and page.next_cursor is not None and page.next_cursor not in self._cursors
