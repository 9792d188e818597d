"""The story of one poll over whole chats: which are there, which are due, look at each, and believe what is missing."""

from collections.abc import Sequence

from syncd.core.held import HeldAccount
from syncd.core.snapshot import Due
from syncd.core.snapshot_seen import RoundBegun, RoundEnded
from syncd.core.times import seconds_between
from syncd.engine.identity import check_place
from syncd.engine.outcome import Outcome, measured, recorded_run
from syncd.engine.snapshot_chats import look_at
from syncd.engine.snapshot_lists import read_lists
from syncd.engine.snapshot_round import Round, SnapshotMirror

_LISTS_SECONDS = 600.0  # how often it is asked which jobs and candidates there are


async def poll_snapshot(mirror: SnapshotMirror, *, full: bool = False, manual: bool = False) -> Outcome:
    """One poll over every chat that is due, or over all of them when `full` or `manual`.

    Never raises for the server's or the disk's troubles, but says them in its Outcome.
    """
    return await measured(mirror, lambda: _look(Round(mirror), full=full, manual=manual))


async def _look(under: Round, *, full: bool, manual: bool) -> bool:
    mirror = under.mirror
    check_place(mirror)
    await under.gate.resume()
    held = await mirror.store.fetch_account(mirror.account)
    first = held.account is not None and held.account.complete_since is None
    compare = not first and (full or _is_reconcile_due(mirror, held))
    kind = "first_pass" if first else "reconcile" if compare else "sync" if manual else None
    async with recorded_run(mirror, kind):
        if first or compare or manual or _are_lists_due(mirror, held):
            await read_lists(under, held)
        await _look_at_chats(under, held, everything=compare or manual, afresh=compare)
    return under.changed > 0


def _is_reconcile_due(mirror: SnapshotMirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    due = last is not None and seconds_between(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds
    return due or held.memo.reconciling_since is not None


def _are_lists_due(mirror: SnapshotMirror, held: HeldAccount) -> bool:
    last = held.memo.discovered_at
    return last is None or seconds_between(last, mirror.clock.now()) >= _LISTS_SECONDS


async def _look_at_chats(under: Round, held: HeldAccount, *, everything: bool, afresh: bool) -> None:
    """Look at each chat that is due, then say what of the failures and the losses is to be believed."""
    mirror = under.mirror
    begun = RoundBegun(
        account=mirror.account, now=under.now, wanted=mirror.wanted, everything=everything, afresh=afresh
    )
    due: Sequence[Due] = await mirror.store.apply(begun)
    if held.memo.trouble and not due:
        await under.probe()  # a round that asks nothing must not end an outage
    await _look_at_each(under, due)
    await under.write_failures()
    await under.apply(RoundEnded(account=mirror.account, now=under.now, compared=afresh))


async def _look_at_each(under: Round, due: Sequence[Due]) -> None:
    under.mirror.tally.conversations, under.mirror.tally.listed = len(due), True
    try:
        await under.each(due, lambda chat: look_at(under, chat))
    finally:
        await under.write_unchanged()
