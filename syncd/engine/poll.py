"""The story of one poll: who are we, what has changed, fetch it, and say how it went."""

from dataclasses import dataclass, field

from msgspec import Struct

from syncd.core.listing import Surveyed, newest
from syncd.core.model import Change, EntryPage, Instant
from syncd.core.observations import (
    Entries,
    FeedRead,
    HeldAccount,
    ListWalked,
    ReconcileBegun,
    SuspectsSettled,
    UnreadList,
)
from syncd.core.times import seconds_between
from syncd.engine.account import BaseMirror, Mirror, Outcome, identified, measured, recorded_run
from syncd.engine.chats import SnapshotMirror, poll_snapshot
from syncd.engine.requests import Pass
from syncd.engine.worklist import Work, hydrate, read_jobs
from syncd.errors import FetchError, ForbiddenError, NotFoundError, ProtocolError, RejectedError, UnreachableError

_SPREAD_SECONDS = 0.2  # between one conversation and the next of a reconcile that nobody waits for


class Listing(Struct, frozen=True, kw_only=True):
    """What a walk down the list found: pages read, and conversations never seen before."""

    pages: int
    unknown: int


@dataclass(slots=True)
class _Descent:
    """A walk so far; `reached`: it is down at the mark; `changed`: the last page showed something new."""

    cursor: str | None = None
    cursors: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    head: Instant | None = None
    head_time: Instant | None = None
    pages: int = 0
    unknown: int = 0
    reached: bool = False
    changed: bool = False
    restarted: bool = False

    def note(self, page: EntryPage, surveyed: Surveyed) -> None:
        """Count a page, and move on to its cursor."""
        if self.head_time is None:
            self.head, self.head_time = newest(page.entries), page.server_time
        self.pages, self.unknown = self.pages + 1, self.unknown + surveyed.unknown
        self.reached = surveyed.done
        self.changed = bool(surveyed.owed) if page.entries else self.changed
        self.listed.update(entry.id for entry in page.entries)
        self.cursor = page.next_cursor

    def leads_on(self, page: EntryPage) -> bool:
        """Whether the page's cursor leads anywhere; one that was there before does not."""
        if self.cursor is None or self.cursor in self.cursors or not page.entries:
            return False
        self.cursors.add(self.cursor)
        return True

    def restart(self) -> None:
        """Begin again at the head, which stays what it was at first."""
        self.cursor, self.restarted = None, True
        self.cursors.clear()


async def walk_list(under: Pass, work: Work, *, whole: bool = False, reconcile: bool = False) -> Listing:
    """Walk the list, and owe a look to whatever changed.

    The mark is set when the walk is finished, to the head as it was before: what moves up in the meantime is above it.
    """
    descent = _Descent()
    while True:
        page = await _fetch_page(under, descent)
        surveyed = await _store_page(under, descent, page, whole=whole, reconcile=reconcile)
        under.walks.update(surveyed.walks)
        work.add(("conversation", id_) for id_ in surveyed.owed)
        descent.note(page, surveyed)
        under.mirror.tally.conversations = len(descent.listed)
        if not descent.leads_on(page) or (descent.reached and not whole):
            break
    await _finish(under, descent, whole=whole, reconcile=reconcile)
    return Listing(pages=descent.pages, unknown=descent.unknown)


async def _fetch_page(under: Pass, descent: _Descent) -> EntryPage:
    """The next page; a cursor that died costs one new beginning."""
    source = under.mirror.source
    try:
        return await under.ask(lambda: source.fetch_entries(descent.cursor))
    except RejectedError as refused:
        if descent.cursor is None or descent.restarted:
            raise
        under.mirror.log("cursor.expired", level="info", listing=True, request_id=refused.request_id)
    descent.restart()
    return await under.ask(lambda: source.fetch_entries(None))


async def _store_page(under: Pass, descent: _Descent, page: EntryPage, *, whole: bool, reconcile: bool) -> Surveyed:
    mirror = under.mirror
    observed = Entries(
        account=mirror.account,
        now=mirror.clock.now(),
        entries=page.entries,
        server_time=page.server_time,
        reconcile=reconcile,
        seen_before=len(descent.listed),
        spread=0.0 if whole else _SPREAD_SECONDS,
    )
    surveyed: Surveyed = await mirror.store.apply(observed)
    return surveyed


async def _finish(under: Pass, descent: _Descent, *, whole: bool, reconcile: bool) -> None:
    """Move the mark, unless the list broke off above it: then the next poll walks down again.

    A list that ended while it still showed changes, short of the mark, may have broken off.
    """
    mirror, ended = under.mirror, descent.cursor is None
    finished = whole or descent.reached or (ended and not descent.changed)
    if descent.head_time is None or not (finished or ended):
        return
    walked = ListWalked(
        account=mirror.account,
        now=mirror.clock.now(),
        head=descent.head if finished else None,
        server_time=descent.head_time,
        listed=frozenset(descent.listed) if reconcile and ended else None,
    )
    await mirror.store.apply(walked)


# The cheap signals beside the list's head: the unread list and the server's own feed.


