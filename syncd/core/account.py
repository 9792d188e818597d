"""Facts about an account → its state, and what is told of it."""

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import Event, Instant
from syncd.core.observations import (
    Accepted,
    HeldAccount,
    Identified,
    Opened,
    PollEnded,
    Removed,
    RunBegun,
    RunEnded,
    Waiting,
)
from syncd.core.plan import Account, Memo, Plan, SyncRun
from syncd.core.times import after, trouble_wait

HEALTHY = frozenset({"starting", "ok"})
"""The states in which nothing is wrong."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What a poll came to: the account's state now, and when it may be tried again (None: at the next poll)."""

    state: str
    error: str | None
    retry_at: Instant | None


def plan_opened(held: HeldAccount, opened: Opened) -> Plan:
    """Take an account up, or up again; the answer is whether its rows came from this very address."""
    account = held.account
    if account is None:
        account = Account(source=opened.source, base_url=opened.base_url, state="starting", state_since=opened.now)
    matches = (account.source, account.base_url) == (opened.source, opened.base_url)
    account = replace(account, removed_at=None)
    return Plan(account=None if account == held.account else account, answer=matches)


def plan_accepted(held: HeldAccount, accepted: Accepted) -> Plan:
    """Let the next poll learn anew whose token it is, and have it compare everything."""
    if held.account is None:
        return Plan()
    account = replace(held.account, source=accepted.source, base_url=accepted.base_url, viewer_user_id=None)
    memo = replace(held.memo, list_mark=None, feed_cursor=None, reconciling_since=accepted.now, reconcile_listed=False)
    return Plan(account=account, memo=memo, forget_cursors=True)


def plan_removed(held: HeldAccount, removed: Removed) -> Plan:
    """Note that an account is no longer configured; its rows stay."""
    if held.account is None or held.account.removed_at is not None:
        return Plan()
    return Plan(account=replace(held.account, removed_at=removed.now))


def plan_identified(held: HeldAccount, identified: Identified) -> Plan:
    """Believe the identity that the rows came from; the answer is whether this is it.

    The first answer of all also says when the first pass began, by the server's clock.
    """
    account = held.account
    if account is None:
        return Plan(answer=False)
    user_id = identified.identity.user_id
    if account.viewer_user_id is not None and user_id is not None and account.viewer_user_id != user_id:
        return Plan(answer=False)
    known = replace(
        account,
        viewer_user_id=account.viewer_user_id or user_id,
        first_started_at=account.first_started_at or identified.identity.server_time,
    )
    scopes = identified.identity.scopes
    memo = replace(held.memo, scopes=None if scopes is None else tuple(sorted(scopes)))
    return Plan(account=None if known == account else known, memo=None if memo == held.memo else memo, answer=True)


def plan_waiting(held: HeldAccount, waiting: Waiting) -> Plan:
    """Store the wait before it is waited, so that a restart does not ask sooner."""
    if held.account is None:
        return Plan()
    until = max(waiting.until, held.memo.limited_until or "")
    return Plan(
        account=replace(held.account, retry_at=until),
        memo=replace(held.memo, limited_until=until),
        answer=until,
    )


def plan_poll_ended(held: HeldAccount, ended: PollEnded) -> Plan:
    """Write the poll's outcome down; the answer is a Verdict."""
    account = held.account
    if account is None:  # the file that took the database's place does not know it yet
        return Plan(answer=Verdict(state="paused", error=ended.error, retry_at=after(ended.now, ended.poll_seconds)))
    state = _state(account, ended)
    retry_at, troubles = _next_try(held, ended, state)
    verdict = Verdict(state=state, error=ended.error, retry_at=retry_at)
    if state == account.state == "paused":
        return Plan(answer=verdict)  # once is enough: each write lengthens a log that may be too long already
    changed = state != account.state
    fine = state in HEALTHY
    account = replace(
        account,
        state=state,
        state_since=ended.now if changed or account.state_since is None else account.state_since,
        complete_since=account.complete_since or (ended.now if ended.caught_up else None),
        last_success_at=ended.now if fine else account.last_success_at,
        # a first pass has seen everything there is, so it counts as a reconcile
        last_reconciled_at=account.last_reconciled_at or (ended.now if ended.caught_up else None),
        retry_at=None if state == "paused" else retry_at,
        last_error=ended.error,
    )
    memo = replace(
        held.memo,
        troubles=troubles,
        trouble=_in_trouble(held.memo, state),
        poll=ended.cost,
        missing_scopes=ended.missing_scopes,
        trusted_scopes=held.memo.trusted_scopes or (held.memo.scopes if ended.caught_up else None),
        limited_until=None if fine else held.memo.limited_until,
    )
    return Plan(
        account=account,
        memo=memo,
        events=_state_events(held.memo, memo, state, ended),
        answer=verdict,
    )


def _state(account: Account, ended: PollEnded) -> str:
    if ended.state == "ok" and account.complete_since is None and not ended.caught_up:
        return "starting"
    return ended.state


def _next_try(held: HeldAccount, ended: PollEnded, state: str) -> tuple[Instant | None, int]:
    if state in HEALTHY:
        return None, 0
    if state == "paused":  # whether the disk is well again is looked at soon, as that costs no request
        return after(ended.now, ended.poll_seconds), held.memo.troubles
    troubles = held.memo.troubles + 1
    return ended.retry_at or after(ended.now, trouble_wait(troubles, ended.poll_seconds)), troubles


def _in_trouble(memo: Memo, state: str) -> bool:
    """An episode goes on until the account is ok; while it is starting again nothing is over yet."""
    return state not in HEALTHY or (memo.trouble and state != "ok")


def _state_events(before: Memo, now: Memo, state: str, ended: PollEnded) -> tuple[Event, ...]:
    if before.trouble == now.trouble:
        return ()
    kind = "account.degraded" if now.trouble else "account.recovered"
    return (Event(kind=kind, occurred_at=ended.now, data={"state": state, "error": ended.error}),)


def plan_run_begun(held: HeldAccount, begun: RunBegun) -> Plan:
    """Open a row in `sync_runs`; the store answers with its number."""
    del held
    return Plan(run=SyncRun(kind=begun.kind, started_at=begun.now))


def plan_run_ended(held: HeldAccount, ended: RunEnded) -> Plan:
    """Close the run's row."""
    del held
    run = SyncRun(
        id=ended.run_id,
        kind=ended.kind,
        started_at=ended.started_at,
        finished_at=ended.now,
        requests=ended.requests,
        rows_written=ended.rows_written,
        error=ended.error,
    )
    return Plan(run=run)
