"""Wire everything together; the only place where the real clock is made."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from syncd import logs
from syncd.config.credentials import resolve_headers, resolve_token, wants_token
from syncd.config.models import Account, OpenATSAccount, OpenTrainAccount, Settings
from syncd.core.model import Instant, Wanted
from syncd.core.sources import OPENATS, OPENTRAIN
from syncd.core.times import render_time
from syncd.engine.account import BaseMirror, Log, Mirror, Policy
from syncd.engine.chats import SnapshotMirror
from syncd.errors import DatabaseError, NoDatabaseError
from syncd.holder import Holder, holding
from syncd.ops.door import Progress, ask_holder, take_lock
from syncd.ops.processes import DetachedThreads, stop_signals, until_open
from syncd.ops.service import Supervisor
from syncd.sources.http import PoliteClient
from syncd.sources.openats import OpenATS
from syncd.sources.opentrain import OpenTrain
from syncd.store.apply import Recorded
from syncd.store.migrate import open_writer
from syncd.store.writer import Announcer, StoreWriter
from syncd.upkeep import keep_up

_HOLDER_SECONDS = 5.0  # how long a holder may take to open or to close its door


class RealClock:
    """Fulfils protocols.Clock with the machine's own time."""

    def now(self) -> Instant:
        """The wall clock's time."""
        return render_time(datetime.now(UTC))

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def cpu(self) -> float:
        """Seconds of processor time that this process has used."""
        return time.process_time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class LogAnnouncer:
    """Writes events into the log. `degraded`: the accounts whose trouble it has told."""

    def __init__(self) -> None:
        self.degraded: set[str] = set()

    def events(self, events: Sequence[Recorded]) -> None:
        """One line an event."""
        log = logs.get_logger()
        for recorded in events:
            is_trouble = recorded.event.kind == "account.degraded"
            if is_trouble:
                self.degraded.add(recorded.account)
            write = log.warning if is_trouble else log.info
            write(recorded.event.kind, **fields_of(recorded))

    def history(self, account: str, counts: dict[str, int]) -> None:
        """One line for all that was there before anybody watched."""
        logs.get_logger().info("history", account=account, **{kind.replace(".", "_"): n for kind, n in counts.items()})


def fields_of(recorded: Recorded) -> dict[str, object]:
    """An event's fields as its log line has them: ids and data, no text."""
    event = recorded.event
    ids = {
        "conversation_id": event.conversation_id,
        "message_id": event.message_id,
        "proposal_id": event.proposal_id,
        "occurred_at": event.occurred_at,
    }
    known = {name: value for name, value in ids.items() if value is not None}
    return {"event_id": recorded.id, "account": recorded.account, **known, **event.data}


def log_line(event: str, *, level: str = "info", **fields: object) -> None:
    """Write one structured line."""
    getattr(logs.get_logger(), level)(event, **fields)


def policy_of(account: Account) -> Policy:
    """The account's settings as the engine reads them."""
    return Policy(
        poll_seconds=account.poll_seconds,
        idle_seconds=account.idle_seconds,
        concurrency=account.concurrency,
        reconcile_seconds=account.reconcile_hours * 3600,
        every_proposal=isinstance(account, OpenTrainAccount) and account.proposals == "all",
        overdue_seconds=account.overdue_after,
    )


def token_asker(account: Account, environ: Mapping[str, str]) -> Callable[[], str]:
    """What gives the account's token, anew each time it is asked; every token it ever gave stays out of the logs."""

    def ask() -> str:
        secret = resolve_token(account, environ)
        token = "" if secret is None else secret.reveal()
        logs.register_secret(token)
        return token

    return ask


def header_asker(account: OpenATSAccount, environ: Mapping[str, str]) -> Callable[[], dict[str, str]]:
    """What gives the headers that a proxy wants, anew each time; every value it ever gave stays out of the logs."""

    def ask() -> dict[str, str]:
        headers = {name: secret.reveal() for name, secret in resolve_headers(account, environ).items()}
        for text in headers.values():
            logs.register_secret(text)
        return headers

    return ask


def build_client(account: Account, environ: Mapping[str, str]) -> PoliteClient:
    """What asks the account's server, with its token and headers."""
    token = token_asker(account, environ) if wants_token(account) else None
    headers = header_asker(account, environ) if isinstance(account, OpenATSAccount) and account.headers else None
    return PoliteClient(
        account.base_url, clock=RealClock(), token=token, headers=headers, concurrency=account.concurrency
    )


