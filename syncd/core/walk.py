"""What is remembered of one conversation between two looks at it: how far it is proved, and the walk that is under way.

A *walk* is a chain of pages, each beginning where the one before it ended. Backfill, tail and reconcile are one walk
with different starts and stops; `goal` says what it is for:

- `probe`: the newest page, asked for backwards: where nothing is behind it, it is the whole thread;
- `fill`: forwards, from the thread's first message until it meets the newest page, or from the stored cursor until the
  list's last message is held;
- `start`: backwards to the thread's first message, where a walk forwards does not begin there;
- `join`: backwards from the newest page until it touches the run that is proved already;
- `explain`: backwards, a few pages a poll, looking for what moved the conversation's `updated_at` or for a message
  that is known to be missing.
"""

from collections.abc import Collection
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import NOWHERE, Conversation, Instant, Key, Page

Direction = Literal["older", "newer"]
Goal = Literal["probe", "fill", "start", "join", "explain"]
StartProof = Literal["unknown", "assumed"]


class Walk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A walk under way; it is stored with every page, so that a restart goes on where it was.

    `cursor` None asks for the first page. `start` says whether the chain reaches the thread's first message: *assumed*
    is confirmed by meeting the list's last message at the other end. `joined`: the chain hangs together with the run
    that is proved. `high` is the newest place met. `verify`: what is held and was not met is suspected to be deleted;
    `since` is the number of the last transaction before the walk, as later rows can't be missing. `restarts` counts
    dead cursors. `last`: the last message of the entry that an explanation is sought for; a newer message makes it
    pointless. `sought`: the entry (last message, updated_at) when the walk began; what a later one tells of may have
    happened behind the walk. `low`: the oldest place met, and `idle` how long the walk has met nothing beyond what it
    had met before, as `idled` counts. `seam` and `crest` are the oldest and the newest place of the newest page, if
    that was met before, and `back` its cursor: None where nothing is behind it.
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
    low: Key | None = None
    idle: int = 0
    seam: Key | None = None
    crest: Key | None = None
    back: str | None = None


class Fresh(Struct, frozen=True, kw_only=True, array_like=True):
    """An inbound message that is stored, and that no entry's counts have been weighed against yet."""

    at: str
    id: str
    history: bool

    @property
    def place(self) -> Key:
        """Where the message stands in its conversation."""
        return (self.at, self.id)


class ConversationCheckpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The checkpoint of one conversation.

    `tail_cursor`: the last `newer` cursor that was not null. `top`: the newest message of the run that has no gap
    below it. `whole_since`: when the conversation was first proved whole, by our clock. `history_before`: what was
    created earlier, and stored before that, is history. `latest`: the newest time that any message held bears.
    `sought`: the entry (last message, updated_at) that was last walked for. `open_ended`: the server gives a cursor
    even where nothing is behind it, as was seen at the thread's newest page.
    """

    history_before: Instant
    tail_cursor: str | None = None
    top: Key | None = None
    whole_since: Instant | None = None
    latest: Instant | None = None
    oldest: Instant | None = None
    sought: tuple[str | None, Instant | None] | None = None
    walk: Walk | None = None
    fresh: tuple[Fresh, ...] = ()
    open_ended: bool = False


class Reason(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a conversation is owed a look.

    `entry`: the list's entry (None: only the stored row is known). `verify`: everything is to be compared. `want`: a
    message the server's feed named. `first_pass`: the first pass found it. `since`: when it was last done, by the
    server's clock, where it is done again and again.
    """

    entry: Conversation | None = None
    verify: bool = False
    want: str | None = None
    first_pass: bool = False
    since: Instant | None = None


# The one rule for cursors: whatever comes in pages is walked until its end is proved, or it is seen to have none.


MOST_IDLE = 100
"""How many pages without anything in a row are followed; one that only repeats what was met counts as ten of them."""

_REPEATS = 10
_MOST_BEHIND_AN_END = 10  # pages without anything that are followed where the server's last pages have a cursor, too
_MOST_PAGES = 100_000  # of one walk, whatever they bring: a listing that grows faster than it is read has no end

