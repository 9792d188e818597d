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
from syncd.core.plan import Account, AccountCheckpoint, Plan, SyncRun
from syncd.core.times import after, clamp, seconds_between, trouble_wait

HEALTHY = frozenset({"starting", "ok"})
"""The states in which nothing is wrong."""


class AccountState(Struct, frozen=True, kw_only=True):
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
    account_checkpoint = replace(
        held.account_checkpoint,
        list_mark=None,
        feed_cursor=None,
        reconciling_since=accepted.now,
        reconcile_listed=False,
    )
    return Plan(account=account, account_checkpoint=account_checkpoint, forget_cursors=True)


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
    account_checkpoint = replace(held.account_checkpoint, scopes=None if scopes is None else tuple(sorted(scopes)))
    return Plan(
        account=None if known == account else known,
        account_checkpoint=None if account_checkpoint == held.account_checkpoint else account_checkpoint,
        answer=True,
    )


def limited_until(checkpoint: AccountCheckpoint, now: Instant) -> Instant | None:
    """Until when the server said to ask nothing: never for longer from now on than it said at first."""
    until = checkpoint.limited_until
    return None if until is None else clamp(until, now, checkpoint.limited_seconds)


def plan_waiting(held: HeldAccount, waiting: Waiting) -> Plan:
    """Store the wait before it is waited, so that a restart does not ask sooner."""
    if held.account is None:
        return Plan()
    until = max(waiting.until, limited_until(held.account_checkpoint, waiting.now) or "")
    seconds = max(0.0, seconds_between(waiting.now, until))
    return Plan(
        account=replace(held.account, retry_at=until),
        account_checkpoint=replace(held.account_checkpoint, limited_until=until, limited_seconds=seconds),
        answer=until,
    )


def plan_poll_ended(held: HeldAccount, ended: PollEnded) -> Plan:
    """Write the poll's outcome down; the answer is a AccountState."""
    account = held.account
    if account is None:  # the file that took the database's place does not know it yet
        return Plan(
            answer=AccountState(state="paused", error=ended.error, retry_at=after(ended.now, ended.poll_seconds))
        )
    state = _state(account, ended)
    retry_at, troubles = _next_try(held, ended, state)
    account_state = AccountState(state=state, error=ended.error, retry_at=retry_at)
    if state == account.state == "paused":
        return Plan(answer=account_state)  # once is enough: each write lengthens a log that may be too long already
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
    account_checkpoint = replace(
        held.account_checkpoint,
        troubles=troubles,
        trouble=_in_trouble(held.account_checkpoint, state),
        poll=ended.cost,
        missing_scopes=ended.missing_scopes,
        trusted_scopes=held.account_checkpoint.trusted_scopes
        or (held.account_checkpoint.scopes if ended.caught_up else None),
        limited_until=None if fine else held.account_checkpoint.limited_until,
    )
    return Plan(
        account=account,
        account_checkpoint=account_checkpoint,
        events=_state_events(held.account_checkpoint, account_checkpoint, state, ended),
        answer=account_state,
    )


def _state(account: Account, ended: PollEnded) -> str:
    if ended.state == "ok" and account.complete_since is None and not ended.caught_up:
        return "starting"
    return ended.state


def _next_try(held: HeldAccount, ended: PollEnded, state: str) -> tuple[Instant | None, int]:
    if state in HEALTHY:
        return None, 0
    if state == "paused":  # whether the disk is well again is looked at soon, as that costs no request
        return after(ended.now, ended.poll_seconds), held.account_checkpoint.troubles
    troubles = held.account_checkpoint.troubles + 1
    return ended.retry_at or after(ended.now, trouble_wait(troubles, ended.poll_seconds)), troubles


def _in_trouble(account_checkpoint: AccountCheckpoint, state: str) -> bool:
    """An episode goes on until the account is ok; while it is starting again nothing is over yet."""
    return state not in HEALTHY or (account_checkpoint.trouble and state != "ok")


def _state_events(before: AccountCheckpoint, now: AccountCheckpoint, state: str, ended: PollEnded) -> tuple[Event, ...]:
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
