"""Where a walk begins, where it goes on, and what its end proves. Pure: thread in, thread out.

What no document says must not matter: whether `newer` without a cursor starts at the oldest message or at the newest
page, the order within a page, whether a cursor repeats its own message, whether the last page bears a cursor, and how
long cursors live. So nothing is concluded from a cursor alone: a conversation is whole when its start is proved, its
pages join, and the list's last message lies in the joined run.
"""

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import Conversation, Key, Page
from syncd.core.thread import Errand, Goal, StartProof, Thread, Walk


class Reached(Struct, frozen=True, kw_only=True):
    """What one page means for its walk.

    `thread`: the new checkpoint; its `walk` is None when nothing more is to be asked. `closed`: the walk went from the
    thread's first message to its last, so that what is held and was not met is missing upstream. `stuck`: the server's
    cursors go in circles before the proof is complete.
    """

    thread: Thread
    closed: bool = False
    stuck: bool = False


def begin(thread: Thread, errand: Errand, entry: Conversation, last: Key | None, change_id: int) -> Walk | None:
    """The walk that this errand needs now, or None when the held rows already prove the entry.

    `last` is the place of the entry's last message if it is held; `change_id` the number of the last transaction.
    """
    walk = thread.walk
    if walk is not None and (walk.goal != "explain" or walk.last == entry.last_message_id):
        return walk
    if errand.verify:
        return Walk(direction="newer", goal="fill", verify=True, since=change_id)
    if entry.last_message_id is None and errand.want is None:
        return None  # an empty conversation: there is nothing to ask for
    if thread.whole_since is None:
        return Walk(direction="newer", goal="fill")
    if errand.want is not None:
        return Walk(direction="older", goal="explain", last=entry.last_message_id)
    if thread.sought == (entry.last_message_id, entry.updated_at):
        return None
    if not holds(thread, last):
        return _tail(thread)
    if is_explained(thread, entry):
        return None
    return Walk(direction="older", goal="explain", verify=True, since=change_id, last=entry.last_message_id)


def _tail(thread: Thread) -> Walk:
    """The cheapest walk to what is new: from the stored cursor, else backwards unless the thread fits one page."""
    if thread.tail_cursor is None and thread.paged:
        return Walk(direction="older", goal="join")
    return Walk(direction="newer", goal="fill", cursor=thread.tail_cursor)


def holds(thread: Thread, last: Key | None) -> bool:
    """Whether the last message lies in the run without gaps.

    One that is held above it (sent from here, say) proves nothing below itself.
    """
    return last is not None and thread.top is not None and last <= thread.top


def is_explained(thread: Thread, entry: Conversation) -> bool:
    """Whether some message held is as new as the entry's `updated_at`."""
    return entry.updated_at is None or (thread.latest is not None and entry.updated_at <= thread.latest)


def advance(
    thread: Thread, walk: Walk, page: Page, *, last_id: str | None, last: Key | None, leads_on: bool
) -> Reached:
    """What the page that `walk` asked for means.

    `last_id` is the entry's last message, `last` its place if it is held (this page included); `leads_on` is the
    trail's verdict on the cursor.
    """
    places = sorted(message.place for message in page.messages)
    high = max(filter(None, (walk.high, places[-1] if places else None)), default=None)
    walk = replace(walk, high=high)
    if walk.direction == "newer":
        return _forwards(thread, walk, page, places, last_id=last_id, last=last, leads_on=leads_on)
    return _backwards(thread, walk, page, places, last_id=last_id, last=last, leads_on=leads_on)