Ending = Literal["cursor_repeats", "cursor_unreadable", "pages_without_end", "no_messages"]
"""Why the end of a listing is not proved: the reason of its row in `failures`."""


def idled(idle: int, count: int, *, advances: bool) -> int:
    """How long a walk has met nothing new, behind a page of so many entries; one may be just the cursor's own."""
    if advances:
        return 0
    return idle + (1 if count <= 1 else _REPEATS)


class Trail:
    """The cursors that one run of a walk has asked with: one that comes again leads nowhere."""

    def __init__(self) -> None:
        self._cursors: set[str] = set()

    def advances(self, asked: str | None, next_cursor: str | None) -> bool:
        """Note that `asked` brought `next_cursor`; whether that leads on."""
        if asked is not None:
            self._cursors.add(asked)
        return next_cursor not in (None, NOWHERE) and next_cursor not in self._cursors


class ListWalk:
    """A walk over a list that is read to its end: `seen` are the ids met.

    The end is proved by a null cursor alone; `ended` says so, `ending` why it can't be.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.cursor: str | None = None
        self.ended = False
        self.ending: Ending | None = None
        self._trail = Trail()
        self._idle = 0
        self._pages = 0

    def advance(self, ids: Collection[str], next_cursor: str | None) -> bool:
        """Note a page; whether the walk goes on."""
        leads_on = self._trail.advances(self.cursor, next_cursor)
        self._pages += 1
        self._idle = idled(self._idle, len(ids), advances=not self.seen.issuperset(ids))
        self.seen.update(ids)
        self.cursor = next_cursor
        self.ended = next_cursor is None
        if not self.ended and not leads_on:
            self.ending = "cursor_unreadable" if next_cursor == NOWHERE else "cursor_repeats"
        elif not self.ended and (self._idle >= MOST_IDLE or self._pages >= _MOST_PAGES):
            self.ending = "pages_without_end"
        return not self.ended and self.ending is None

    def restart(self) -> None:
        """Begin again at the head, behind a cursor that died."""
        self.cursor, self._trail, self._idle = None, Trail(), 0


# Where a walk begins, where it goes on, and what its end proves. Pure: thread in, thread out.
#
# What no document says must not matter: whether `newer` without a cursor starts at the oldest message or at the newest
# page, the order within a page, whether a cursor repeats its own message, whether the last page bears a cursor, and how
# long cursors live. So nothing is concluded from a cursor alone: a conversation is whole when its start is proved, its
# pages join, and the list's last message lies in the joined run.


class Reached(Struct, frozen=True, kw_only=True):
    """What one page means for its walk.

    `checkpoint`: the new checkpoint; its `walk` is None when nothing more is to be asked. `closed`: the walk went from
    the thread's first message to its last, so that what is held and was not met is missing upstream. `ending`: the
    pages lead nowhere before the proof is complete.
    """

    checkpoint: ConversationCheckpoint
    closed: bool = False
    ending: Ending | None = None


class _Sight(Struct, frozen=True, kw_only=True):
    """A page as it is weighed: its places in order, and whether the entry's last message is held, and where.

    `ending`: why its cursor leads nowhere though it is not null; `stands`: nothing is behind it, as it came back
    itself, or as last pages have cursors here.
    `is_nameless`: the entry has a last message whose id can't be kept.
    """

    page: Page
    places: list[Key]
    last_id: str | None
    last: Key | None
    ending: Ending | None
    stands: bool
    is_nameless: bool

    @property
    def leads_on(self) -> bool:
        """Whether there is a page to be asked for behind this one."""
        return self.page.next_cursor is not None and self.ending is None and not self.stands

    @property
    def is_last_unreadable(self) -> bool:
        """Whether the page has the last message, which can't be read."""
        return any(one.subject_id == self.last_id for one in self.page.unreadable)

    @property
    def next_cursor(self) -> str | None:
        """The cursor to go on from one day, if there is one."""
        return None if self.page.next_cursor == NOWHERE else self.page.next_cursor


