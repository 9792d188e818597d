"""The story of one poll: who are we, what has changed, fetch it, and say how it went."""

from dataclasses import dataclass, field

from msgspec import Struct

from syncd.core.listing import Signals, newest
from syncd.core.model import NOWHERE, Change, EntryPage, Instant
from syncd.core.observations import (
    Entries,
    FeedRead,
    HeldAccount,
    ListWalked,
    ReconcileBegun,
    SuspectsSettled,
    UnreadList,
)
from syncd.core.times import elapsed
from syncd.engine.account import BaseMirror, Mirror, PollResult, identified, measured, recorded_run
from syncd.engine.chats import SnapshotMirror, poll_snapshot
from syncd.engine.requests import SyncPass
from syncd.engine.worklist import Worklist, complete_tasks, read_jobs
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
    unreadable: set[str] = field(default_factory=set)
    head: Instant | None = None
    head_time: Instant | None = None
    pages: int = 0
    unknown: int = 0
    reached: bool = False
    changed: bool = False
    restarted: bool = False

    def note(self, page: EntryPage, signals: Signals) -> None:
        """Count a page, and move on to its cursor."""
        if self.head_time is None:
            self.head, self.head_time = newest(page.entries), page.server_time
        self.pages, self.unknown = self.pages + 1, self.unknown + signals.unknown
        self.reached = signals.done
        self.changed = bool(signals.pending) if page.entries else self.changed
        self.listed.update(entry.id for entry in page.entries)
        self.unreadable.update(one.subject_id for one in page.unreadable)
        self.cursor = page.next_cursor

    def leads_on(self, page: EntryPage) -> bool:
        """Whether the page's cursor leads anywhere; one that was there before does not."""
        if self.cursor is None or self.cursor in self.cursors:
            return False
        if self.cursor == NOWHERE or not (page.entries or page.unreadable):
            return False
        self.cursors.add(self.cursor)
        return True

    def restart(self) -> None:
        """Begin again at the head, which stays what it was at first."""
        self.cursor, self.restarted = None, True
        self.cursors.clear()


async def walk_list(
    sync_pass: SyncPass, worklist: Worklist, *, whole: bool = False, reconcile: bool = False
) -> Listing:
    """Walk the list, and owe a look to whatever changed.

    The mark is set when the walk is finished, to the head as it was before: what moves up in the meantime is above it.
    """
    descent = _Descent()
    while True:
        page = await _fetch_page(sync_pass, descent)
        signals = await _store_page(sync_pass, descent, page, whole=whole, reconcile=reconcile)
        sync_pass.walks.update(signals.walks)
        worklist.add(("conversation", id_) for id_ in signals.pending)
        descent.note(page, signals)
        sync_pass.mirror.tally.conversations = len(descent.listed)
        if not descent.leads_on(page) or (descent.reached and not whole):
            break
    await _finish(sync_pass, descent, whole=whole, reconcile=reconcile)
    return Listing(pages=descent.pages, unknown=descent.unknown)


async def _fetch_page(sync_pass: SyncPass, descent: _Descent) -> EntryPage:
    """The next page; a cursor that died costs one new beginning."""
    source = sync_pass.mirror.source
    try:
        return await sync_pass.ask(lambda: source.fetch_entries(descent.cursor))
    except RejectedError as refused:
        if descent.cursor is None or descent.restarted:
            raise
        sync_pass.mirror.log("cursor.expired", level="info", listing=True, request_id=refused.request_id)
    descent.restart()
    return await sync_pass.ask(lambda: source.fetch_entries(None))


async def _store_page(
    sync_pass: SyncPass, descent: _Descent, page: EntryPage, *, whole: bool, reconcile: bool
) -> Signals:
    mirror = sync_pass.mirror
    observed = Entries(
        account=mirror.account,
        now=mirror.clock.now(),
        entries=page.entries,
        server_time=page.server_time,
        unreadable=page.unreadable,
        reconcile=reconcile,
        seen_before=len(descent.listed),
        spread=0.0 if whole else _SPREAD_SECONDS,
    )
    signals: Signals = await mirror.store.apply(observed)
    return signals


async def _finish(sync_pass: SyncPass, descent: _Descent, *, whole: bool, reconcile: bool) -> None:
    """Move the mark, unless the list broke off above it: then the next poll walks down again.

    A list that ended while it still showed changes, short of the mark, may have broken off.
    """
    mirror, ended = sync_pass.mirror, descent.cursor is None
    finished = whole or descent.reached or (ended and not descent.changed)
    if descent.head_time is None or not (finished or ended):
        return
    walked = ListWalked(
        account=mirror.account,
        now=mirror.clock.now(),
        head=descent.head if finished else None,
        server_time=descent.head_time,
        listed=frozenset(descent.listed) if reconcile and ended else None,
        met=frozenset(descent.unreadable) if ended else None,
    )
    await mirror.store.apply(walked)


# The cheap signals beside the list's head: the unread list and the server's own feed.


