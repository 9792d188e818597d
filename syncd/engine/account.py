"""What the engine carries through one account's polls: who it is, how it is mirrored, and how a poll went."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.account import AccountState
from syncd.core.model import Identity
from syncd.core.observations import HeldAccount, Identified, PollEnded, RunBegun, RunEnded
from syncd.core.plan import PollCost
from syncd.core.times import after
from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    StoreTroubleError,
    SyncdError,
    UnreachableError,
)
from syncd.protocols import Clock, PagedSource, Source, Store

Log = Callable[..., None]
"""Writes one structured line: the event's name, then its fields."""


class Policy(Struct, frozen=True, kw_only=True):
    """How an account is mirrored: cadence in seconds, requests in flight, and what of it."""

    poll_seconds: float = 15.0
    idle_seconds: float = 60.0
    concurrency: int = 8
    reconcile_seconds: float = 86400.0
    every_proposal: bool = False
    overdue_seconds: float = 4 * 3600.0


@dataclass(slots=True)
class Tally:
    """How far a pass has come, for whoever watches."""

    conversations: int = 0
    done: int = 0
    messages: int = 0
    listed: bool = False


@dataclass(slots=True, kw_only=True)
class BaseMirror:
    """One account under the engine's care, from one poll to the next, whatever its source.

    `settings`: what it was built from, to tell a change of configuration. `is_same_place`: its rows came from this
    very address. `sits_until`: while a wait is sat out, its end on the clock that only grows. `check_room` raises
    StoreTroubleError where what comes could not be stored. `refused`: the end of a poll that the database would not
    take; it is written before anything else is asked.
    """

    account: str
    source: Source
    store: Store
    clock: Clock
    policy: Policy
    log: Log
    settings: object = None
    is_same_place: bool = True
    identity: Identity | None = None
    tally: Tally = field(default_factory=Tally)
    sits_until: float | None = None
    refused: PollEnded | None = None
    check_room: Callable[[], None] = field(default=lambda: None)

    def missing_scopes(self) -> tuple[str, ...]:
        """The scopes that a whole mirror wants and the token lacks; none where the source knows no scopes."""
        return ()


@dataclass(slots=True, kw_only=True)
class Mirror(BaseMirror):
    """An account whose source answers in pages; `identified_by` is how many tokens had been taken when it was.

    `unread_fails`: the list of unread conversations was not to be had, and the log has said so.
    """

    source: PagedSource
    feed_absent: bool = False
    unread_fails: bool = False
    identified_by: int = 0

    def may(self, scope: str) -> bool:
        """Whether the token has the scope, as far as the server said; writing implies reading."""
        scopes = self.identity.scopes if self.identity is not None else None
        return scopes is None or scope in scopes or scope.replace(":read", ":write") in scopes

    def missing_scopes(self) -> tuple[str, ...]:
        """The reading scopes that a whole mirror wants and the token lacks."""
        return tuple(scope for scope in ("proposals:read", "jobs:read") if not self.may(scope))


class PassEndedError(SyncdError):
    """The pass can't go on; its cause says why."""

    def __init__(self, trouble: SyncdError) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


# Whose token it is: nothing is applied that another user's eyes have seen.


Ask = Callable[[Callable[[], Awaitable[Identity]]], Awaitable[Identity]]
"""Makes a request as soon as the account may ask."""


class WrongAccountError(SyncdError):
    """The token's user is another than the one whose rows are held."""

    exit_code = 77


def check_place(mirror: BaseMirror) -> None:
    """Raise WrongAccountError where the rows held came from another address."""
    if not mirror.is_same_place:
        raise WrongAccountError(
            f"account {mirror.account} was mirrored from another address; put that back, or take this one over with: "
            f"syncd accept {mirror.account}"
        )


async def identified(mirror: Mirror, ask: Ask) -> HeldAccount:
    """Make sure whose token it is, once a process and again after it was refused or changed."""
    check_place(mirror)
    if mirror.identity is None:
        try:
            identity = await ask(mirror.source.fetch_identity)
        except (NotFoundError, ForbiddenError):
            # a server that won't say: the rows themselves tell what is the viewer's
            identity = Identity(user_id=None, scopes=None, server_time=mirror.clock.now())
        known = await mirror.store.apply(Identified(account=mirror.account, now=mirror.clock.now(), identity=identity))
        if not known:
            raise WrongAccountError(
                f"the token of account {mirror.account} belongs to another user than the one mirrored; "
                f"give the right token, or take the other one over with: syncd accept {mirror.account}"
            )
        mirror.identity, mirror.identified_by = identity, mirror.source.tokens_taken
    return await mirror.store.fetch_account(mirror.account)


# How a poll went: what ended it, what it cost, and the state that it leaves the account in.


class PollResult(Struct, frozen=True, kw_only=True):
    """How a poll went; `busy`: something was looked at, so that more may come soon. `trouble`: what ended it early."""

    account_state: AccountState
    busy: bool
    cost: PollCost
    trouble: SyncdError | None = None


class PassSummary(Struct, frozen=True, kw_only=True):
    """What a pass came to that nothing ended early.

    `busy`: something was looked at. `complete`: the listing that tells what there is was walked to a proved end.
    """

    busy: bool
    complete: bool = True


