"""The story of one poll: who are we, what has changed, fetch it, and say how it went.

Read from `poll` downwards. A first pass, an ordinary poll and a reconcile differ in how far down the list they look, and in nothing else.
"""

from msgspec import Struct

from syncd.core.health import Verdict
from syncd.core.held import HeldAccount
from syncd.core.model import Identity
from syncd.core.observations import (
    Identified,
    PollEnded,
    ReconcileBegun,
    RunBegun,
    RunEnded,
    SuspectsSettled,
)
from syncd.core.plan import PollCost
from syncd.core.times import after, seconds_between
from syncd.engine.account import Mirror, PassEndedError, Tally
from syncd.engine.hydrate import Work, hydrate
from syncd.engine.passing import Pass
from syncd.engine.survey import Listing, read_feed, read_jobs, read_unread, walk_list
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


class Outcome(Struct, frozen=True, kw_only=True):
    """How a poll went; `busy`: something was looked at, so that more may come soon. `trouble`: what ended it early."""

    verdict: Verdict
    busy: bool
    cost: PollCost
    trouble: SyncdError | None = None


class WrongAccountError(SyncdError):
    """The token's user is another than the one whose rows are held."""

    exit_code = 77


async def poll(mirror: Mirror, *, full: bool = False, manual: bool = False) -> Outcome:
    """One poll until caught up; never raises for the server's or the disk's troubles, but says them in its Outcome."""
    under = Pass(mirror)
    mirror.tally = Tally()
    started = _Meter(mirror)
    trouble: SyncdError | None = None
    busy = False
    try:
        busy = await _look(under, full=full, manual=manual)
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
        caught_up=trouble is None,
        missing_scopes=mirror.missing_scopes(),
    )
    if isinstance(trouble, AuthError):
        mirror.identity = None  # the next token may be another's
    verdict: Verdict = await mirror.store.apply(observed)
    return Outcome(verdict=verdict, busy=busy, cost=cost, trouble=trouble)


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

    def __init__(self, mirror: Mirror) -> None:
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


async def _look(under: Pass, *, full: bool, manual: bool) -> bool:
    mirror = under.mirror
    await under.gate.resume()
    held = await _identified(under)
    first = held.account is not None and held.account.complete_since is None
    reconcile = full or _is_reconcile_due(mirror, held)
    kind = "first_pass" if first else "reconcile" if reconcile else "sync" if manual else None
    run = await _begin_run(mirror, kind)
    error: str | None = None
    try:
        if first:
            return await _first_pass(under)
        return await _ordinary(under, held, reconcile=reconcile, at_once=full)
    except SyncdError as trouble:
        error = str(trouble)
        raise
    finally:
        await _end_run(mirror, run, error)


async def _identified(under: Pass) -> HeldAccount:
    """Make sure whose token it is, once a process and again after it was refused."""
    mirror = under.mirror
    if not mirror.is_same_place:
        raise WrongAccountError(
            f"account {mirror.account} was mirrored from another address; put that back, or take this one over with: "
            f"syncd accept {mirror.account}"
        )
    if mirror.identity is None:
        try:
            identity = await under.ask(mirror.source.fetch_identity)
        except (NotFoundError, ForbiddenError):
            # a server that won't say: the rows themselves tell what is the viewer's
            identity = Identity(user_id=None, scopes=None, server_time=mirror.clock.now())
        known = await mirror.store.apply(Identified(account=mirror.account, now=mirror.clock.now(), identity=identity))
        if not known:
            raise WrongAccountError(
                f"the token of account {mirror.account} belongs to another user than the one mirrored; "
                f"give the right token, or take the other one over with: syncd accept {mirror.account}"
            )
        mirror.identity = identity
    return await mirror.store.fetch_account(mirror.account)


def _is_reconcile_due(mirror: Mirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    if held.memo.reconciling_since is not None:
        return not held.memo.reconcile_listed  # a crash came before all of it was owed
    return last is not None and seconds_between(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds


async def _first_pass(under: Pass) -> bool:
    """Walk the list, fetch what it shows, and walk it again until it shows nothing unknown.

    The list moves while it is walked: what was not seen once is seen the next time. A list of one page can't move.
    """
    while True:
        listing: list[Listing] = []

        async def survey(work: Work, found: list[Listing] = listing) -> None:
            found.append(await walk_list(under, work, whole=True))

        await hydrate(under, survey)
        under.mirror.tally.listed = True
        if listing[0].pages == 1 or listing[0].unknown == 0:
            break
    await read_jobs(under)
    await hydrate(under)
    return True


async def _ordinary(under: Pass, held: HeldAccount, *, reconcile: bool, at_once: bool) -> bool:
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
    if backlog.comparisons == 0 and (backlog.suspects > 0 or held.memo.reconciling_since is not None):
        await mirror.store.apply(SuspectsSettled(account=mirror.account, now=mirror.clock.now()))


class _Run(Struct, frozen=True):
    id: int
    kind: str
    started_at: str
    requests: int
    rows: int


async def _begin_run(mirror: Mirror, kind: str | None) -> _Run | None:
    if kind is None:
        return None
    now = mirror.clock.now()
    id_: int = await mirror.store.apply(RunBegun(account=mirror.account, now=now, kind=kind))
    return _Run(id_, kind, now, mirror.source.cost.requests, mirror.store.rows_written(mirror.account))


async def _end_run(mirror: Mirror, run: _Run | None, error: str | None) -> None:
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
