"""Everything that comes as a list: walked page by page to a proved end, each page stored as it comes.

The conversation list, and the signals beside it; the owner's jobs, and the proposals of each. One walker reads them
all; a list whose end is not proved becomes a row in `failures`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from functools import partial
from typing import TypeVar

from msgspec import Struct

from syncd.core.listing import Signals, newest
from syncd.core.model import Change, EntryPage, Instant, JobPage, ProposalPage
from syncd.core.observations import (
    Entries,
    FeedRead,
    JobsRead,
    ListingProved,
    ListWalked,
    ProposalRead,
    ProposalsListed,
    UnreadList,
)
from syncd.core.walk import Ending, ListWalk
from syncd.engine.requests import SyncPass
from syncd.errors import FetchError, ForbiddenError, NotFoundError, ProtocolError, RejectedError, UnreachableError

_Page = TypeVar("_Page", EntryPage, JobPage, ProposalPage)

Queue = Callable[[Iterable[tuple[str, str]]], object]
"""Takes the kind and the subject of what is to be looked at in this pass."""

_SPREAD_SECONDS = 0.2  # between one conversation and the next of a reconcile that nobody waits for

CONVERSATIONS = ("conversations", "all")
"""How `failures` names the conversation list."""


async def _pages(
    sync_pass: SyncPass,
    walk: ListWalk,
    fetch: Callable[[str | None], Awaitable[_Page]],
    ids: Callable[[_Page], Collection[str]],
) -> AsyncIterator[_Page]:
    """Page after page until `walk` says that it is over; a cursor that died costs one new beginning."""
    restarted, goes_on = False, True
    while goes_on:
        try:
            page = await sync_pass.ask(partial(fetch, walk.cursor))
        except RejectedError as refused:
            if walk.cursor is None or restarted:
                raise
            sync_pass.mirror.log("cursor.expired", level="info", listing=True, request_id=refused.request_id)
            restarted = True
            walk.restart()
            continue
        goes_on = walk.advance(ids(page), page.next_cursor)
        yield page


# The conversation list, from its head to the mark of the last walk or to its end.


class ListRead(Struct, frozen=True, kw_only=True):
    """What a walk down the list found: conversations never seen before, and why its end is not proved, if it is not."""

    unknown: int
    ending: Ending | None


async def walk_list(sync_pass: SyncPass, queue: Queue, *, whole: bool = False, reconcile: bool = False) -> ListRead:
    """Walk the list, and owe a look to whatever changed; `whole`: to its end, at once.

    The mark is set when the walk is finished, to the head as it was before: what moves up in the meantime is above it.
    A list that ended while it still showed changes, short of the mark, may have broken off: the next poll walks again.
    """
    mirror, walk, unknown = sync_pass.mirror, ListWalk(), 0
    head: tuple[Instant | None, Instant] | None = None
    reached = changed = False
    met: set[str] = set()
    async for page in _pages(sync_pass, walk, mirror.source.fetch_entries, lambda page: [e.id for e in page.entries]):
        behind = len(walk.seen) - len(page.entries)
        met.update(one.subject_id for one in page.unreadable)
        signals = await _store_page(sync_pass, page, seen_before=max(0, behind), whole=whole, reconcile=reconcile)
        sync_pass.walks.update(signals.walks)
        queue(("conversation", id_) for id_ in signals.pending)
        mirror.tally.conversations = len(walk.seen)
        head = head or (newest(page.entries), page.server_time)
        unknown += signals.unknown
        reached = signals.done
        changed = bool(signals.pending) if page.entries else changed
        if reached and not whole:
            break
    if walk.ending is not None and not (reached and not whole):
        await sync_pass.fail(*CONVERSATIONS, walk.ending, None)
        return ListRead(unknown=unknown, ending=walk.ending)
    if head is not None:
        finished = whole or reached or not changed
        walked = ListWalked(
            account=mirror.account,
            now=mirror.clock.now(),
            head=head[0] if finished else None,
            server_time=head[1],
            listed=frozenset(walk.seen) if reconcile and walk.ended else None,
            met=frozenset(met) if walk.ended else None,
        )
        await mirror.store.apply(walked)
    return ListRead(unknown=unknown, ending=None)


async def _store_page(
    sync_pass: SyncPass, page: EntryPage, *, seen_before: int, whole: bool, reconcile: bool
) -> Signals:
    mirror = sync_pass.mirror
    observed = Entries(
        account=mirror.account,
        now=mirror.clock.now(),
        entries=page.entries,
        server_time=page.server_time,
        unreadable=page.unreadable,
        reconcile=reconcile,
        seen_before=seen_before,
        spread=spread_of(whole=whole),
    )
    signals: Signals = await mirror.store.apply(observed)
    return signals


def spread_of(*, whole: bool) -> float:
    """Seconds between one thing and the next that a reconcile compares; none where somebody waits for all of them."""
    return 0.0 if whole else _SPREAD_SECONDS


# The owner's jobs, and the proposals of each.


async def read_jobs(sync_pass: SyncPass, _: str) -> None:
    """Read all of the owner's jobs; with `every_proposal` the proposals of each become tasks."""
    mirror, walk, met = sync_pass.mirror, ListWalk(), set[str]()
    every_proposal = mirror.policy.every_proposal and mirror.may("proposals:read")
    async for page in _pages(sync_pass, walk, mirror.source.fetch_jobs, lambda page: [job.id for job in page.jobs]):
        met.update(one.subject_id for one in page.unreadable)
        await mirror.store.apply(
            JobsRead(
                account=mirror.account,
                now=mirror.clock.now(),
                jobs=page.jobs,
                every_proposal=every_proposal,
                unreadable=page.unreadable,
            )
        )
    await _end_list(sync_pass, walk, ("jobs", "mine"), met)


async def read_job_proposals(sync_pass: SyncPass, job_id: str) -> None:
    """Read all proposals of one job."""
    mirror, walk, met = sync_pass.mirror, ListWalk(), set[str]()
    fetch = partial(mirror.source.fetch_job_proposals, job_id)
    try:
        async for page in _pages(sync_pass, walk, fetch, lambda page: [found.proposal.id for found in page.proposals]):
            if page.unreadable:
                met.update(one.subject_id for one in page.unreadable)
                now = mirror.clock.now()
                listed = ProposalsListed(account=mirror.account, now=now, job_id=job_id, unreadable=page.unreadable)
                await mirror.store.apply(listed)
            for with_candidate in page.proposals:
                await mirror.store.apply(
                    ProposalRead(account=mirror.account, now=mirror.clock.now(), with_candidate=with_candidate)
                )
    except NotFoundError:
        pass  # a job that is no longer there has none; what is held of it stays
    await _end_list(sync_pass, walk, ("proposals", job_id), met)


async def _end_list(sync_pass: SyncPass, walk: ListWalk, subject: tuple[str, str], met: set[str]) -> None:
    """Say how the list ended: proved, or a failure; `met`: what of it could not be read."""
    kind, subject_id = subject
    mirror = sync_pass.mirror
    if walk.ending is not None:
        await sync_pass.fail(kind, subject_id, walk.ending, None)
        return
    await mirror.store.apply(
        ListingProved(
            account=mirror.account, now=mirror.clock.now(), kind=kind, subject_id=subject_id, met=frozenset(met)
        )
    )


# The cheap signals beside the list's head: the unread list and the server's own feed.


async def read_unread(sync_pass: SyncPass, queue: Queue) -> None:
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
    queue(("conversation", id_) for id_ in signals.pending)


async def read_feed(sync_pass: SyncPass, queue: Queue) -> None:
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
    queue(("conversation", id_) for id_ in signals.pending)


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
