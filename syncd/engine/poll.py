"""The story of one poll: who are we, what has changed, fetch it, and say how it went.

Read from `poll` downwards. A first pass, an ordinary poll and a reconcile differ in how far down the list they look,
and in nothing else.
"""

from syncd.core.observations import HeldAccount, ListingsDue, ReconcileBegun, SuspectsSettled
from syncd.core.times import elapsed, is_due
from syncd.engine.account import (
    BaseMirror,
    Mirror,
    PassSummary,
    PollResult,
    identified,
    measured,
    recorded_run,
)
from syncd.engine.chats import SnapshotMirror, poll_snapshot
from syncd.engine.listing import CONVERSATIONS, read_feed, read_unread, spread_of, walk_list
from syncd.engine.requests import SyncPass
from syncd.engine.worklist import Worklist, complete_tasks

_MOST_UNPROVED = 2  # walks over the list in one first pass whose end is not proved: one may have met a broken answer


async def poll(mirror: Mirror, *, full: bool = False, manual: bool = False) -> PollResult:
    """One poll until caught up; never raises for the server's or the disk's troubles, but says them in its PollResult.

    `full`: compare everything. `manual`: a person asked for it, so that what failed is tried at once.
    """
    return await measured(mirror, lambda: _look(SyncPass(mirror, manual=manual), full=full))


async def _look(sync_pass: SyncPass, *, full: bool) -> PassSummary:
    mirror = sync_pass.mirror
    await sync_pass.gate.resume()
    held = await identified(mirror, sync_pass.ask)
    first = held.account is not None and held.account.complete_since is None
    reconcile = full or (_is_reconcile_due(mirror, held) and await _may_walk_the_list(sync_pass))
    kind = "first_pass" if first else "reconcile" if reconcile else "sync" if sync_pass.manual else None
    async with recorded_run(mirror, kind):
        if first:
            return await _first_pass(sync_pass)
        return await _ordinary(sync_pass, reconcile=reconcile, at_once=full)


def _is_reconcile_due(mirror: Mirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    if held.account_checkpoint.reconciling_since is not None:
        return not held.account_checkpoint.reconcile_listed  # a crash came before all of it was owed
    return last is not None and elapsed(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds


async def _may_walk_the_list(sync_pass: SyncPass) -> bool:
    """Whether the whole list may be walked by itself: one that had no end is left alone for a while."""
    mirror = sync_pass.mirror
    failures = await mirror.store.fetch_failures(mirror.account)
    return sync_pass.manual or is_due(failures.get(CONVERSATIONS, ""), mirror.clock.now())


async def _first_pass(sync_pass: SyncPass) -> PassSummary:
    """Walk the list, fetch what it shows, and walk it again until it shows nothing unknown.

    The list moves while it is walked, and one answer may be broken: what was not seen once is seen the next time.
    """
    mirror, tally, known = sync_pass.mirror, sync_pass.mirror.tally, False
    if mirror.may("jobs:read"):
        await mirror.store.apply(ListingsDue(account=mirror.account, now=mirror.clock.now()))

    async def read_signals(worklist: Worklist) -> None:
        nonlocal known
        unproved = 0
        while not known and unproved < _MOST_UNPROVED:
            walked = await walk_list(sync_pass, worklist.add, whole=True)
            unproved += walked.ending is not None
            known = tally.listed and walked.ending is None and walked.unknown == 0
            tally.listed = True
            await worklist.wait_until_begun()

    await complete_tasks(sync_pass, read_signals)
    return PassSummary(busy=known, complete=known)


async def _ordinary(sync_pass: SyncPass, *, reconcile: bool, at_once: bool) -> PassSummary:
    mirror = sync_pass.mirror
    if reconcile:
        begun = ReconcileBegun(
            account=mirror.account,
            now=mirror.clock.now(),
            jobs=mirror.may("jobs:read"),
            proposals=mirror.may("proposals:read"),
            spread=spread_of(whole=at_once),
        )
        await mirror.store.apply(begun)

    async def read_signals(worklist: Worklist) -> None:
        await walk_list(sync_pass, worklist.add, whole=at_once, reconcile=reconcile)
        await read_unread(sync_pass, worklist.add)
        await read_feed(sync_pass, worklist.add)

    tasks = await complete_tasks(sync_pass, read_signals)
    await _settle(sync_pass)
    return PassSummary(busy=tasks > 0)


async def _settle(sync_pass: SyncPass) -> None:
    """When every comparison has been made, believe what they found missing."""
    mirror = sync_pass.mirror
    held = await mirror.store.fetch_account(mirror.account)
    backlog = await mirror.store.fetch_backlog(mirror.account)
    known = held.account_checkpoint
    waiting = (known.reconciling_since is not None and known.reconcile_listed) or known.second_look_at is not None
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