async def read_unread(under: Pass, work: Work) -> None:
    """Compare the unread list's first page with what counts as unread here; what the list itself said stands alone."""
    mirror = under.mirror
    try:
        page = await under.ask(lambda: mirror.source.fetch_entries(None, unread_only=True))
    except (UnreachableError, ProtocolError) as failed:
        under.weigh(failed)
        if not mirror.unread_fails:
            mirror.log("unread.failed", level="warning", reason=failed.reason, request_id=failed.request_id)
        mirror.unread_fails = True
        return
    if mirror.unread_fails:
        mirror.log("unread.recovered")
    mirror.unread_fails = False
    observed = UnreadList(
        account=mirror.account,
        now=mirror.clock.now(),
        entries=page.entries,
        complete=page.next_cursor is None,
        server_time=page.server_time,
    )
    surveyed: Surveyed = await mirror.store.apply(observed)
    under.walks.update(surveyed.walks)
    work.add(("conversation", id_) for id_ in surveyed.owed)


async def read_feed(under: Pass, work: Work) -> None:
    """One page of the server's feed, where it has one; it only makes haste, so nothing rests on it."""
    mirror = under.mirror
    if mirror.feed_absent:
        return
    held = await mirror.store.fetch_account(mirror.account)
    cursor = held.memo.feed_cursor
    changes: tuple[Change, ...] = ()
    try:
        page = await under.ask(lambda: mirror.source.fetch_changes(cursor))
    except RejectedError:
        mirror.feed_absent = cursor is None
        cursor = None  # its cursor is dead: from the beginning again, which costs a page a poll
    except (NotFoundError, ForbiddenError):
        mirror.feed_absent = True  # until the next start
        return
    except FetchError:
        return
    else:
        cursor, changes = page.next_cursor or cursor, page.changes
    surveyed: Surveyed = await mirror.store.apply(_feed(under, changes, cursor))
    work.add(("conversation", id_) for id_ in surveyed.owed)


def _feed(under: Pass, changes: tuple[Change, ...], cursor: str | None) -> FeedRead:
    mirror = under.mirror
    return FeedRead(
        account=mirror.account,
        now=mirror.clock.now(),
        messages=tuple(
            (change.conversation_id, change.message_id, change.created_at)
            for change in changes
            if change.conversation_id is not None and change.message_id is not None
        ),
        proposals=tuple((c.proposal_id, c.created_at) for c in changes if c.proposal_id is not None),
        cursor=cursor,
        every_proposal=mirror.policy.every_proposal,
    )


# The story of one poll: who are we, what has changed, fetch it, and say how it went.
#
# Read from `poll` downwards. A first pass, an ordinary poll and a reconcile differ in how far down the list they look,
# and in nothing else.


async def poll(mirror: Mirror, *, full: bool = False, manual: bool = False) -> Outcome:
    """One poll until caught up; never raises for the server's or the disk's troubles, but says them in its Outcome."""
    return await measured(mirror, lambda: _look(Pass(mirror), full=full, manual=manual))


async def _look(under: Pass, *, full: bool, manual: bool) -> bool:
    mirror = under.mirror
    await under.gate.resume()
    held = await identified(mirror, under.ask)
    first = held.account is not None and held.account.complete_since is None
    reconcile = full or _is_reconcile_due(mirror, held)
    kind = "first_pass" if first else "reconcile" if reconcile else "sync" if manual else None
    async with recorded_run(mirror, kind):
        if first:
            return await _first_pass(under)
        return await _ordinary(under, reconcile=reconcile, at_once=full)


def _is_reconcile_due(mirror: Mirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    if held.memo.reconciling_since is not None:
        return not held.memo.reconcile_listed  # a crash came before all of it was owed
    return last is not None and seconds_between(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds


async def _first_pass(under: Pass) -> bool:
    """Walk the list, fetch what it shows, and walk it again until it shows nothing unknown.

    The list moves while it is walked, and one answer may be broken: what was not seen once is seen the next time.
    """
    tally = under.mirror.tally

    async def survey(work: Work) -> None:
        known = False
        while not known:
            listing = await walk_list(under, work, whole=True)
            known = tally.listed and listing.unknown == 0
            tally.listed = True
            await work.wait_until_begun()

    await hydrate(under, survey)
    await read_jobs(under)
    await hydrate(under)
    return True


async def _ordinary(under: Pass, *, reconcile: bool, at_once: bool) -> bool:
    mirror = under.mirror
    if reconcile:
        await mirror.store.apply(ReconcileBegun(account=mirror.account, now=mirror.clock.now()))

    async def survey(work: Work) -> None:
        await walk_list(under, work, whole=at_once, reconcile=reconcile)
        await read_unread(under, work)
        await read_feed(under, work)

    tasks = await hydrate(under, survey)
    if reconcile:
        await read_jobs(under)
        tasks += await hydrate(under)
    await _settle(under)
    return tasks > 0


async def _settle(under: Pass) -> None:
    """When every comparison has been made, believe what they found missing."""
    mirror = under.mirror
    held = await mirror.store.fetch_account(mirror.account)
    backlog = await mirror.store.fetch_backlog(mirror.account)
    waiting = held.memo.reconciling_since is not None or held.memo.second_look_at is not None
    if backlog.comparisons == 0 and (backlog.suspects > 0 or waiting):
        await mirror.store.apply(SuspectsSettled(account=mirror.account, now=mirror.clock.now()))


# Poll any account, by the story that its source needs.


async def poll_any(mirror: BaseMirror, *, full: bool = False, manual: bool = False) -> Outcome:
    """One poll; never raises for the server's or the disk's troubles, but says them in its Outcome."""
    if isinstance(mirror, SnapshotMirror):
        return await poll_snapshot(mirror, full=full, manual=manual)
    if isinstance(mirror, Mirror):
        return await poll(mirror, full=full, manual=manual)
    raise TypeError(f"no story polls a {type(mirror).__name__}")
