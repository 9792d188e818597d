"""The story of one poll: who are we, what has changed, fetch it, and say how it went.

Read from `poll` downwards. A first pass, an ordinary poll and a reconcile differ in how far down the list they look,
and in nothing else.
"""

from syncd.core.held import HeldAccount
from syncd.core.observations import ReconcileBegun, SuspectsSettled
from syncd.core.times import seconds_between
from syncd.engine.account import Mirror
from syncd.engine.hydrate import Work, hydrate
from syncd.engine.identity import identified
from syncd.engine.jobs import read_jobs
from syncd.engine.listing import walk_list
from syncd.engine.outcome import Outcome, measured, recorded_run
from syncd.engine.passing import Pass
from syncd.engine.survey import read_feed, read_unread


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