async def read_unread(sync_pass: SyncPass, worklist: Worklist) -> None:
    """Compare the unread list's first page with what counts as unread here; what the list itself said stands alone."""
    mirror = sync_pass.mirror
    try:
        page = await sync_pass.ask(lambda: mirror.source.fetch_entries(None, unread_only=True))
    except (UnreachableError, ProtocolError) as failed:
        sync_pass.weigh(failed)
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
        complete=page.next_cursor is None and not page.unreadable,
        server_time=page.server_time,
        unreadable=page.unreadable,
    )
    signals: Signals = await mirror.store.apply(observed)
    sync_pass.walks.update(signals.walks)
    worklist.add(("conversation", id_) for id_ in signals.pending)


async def read_feed(sync_pass: SyncPass, worklist: Worklist) -> None:
    """One page of the server's feed, where it has one; it only makes haste, so nothing rests on it."""
    mirror = sync_pass.mirror
    if mirror.feed_absent:
        return
    held = await mirror.store.fetch_account(mirror.account)
    cursor = held.account_checkpoint.feed_cursor
    changes: tuple[Change, ...] = ()
    try:
        page = await sync_pass.ask(lambda: mirror.source.fetch_changes(cursor))
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
    signals: Signals = await mirror.store.apply(_feed(sync_pass, changes, cursor))
    worklist.add(("conversation", id_) for id_ in signals.pending)


def _feed(sync_pass: SyncPass, changes: tuple[Change, ...], cursor: str | None) -> FeedRead:
    mirror = sync_pass.mirror
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


async def poll(mirror: Mirror, *, full: bool = False, manual: bool = False) -> PollResult:
    """One poll until caught up; never raises for the server's or the disk's troubles, but says them in its Outcome."""
    return await measured(mirror, lambda: _look(SyncPass(mirror), full=full, manual=manual))


async def _look(sync_pass: SyncPass, *, full: bool, manual: bool) -> bool:
    mirror = sync_pass.mirror
    await sync_pass.gate.resume()
    held = await identified(mirror, sync_pass.ask)
    first = held.account is not None and held.account.complete_since is None
    reconcile = full or _is_reconcile_due(mirror, held)
    kind = "first_pass" if first else "reconcile" if reconcile else "sync" if manual else None
    async with recorded_run(mirror, kind):
        if first:
            return await _first_pass(sync_pass)
        return await _ordinary(sync_pass, reconcile=reconcile, at_once=full)


def _is_reconcile_due(mirror: Mirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    if held.account_checkpoint.reconciling_since is not None:
        return not held.account_checkpoint.reconcile_listed  # a crash came before all of it was owed
    return last is not None and elapsed(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds


async def _first_pass(sync_pass: SyncPass) -> bool:
    """Walk the list, fetch what it shows, and walk it again until it shows nothing unknown.

    The list moves while it is walked, and one answer may be broken: what was not seen once is seen the next time.
    """
    tally = sync_pass.mirror.tally

    async def read_signals(worklist: Worklist) -> None:
        known = False
        while not known:
            listing = await walk_list(sync_pass, worklist, whole=True)
            known = tally.listed and listing.unknown == 0
            tally.listed = True
            await worklist.wait_until_begun()

    await complete_tasks(sync_pass, read_signals)
    await read_jobs(sync_pass)
    await complete_tasks(sync_pass)
    return True


async def _ordinary(sync_pass: SyncPass, *, reconcile: bool, at_once: bool) -> bool:
    mirror = sync_pass.mirror
    if reconcile:
        await mirror.store.apply(ReconcileBegun(account=mirror.account, now=mirror.clock.now()))

    async def read_signals(worklist: Worklist) -> None:
        await walk_list(sync_pass, worklist, whole=at_once, reconcile=reconcile)
        await read_unread(sync_pass, worklist)
        await read_feed(sync_pass, worklist)

    tasks = await complete_tasks(sync_pass, read_signals)
    if reconcile:
        await read_jobs(sync_pass)
        tasks += await complete_tasks(sync_pass)
    await _settle(sync_pass)
    return tasks > 0


async def _settle(sync_pass: SyncPass) -> None:
    """When every comparison has been made, believe what they found missing."""
    mirror = sync_pass.mirror
    held = await mirror.store.fetch_account(mirror.account)
    backlog = await mirror.store.fetch_backlog(mirror.account)
    waiting = (
        held.account_checkpoint.reconciling_since is not None or held.account_checkpoint.second_look_at is not None
    )
    if backlog.comparisons == 0 and (backlog.suspects > 0 or waiting):
        await mirror.store.apply(SuspectsSettled(account=mirror.account, now=mirror.clock.now()))


# Poll any account, by the story that its source needs.


async def poll_any(mirror: BaseMirror, *, full: bool = False, manual: bool = False) -> PollResult:
    """One poll; never raises for the server's or the disk's troubles, but says them in its Outcome."""
    if isinstance(mirror, SnapshotMirror):
        return await poll_snapshot(mirror, full=full, manual=manual)
    if isinstance(mirror, Mirror):
        return await poll(mirror, full=full, manual=manual)
    raise TypeError(f"no story polls a {type(mirror).__name__}")