def begin(
    checkpoint: ConversationCheckpoint, reason: Reason, entry: Conversation, last: Key | None, change_id: int
) -> Walk | None:
    """The walk that this errand needs now, or None when the held rows already prove the entry.

    `last` is the place of the entry's last message if it is held; `change_id` the number of the last transaction.
    """
    walk = checkpoint.walk
    if walk is not None and (walk.goal != "explain" or walk.last == entry.last_message_id):
        return walk
    walk = _choose(checkpoint, reason, entry, last, change_id)
    return None if walk is None else replace(walk, sought=identify(entry))


def is_empty(entry: Conversation) -> bool:
    """Whether the entry says that there is no message; a last one whose id can't be kept has a time all the same."""
    return entry.last_message_id is None and entry.last_message_at is None


def identify(entry: Conversation) -> tuple[str | None, Instant | None]:
    """What tells an entry of the list from a later one of the same conversation."""
    return (entry.last_message_id, entry.updated_at)


def _choose(
    checkpoint: ConversationCheckpoint, reason: Reason, entry: Conversation, last: Key | None, change_id: int
) -> Walk | None:
    if reason.verify:
        return Walk(direction="older", goal="probe", verify=True, since=change_id)
    if is_empty(entry) and reason.want is None:
        return None  # an empty conversation: there is nothing to ask for
    if checkpoint.whole_since is None:
        return Walk(direction="older", goal="probe")
    if reason.want is not None:
        return Walk(direction="older", goal="explain", last=entry.last_message_id)
    return _follow(checkpoint, entry, last, change_id)


def _follow(checkpoint: ConversationCheckpoint, entry: Conversation, last: Key | None, change_id: int) -> Walk | None:
    """What a thread that was whole needs to be so again, now that the list shows this entry."""
    if checkpoint.sought == identify(entry):
        return None
    if not holds(checkpoint, last):
        return _tail(checkpoint)
    if is_explained(checkpoint, entry):
        return None
    return Walk(direction="older", goal="explain", verify=True, since=change_id, last=entry.last_message_id)


def _tail(checkpoint: ConversationCheckpoint) -> Walk:
    """The cheapest walk to what is new: from the stored cursor, else backwards from the newest page."""
    if checkpoint.top is None:
        return Walk(direction="older", goal="probe")  # it was empty
    if checkpoint.tail_cursor is None:
        return Walk(direction="older", goal="join")
    return Walk(direction="newer", goal="fill", cursor=checkpoint.tail_cursor, joined=True)


def holds(checkpoint: ConversationCheckpoint, last: Key | None) -> bool:
    """Whether the last message lies in the run without gaps.

    One that is held above it (sent from here, say) proves nothing below itself.
    """
    return last is not None and checkpoint.top is not None and last <= checkpoint.top


def is_explained(checkpoint: ConversationCheckpoint, entry: Conversation) -> bool:
    """Whether some message held is as new as the entry's `updated_at`."""
    return entry.updated_at is None or (checkpoint.latest is not None and entry.updated_at <= checkpoint.latest)


def advance(  # noqa: PLR0913 - the entry's last message takes three of them
    checkpoint: ConversationCheckpoint,
    walk: Walk,
    page: Page,
    *,
    last_id: str | None,
    last: Key | None,
    leads_on: bool,
    is_nameless: bool = False,
) -> Reached:
    """What the page that `walk` asked for means.

    `last_id` is the entry's last message, `last` its place if it is held (this page included); `leads_on` is the
    trail's verdict on the cursor. `is_nameless`: there is a last message whose id can't be kept.
    """
    places = sorted(message.place for message in page.messages)
    advances = _advances(walk, places)
    walk = replace(
        walk,
        high=_highest(walk.high, *places[-1:]),
        low=min(filter(None, (walk.low, *places[:1])), default=None),
        idle=idled(walk.idle, len(places), advances=advances),
    )
    repeats = page.next_cursor == walk.cursor or (checkpoint.open_ended and walk.idle >= _MOST_BEHIND_AN_END)
    stands = page.next_cursor is not None and repeats and not advances and len(page.ids) <= 1
    sight = _Sight(
        page=page,
        places=places,
        last_id=last_id,
        last=last,
        ending=_find_ending(walk, page, leads_on=leads_on),
        stands=stands,
        is_nameless=is_nameless,
    )
    if walk.goal == "probe":
        return _probe(checkpoint, walk, sight)
    return _forwards(checkpoint, walk, sight) if walk.direction == "newer" else _backwards(checkpoint, walk, sight)