async def measured(mirror: BaseMirror, look: Callable[[], Awaitable[PassSummary]]) -> PollResult:
    """Look, and write down how it went.

    Never raises for the server's or the disk's troubles, but says them in its PollResult.
    """
    mirror.tally = Tally()
    started = _Meter(mirror)
    trouble: SyncdError | None = None
    done = PassSummary(busy=False, complete=False)
    try:
        await _write_refused(mirror)
        done = await look()
    except PassEndedError as ended:
        trouble = ended.trouble
    except SyncdError as error:
        trouble = error
    cost = started.read()
    ended_at = mirror.clock.now()
    retry_at = after(ended_at, trouble.retry_after) if isinstance(trouble, RateLimitedError) else None
    observed = PollEnded(
        account=mirror.account,
        now=ended_at,
        state=state_of(trouble),
        error=None if trouble is None else str(trouble),
        cost=cost,
        poll_seconds=mirror.policy.poll_seconds,
        retry_at=retry_at,
        caught_up=trouble is None and done.complete,
        missing_scopes=mirror.missing_scopes(),
    )
    if isinstance(trouble, AuthError):
        mirror.identity = None  # the next token may be another's
    if isinstance(trouble, WrongAccountError):
        mirror.source.drop_connections()  # so that a token that was put right is seen
    account_state, refusal = await _write_end(mirror, observed)
    return PollResult(account_state=account_state, busy=done.busy, cost=cost, trouble=refusal or trouble)


async def _write_refused(mirror: BaseMirror) -> None:
    """Write the trouble down that could not be written when it came; raises StoreTroubleError while it still can't."""
    if mirror.refused is not None:
        await mirror.store.apply(mirror.refused)
        mirror.refused = None


async def _write_end(mirror: BaseMirror, observed: PollEnded) -> tuple[AccountState, StoreTroubleError | None]:
    """Write the poll's end down; where that is refused, say so once and keep it in memory."""
    refusal: StoreTroubleError | None = None
    if mirror.refused is None:
        try:
            return await mirror.store.apply(observed), None
        except StoreTroubleError as error:
            refusal = error
            observed = replace(observed, state="paused", error=str(error), retry_at=None, caught_up=False)
            mirror.refused = observed
            mirror.log("account.paused", level="error", error=observed.error)
    retry_at = after(observed.now, mirror.policy.poll_seconds)
    return AccountState(state="paused", error=observed.error, retry_at=retry_at), refusal


def state_of(trouble: SyncdError | None) -> str:
    """The account's state after a poll that ended so."""
    kinds: tuple[tuple[type[SyncdError], str], ...] = (
        (AuthError, "auth_failed"),
        (ForbiddenError, "forbidden"),
        (RateLimitedError, "rate_limited"),
        (UnreachableError, "unreachable"),
        (FetchError, "protocol_error"),  # what is left of them: an answer nobody understands
        (StoreTroubleError, "paused"),
        (WrongAccountError, "wrong_account"),
    )
    return "ok" if trouble is None else next((state for kind, state in kinds if isinstance(trouble, kind)), "paused")


class _Meter:
    """What a poll costs, from here on."""

    def __init__(self, mirror: BaseMirror) -> None:
        self._mirror = mirror
        self._before = self._now()

    def _now(self) -> tuple[int, int, int, float, float]:
        mirror = self._mirror
        cost, clock = mirror.source.cost, mirror.clock
        rows = mirror.store.rows_written(mirror.account)
        return cost.requests, cost.received_bytes, rows, clock.cpu(), clock.monotonic()

    def read(self) -> PollCost:
        requests, received, rows, cpu, seconds = (
            now - before for now, before in zip(self._now(), self._before, strict=True)
        )
        return PollCost(
            requests=int(requests),
            bytes=int(received),
            rows=int(rows),
            cpu_ms=round(cpu * 1000),
            seconds=round(seconds, 3),
        )


@asynccontextmanager
async def recorded_run(mirror: BaseMirror, kind: str | None) -> AsyncIterator[None]:
    """Keep a row in `sync_runs` about what is done inside; None: it is no run to be recorded."""
    run = await _begin_run(mirror, kind)
    error: str | None = None
    try:
        yield
    except SyncdError as trouble:
        error = str(trouble)
        raise
    finally:
        await _end_run(mirror, run, error)


class _Run(Struct, frozen=True):
    id: int
    kind: str
    started_at: str
    requests: int
    rows: int


async def _begin_run(mirror: BaseMirror, kind: str | None) -> _Run | None:
    if kind is None:
        return None
    now = mirror.clock.now()
    id_: int = await mirror.store.apply(RunBegun(account=mirror.account, now=now, kind=kind))
    return _Run(id_, kind, now, mirror.source.cost.requests, mirror.store.rows_written(mirror.account))


async def _end_run(mirror: BaseMirror, run: _Run | None, error: str | None) -> None:
    if run is None:
        return
    await mirror.store.apply(
        RunEnded(
            account=mirror.account,
            now=mirror.clock.now(),
            run_id=run.id,
            kind=run.kind,
            started_at=run.started_at,
            requests=mirror.source.cost.requests - run.requests,
            rows_written=mirror.store.rows_written(mirror.account) - run.rows,
            error=error,
        )
    )