def _forwards(
    thread: Thread, walk: Walk, page: Page, places: list[Key], *, last_id: str | None, last: Key | None, leads_on: bool
) -> Reached:
    short = len(places) < page.limit
    if walk.cursor is None:
        walk = replace(walk, start=_start_proof(page, places, last_id=last_id, last=last))
    resumed = walk.cursor is not None  # the chain goes on from a place in the proved run, or from its own page before
    joined = resumed or walk.start != "unknown" or (thread.whole_since is not None and _touches(thread, places))
    thread = replace(
        thread,
        tail_cursor=(joined and page.next_cursor) or thread.tail_cursor,  # never a cursor above a gap
        paged=thread.paged or resumed or not short,
        top=_highest(thread.top, walk.high) if joined else thread.top,
    )
    reached = (
        last_id is None or holds(thread, last) or (last is not None and walk.high is not None and last <= walk.high)
    )
    if walk.verify and leads_on and not short:
        reached = False  # a comparison goes on to the thread's very end
    if not reached and leads_on:
        return Reached(thread=replace(thread, walk=replace(walk, cursor=page.next_cursor)))
    goal = _goal_backwards(thread, walk, joined=joined, reached=reached)
    if goal is not None:
        return Reached(thread=replace(thread, walk=_turned(walk, goal, last_id)))
    return Reached(thread=replace(thread, walk=None), closed=walk.start != "unknown")


def _goal_backwards(thread: Thread, walk: Walk, *, joined: bool, reached: bool) -> Goal | None:
    """What a walk forwards that came to its end has left unproved, or None."""
    proves_start = walk.verify or thread.whole_since is None
    if walk.start == "unknown" and proves_start:
        return "start"
    if not joined:
        return "join"
    if not reached:
        return "start" if walk.start == "assumed" else "explain"
    return None


def _start_proof(page: Page, places: list[Key], *, last_id: str | None, last: Key | None) -> StartProof:
    """What the first page of `newer` without a cursor says of the thread's start.

    Short: it is the whole thread. Full with a way on, and before the last message: it can't be the newest page. Full
    with the last message: it is the newest page or a thread of just one page, which only a walk backwards can tell
    apart.
    """
    if len(places) < page.limit:
        return "proved"
    beyond = last_id is not None and not _bears(page, last_id) and (last is None or last > places[-1])
    return "assumed" if page.next_cursor is not None and beyond else "unknown"


def _turned(walk: Walk, goal: Goal, last_id: str | None) -> Walk:
    """The same comparison, gone about from the newest page backwards."""
    return Walk(direction="older", goal=goal, verify=walk.verify, since=walk.since, high=walk.high, last=last_id)


def _backwards(
    thread: Thread, walk: Walk, page: Page, places: list[Key], *, last_id: str | None, last: Key | None, leads_on: bool
) -> Reached:
    at_start = page.next_cursor is None or not places  # nothing is older than an empty page
    touched = thread.whole_since is not None and _touches(thread, places)
    if at_start or touched:
        thread = replace(thread, top=_highest(thread.top, walk.high))
    if at_start:
        return Reached(thread=replace(thread, walk=None, paged=thread.paged or walk.cursor is not None), closed=True)
    thread = replace(thread, paged=True)
    if not leads_on:
        return Reached(thread=replace(thread, walk=None), stuck=True)
    if walk.goal == "join" and touched:
        if last_id is None or holds(thread, last):
            return Reached(thread=replace(thread, walk=None))
        walk = replace(walk, goal="explain", last=last_id)
    return Reached(thread=replace(thread, walk=replace(walk, cursor=page.next_cursor)))


def after_dead_cursor(thread: Thread, walk: Walk) -> Walk | None:
    """The one bounded recovery from a cursor that the server no longer knows; None when it was tried already.

    A thread that is whole is joined from its newest page; one that is not begins again from nothing.
    """
    if walk.cursor is None or walk.restarts > 0:
        return None
    fresh = replace(walk, cursor=None, start="unknown", high=None, restarts=1)
    if walk.direction == "newer" and thread.whole_since is not None and not walk.verify:
        return replace(fresh, direction="older", goal="join")
    return fresh


def _bears(page: Page, message_id: str) -> bool:
    return any(message.id == message_id for message in page.messages)


def _touches(thread: Thread, places: list[Key]) -> bool:
    """Whether a page reaches down into the run that is proved already."""
    return thread.top is not None and bool(places) and places[0] <= thread.top


def _highest(*places: Key | None) -> Key | None:
    return max(filter(None, places), default=None)