def _advances(walk: Walk, places: list[Key]) -> bool:
    """Whether the page goes beyond what its walk has met; by place, as to remember every id would take memory."""
    if not places:
        return False
    if walk.direction == "newer":
        return walk.high is None or places[-1] > walk.high
    return walk.low is None or places[0] < walk.low


def _find_ending(walk: Walk, page: Page, *, leads_on: bool) -> Ending | None:
    if page.next_cursor is None:
        return None
    if not leads_on:
        return "cursor_unreadable" if page.next_cursor == NOWHERE else "cursor_repeats"
    return "pages_without_end" if walk.idle >= MOST_IDLE else None


def _probe(checkpoint: ConversationCheckpoint, walk: Walk, sight: _Sight) -> Reached:
    """The newest page: the whole thread where nothing is behind it, else what a walk forwards has to meet.

    A full page that claims to be the last is doubted, and an empty one where the list names a message: the thread's
    other end has to agree.
    """
    if sight.ending is not None:
        return Reached(checkpoint=replace(checkpoint, walk=None), ending=sight.ending)
    if not sight.places and sight.leads_on:
        return Reached(checkpoint=replace(checkpoint, walk=replace(walk, cursor=sight.page.next_cursor)))
    nothing = not sight.page.ids
    believed = (sight.page.is_short and not nothing) or (nothing and sight.last_id is None)
    if not sight.leads_on and believed:
        checkpoint = replace(checkpoint, walk=None, top=_highest(checkpoint.top, walk.high))
        return Reached(checkpoint=checkpoint, closed=True)
    fill = replace(
        walk,
        direction="newer",
        goal="fill",
        cursor=None,
        high=None,
        low=None,
        idle=0,
        seam=walk.low,
        crest=walk.high,
        back=sight.page.next_cursor if sight.leads_on else None,
    )
    return Reached(checkpoint=replace(checkpoint, walk=fill))


def _forwards(checkpoint: ConversationCheckpoint, walk: Walk, sight: _Sight) -> Reached:
    meets = walk.seam is not None and walk.high is not None and walk.high >= walk.seam
    if walk.cursor is None:
        start = _start_proof(sight)
        touches = checkpoint.whole_since is not None and _touches(checkpoint, sight.places)
        walk = replace(walk, start=start, joined=start != "unknown" or touches)
    if meets:
        walk = replace(walk, high=_highest(walk.high, walk.crest))
    checkpoint = replace(
        checkpoint,
        tail_cursor=(walk.joined and sight.next_cursor) or checkpoint.tail_cursor,  # never a cursor above a gap
        top=_highest(checkpoint.top, walk.high) if walk.joined else checkpoint.top,
        open_ended=sight.page.next_cursor is not None
        if any(message.id == sight.last_id for message in sight.page.messages)
        else checkpoint.open_ended,
    )
    reached = _is_reached(checkpoint, walk, sight) if walk.seam is None else meets
    if walk.verify and sight.leads_on and not meets:
        reached = False  # a comparison goes on to the thread's very end
    if not reached and sight.leads_on:
        return Reached(checkpoint=replace(checkpoint, walk=replace(walk, cursor=sight.page.next_cursor)))
    if meets and walk.start == "unknown" and walk.back is None and walk.low == walk.seam:
        # both ends show the same page, and neither has anything before it
        checkpoint = replace(checkpoint, walk=None, top=_highest(checkpoint.top, walk.high))
        return Reached(checkpoint=checkpoint, closed=True)
    goal = _goal_backwards(checkpoint, walk, reached=reached)
    if goal is not None:
        return Reached(checkpoint=replace(checkpoint, walk=_turned(walk, goal, sight.last_id)))
    return Reached(checkpoint=replace(checkpoint, walk=None), closed=walk.start != "unknown")


def _goal_backwards(checkpoint: ConversationCheckpoint, walk: Walk, *, reached: bool) -> Goal | None:
    """What a walk forwards that came to its end has left unproved, or None."""
    proves_start = walk.verify or checkpoint.whole_since is None
    if walk.start == "unknown" and proves_start:
        return "start"
    if not walk.joined:
        return "join"
    if not reached:
        return "join" if walk.start == "unknown" else "start"
    return None