ADAPTERS: Mapping[str, type[OpenTrain] | type[OpenATS]] = {OPENTRAIN.name: OpenTrain, OPENATS.name: OpenATS}
"""What speaks to each kind of server."""


def build_mirror(account: Account, store: StoreWriter, environ: Mapping[str, str]) -> BaseMirror:
    """An account, ready to be polled."""
    client = build_client(account, environ)
    common: dict[str, Any] = {
        "account": account.name,
        "store": store,
        "clock": RealClock(),
        "policy": policy_of(account),
        "log": _logger(account),
        "settings": account,
    }
    if isinstance(account, OpenATSAccount):
        wanted = Wanted(jobs=_ids(account.jobs), candidates=_ids(account.candidates))
        return SnapshotMirror(source=OpenATS(client), wanted=wanted, **common)
    return Mirror(source=OpenTrain(client), **common)


def _ids(configured: str | tuple[int, ...]) -> frozenset[str] | None:
    """The ids as text; None for all."""
    return None if isinstance(configured, str) else frozenset(str(id_) for id_ in configured)


def _logger(account: Account) -> Log:
    def log(event: str, *, level: str = "info", **fields: object) -> None:
        log_line(event, level=level, account=account.name, **fields)

    return log


def perform(
    settings: Settings,
    command: str,
    arguments: dict[str, Any],
    on_progress: Progress | None = None,
    *,
    create: bool = False,
    announcer: Announcer | None = None,
) -> dict[str, Any]:
    """Have a command done: by whoever holds the database, else by taking its lock ourselves.

    `create`: the database may be made. `announcer`: is told of the events where we do it; else the log is. Raises what
    the command raises, HolderError where the holder did it.
    """
    deadline = time.monotonic() + _HOLDER_SECONDS
    while True:
        answer = ask_holder(settings.db_path, command, arguments, on_progress)
        if answer is not None:
            return answer
        if not create and not settings.db_path.exists():
            raise NoDatabaseError(f"there is no database at {settings.db_path}; syncd sync makes one")
        try:
            lock = take_lock(settings.db_path, group_read=settings.store.group_read)
        except DatabaseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)  # its holder is just opening or closing its door
            continue
        with lock:
            alone = _perform_alone(settings, command, arguments, on_progress or (lambda _: None), announcer)
            return asyncio.run(alone)


async def _perform_alone(
    settings: Settings,
    command: str,
    arguments: dict[str, Any],
    on_progress: Progress,
    announcer: Announcer | None,
) -> dict[str, Any]:
    asyncio.get_running_loop().set_default_executor(DetachedThreads())
    async with hold(settings, os.environ, announcer=announcer) as holder:
        await keep_up(holder)
        answer = await holder.serve(command, arguments, on_progress)
        await holder.door.settle()
        return answer


def run_daemon(settings: Settings, reload: Callable[[], Settings]) -> None:
    """Be the daemon, until a signal stops it; DatabaseError when another process holds the database."""
    asyncio.run(_run_daemon(settings, reload))


async def _run_daemon(settings: Settings, reload: Callable[[], Settings]) -> None:
    from syncd.daemon import run  # noqa: PLC0415 - a command that ends would wait for the scheduler's import

    asyncio.get_running_loop().set_default_executor(DetachedThreads())
    supervisor = Supervisor(os.environ)
    with stop_signals() as stopping:
        async with AsyncExitStack() as stack:
            holder = await until_open(lambda: _take_hold(settings, stack), supervisor, stopping, log_line)
            if holder is not None:
                await run(holder, reload, supervisor, stopping)


async def _take_hold(settings: Settings, stack: AsyncExitStack) -> Holder:
    """Lock and hold the database until `stack` ends, or neither."""
    async with AsyncExitStack() as attempt:
        attempt.enter_context(take_lock(settings.db_path, group_read=settings.store.group_read))
        holder = await attempt.enter_async_context(hold(settings, os.environ))
        stack.push_async_exit(attempt.pop_all())
    return holder


@asynccontextmanager
async def hold(
    settings: Settings, environ: Mapping[str, str], *, announcer: Announcer | None = None
) -> AsyncIterator[Holder]:
    """Hold the database of these settings, whose lock the caller has taken."""
    clock = RealClock()
    writer = open_writer(settings.db_path, group_read=settings.store.group_read)
    store = StoreWriter(writer, clock, announcer or LogAnnouncer())
    async with holding(settings, store, lambda account: build_mirror(account, store, environ), clock, log_line) as held:
        yield held