def _is_reached(checkpoint: ConversationCheckpoint, walk: Walk, sight: _Sight) -> bool:
    """Whether the walk has come to the list's last message; a comparison has to meet it itself."""
    if sight.last_id is None:
        return not (sight.is_nameless and sight.leads_on)
    if sight.is_last_unreadable:
        return True
    run = (walk.high,) if walk.verify else (walk.high, checkpoint.top)
    return sight.last is not None and any(place is not None and sight.last <= place for place in run)


def _start_proof(sight: _Sight) -> StartProof:
    """What the first page of `newer` without a cursor says of the thread's start.

    With a way on, and before the last message: it can't be the newest page, so it begins at the oldest message. With
    the last message: it is the newest page or a thread of just one page, however short, as servers may cut pages.
    """
    page, last = sight.page, sight.last
    beyond = (
        sight.last_id is not None
        and bool(sight.places)
        and sight.last_id not in page.ids
        and (last is None or last > sight.places[-1])
    )
    return "assumed" if page.next_cursor is not None and beyond else "unknown"


def _turned(walk: Walk, goal: Goal, last_id: str | None) -> Walk:
    """The same walk, gone about backwards: from behind the newest page, if that was met, else from it."""
    return Walk(
        direction="older",
        goal=goal,
        cursor=walk.back,
        verify=walk.verify,
        since=walk.since,
        high=_highest(walk.high, walk.crest),
        low=walk.seam if walk.back is not None else None,
        last=last_id,
        sought=walk.sought,
    )


def _backwards(checkpoint: ConversationCheckpoint, walk: Walk, sight: _Sight) -> Reached:
    at_start = sight.page.next_cursor is None or sight.stands
    touched = checkpoint.whole_since is not None and _touches(checkpoint, sight.places)
    if at_start or touched:
        checkpoint = replace(checkpoint, top=_highest(checkpoint.top, walk.high))
    if at_start:
        checkpoint = replace(checkpoint, walk=None)
        if sight.last_id is not None and walk.high is None and not sight.page.ids:
            # no message at all, where the list names a last one: an answer that proves nothing
            return Reached(checkpoint=checkpoint, ending="no_messages")
        return Reached(checkpoint=checkpoint, closed=True)
    if walk.goal == "join" and touched:
        if sight.last_id is None or holds(checkpoint, sight.last):
            return Reached(checkpoint=replace(checkpoint, walk=None))
        walk = replace(walk, goal="explain", last=sight.last_id)
    if sight.ending is not None:
        return Reached(checkpoint=replace(checkpoint, walk=None), ending=sight.ending)
    return Reached(checkpoint=replace(checkpoint, walk=replace(walk, cursor=sight.page.next_cursor)))


_MOST_RESTARTS = 2


def wants_solitude(walk: Walk) -> bool:
    """Whether its cursors died twice, perhaps because they live for fewer requests than are made beside it."""
    return walk.restarts >= _MOST_RESTARTS


def after_dead_cursor(checkpoint: ConversationCheckpoint, walk: Walk) -> Walk | None:
    """The bounded recovery from a cursor that the server no longer knows: once beside others, once alone, then None.

    A thread that is whole is joined from its newest page; one that is not begins again from nothing.
    """
    if walk.cursor is None or walk.restarts >= _MOST_RESTARTS:
        return None
    fresh = replace(
        walk, cursor=None, start="unknown", joined=False, high=None, low=None, idle=0, restarts=walk.restarts + 1
    )
    if walk.direction == "newer" and checkpoint.whole_since is not None and not walk.verify:
        return replace(fresh, direction="older", goal="join")
    return fresh


def _touches(checkpoint: ConversationCheckpoint, places: list[Key]) -> bool:
    """Whether a page reaches down into the run that is proved already."""
    return checkpoint.top is not None and bool(places) and places[0] <= checkpoint.top


def _highest(*places: Key | None) -> Key | None:
    return max(filter(None, places), default=None)
