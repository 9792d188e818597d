"""The holder of a database: what one process does for it, whether it runs for ever or for one command."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import Any

from syncd.config.models import Account, Settings
from syncd.config.places import check_names
from syncd.core.observations import Accepted, Opened, Removed
from syncd.core.plan import PollCost
from syncd.core.sources import only_read
from syncd.engine.account import BaseMirror, Log, Mirror, PollResult
from syncd.engine.outbox import VERBS as SENDING
from syncd.engine.outbox import OutboxSender, SendTurn, deliver
from syncd.engine.outbox import Verb as SendingVerb
from syncd.engine.poll import poll_any
from syncd.errors import StoreTroubleError, SyncdError
from syncd.ops.disk import check_disk, is_log_too_long
from syncd.ops.door import Door, Progress
from syncd.ops.processes import DeclaredPause
from syncd.ops.requests import check_request
from syncd.protocols import Clock
from syncd.store.commands import REWRITING, STORE_COMMANDS, run_store_command
from syncd.store.database import empty_log
from syncd.store.writer import StoreWriter

Build = Callable[[Account], BaseMirror]

_PROGRESS_SECONDS = 0.2


class Holder:
    """Everything that one process does for one database, whether it runs for ever or for one command.

    `poll_soon`: what brings an account's next poll forward, where there is a schedule. `send_later`: what sends an
    account's messages for later at their instants, where there is a daemon.
    """

    def __init__(self, settings: Settings, store: StoreWriter, build: Build, clock: Clock, log: Log) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.log = log
        self.mirrors: dict[str, BaseMirror] = {}
        self.intervals: dict[str, float] = {}
        self.door = Door(settings.db_path, self.serve, group_read=settings.store.group_read)
        self.poll_soon: Callable[[str], None] = lambda _: None
        self.send_later: Callable[[str], None] | None = None
        self.declared_pause = DeclaredPause(settings.db_path, clock)
        self._build = build
        self._file = store.files_used
        self._turns: dict[str, asyncio.Lock] = {}
        self._send_turns: dict[str, SendTurn] = {}

    async def configure(self, settings: Settings) -> None:
        """Take up the accounts that are configured, and let go of the others; the rows of both stay."""
        changed = [name for name, mirror in self.mirrors.items() if settings.accounts.get(name) != mirror.settings]
        for name in changed:
            async with self.turn(name):
                await self.mirrors.pop(name).source.close()
        self.settings = settings
        now = self.clock.now()
        for name in await self.store.fetch_accounts():
            if name not in settings.accounts:
                await self.store.apply(Removed(account=name, now=now))
        for name, account in settings.accounts.items():
            if name not in self.mirrors:
                mirror = self._build(account)
                mirror.check_room = lambda: check_disk(settings.db_path)
                await self._open(mirror, account)
                self.mirrors[name] = mirror

    async def _open(self, mirror: BaseMirror, account: Account) -> None:
        opened = Opened(account=account.name, now=self.clock.now(), source=account.source, base_url=account.base_url)
        mirror.is_same_place = await self.store.apply(opened)

    def turn(self, name: str) -> asyncio.Lock:
        """What keeps an account to one poll at a time."""
        return self._turns.setdefault(name, asyncio.Lock())

    async def poll(self, name: str, *, full: bool = False, manual: bool = False) -> PollResult:
        """One poll of one account, by itself."""
        async with self.turn(name):
            mirror = self.mirrors.get(name)
            if mirror is None:
                raise SyncdError(f"account {name} is no longer configured; it was removed meanwhile")
            await self._take_up_file()
            outcome = await poll_any(mirror, full=full, manual=manual)
            paused = outcome.account_state.state == "paused"
            if outcome.trouble is None:  # also what a crash left without its line
                with suppress(StoreTroubleError):  # the next poll meets the same, and says it
                    await self.store.sum_up_history(name)
            self.log(
                "poll", level="debug", account=name, state=outcome.account_state.state, requests=outcome.cost.requests
            )
        if not paused:
            await self.deliver(name, healthy=outcome.trouble is None)
        return outcome

    async def deliver(self, name: str, *, healthy: bool = True) -> None:
        """Send what waits in an account's outbox and is due; `healthy`: its server is worth a try."""
        mirror = self.mirrors.get(name)
        if isinstance(mirror, Mirror):
            await deliver(OutboxSender(mirror, self._send_turn(name)), healthy=healthy)

    async def departures(self, name: str) -> list[float]:
        """Seconds until each of an account's messages for later leaves."""
        mirror = self.mirrors.get(name)
        return await OutboxSender(mirror, self._send_turn(name)).departures() if isinstance(mirror, Mirror) else []

    async def _take_up_file(self) -> None:
        """Make the accounts known to a file that has taken the database's place, and empty a log that is too long."""
        with suppress(StoreTroubleError):  # the poll meets the same, and says it
            if self.store.files_used != self._file:
                for name, mirror in list(self.mirrors.items()):
                    await self._open(mirror, self.settings.accounts[name])
                    mirror.identity = None  # the file that took its place may hold another user's rows
                self._file = self.store.files_used
            if is_log_too_long(self.settings.db_path):
                await self.store.read(empty_log)

    def outbox_sender(self, name: str) -> OutboxSender:
        """Who sends for the account; UsageError where there is no such account, or it only can be read."""
        check_names([name], self.mirrors)
        mirror = self.mirrors[name]
        if not isinstance(mirror, Mirror):
            raise only_read(name, self.settings.accounts[name].source)
        return OutboxSender(mirror, self._send_turn(name))

    def _send_turn(self, name: str) -> SendTurn:
        """What keeps an account to one message at a time, however often its configuration changes."""
        return self._send_turns.setdefault(name, SendTurn())

    async def serve(self, command: str, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Do what somebody asks for, whether through the door or in this very process."""
        checked = check_request(command, arguments)  # also whether there is such a command
        return await VERBS[command](self, checked, progress)

    async def close(self) -> None:
        """Let go of every connection."""
        for mirror in self.mirrors.values():
            await mirror.source.close()


@asynccontextmanager
async def holding(
    settings: Settings, store: StoreWriter, build: Build, clock: Clock, log: Log
) -> AsyncIterator[Holder]:
    """Hold a database whose lock is taken: its accounts are known, its door is open."""
    store.start()
    holder = Holder(settings, store, build, clock, log)
    try:
        await holder.configure(settings)
        await holder.door.open()
        yield holder
    finally:
        await holder.door.close()
        await holder.close()
        await store.close()


async def sync(holder: Holder, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """One pass over the accounts named, or over all; every account's outcome, whatever the others came to."""
    names = list(dict.fromkeys(arguments.get("accounts") or holder.mirrors))
    check_names(names, holder.mirrors)
    full = bool(arguments.get("full"))
    passes = {name: asyncio.get_running_loop().create_task(holder.poll(name, full=full, manual=True)) for name in names}
    try:
        while not all(task.done() for task in passes.values()):
            await asyncio.wait(passes.values(), timeout=_PROGRESS_SECONDS)
            progress({name: asdict(holder.mirrors[name].tally) for name in names if name in holder.mirrors})
    finally:
        for task in passes.values():
            task.cancel()
        await asyncio.gather(*passes.values(), return_exceptions=True)
    return {"accounts": [_summary(name, task) for name, task in passes.items()]}


def _summary(name: str, task: "asyncio.Task[PollResult]") -> dict[str, Any]:
    """An account's part of the summary; it has the same keys whatever happened."""
    cost, state, retry_at = PollCost(), "paused", None
    trouble: SyncdError | None
    try:
        outcome = task.result()
        cost, state, retry_at = outcome.cost, outcome.account_state.state, outcome.account_state.retry_at
        trouble = outcome.trouble
    except SyncdError as error:
        trouble = error
    except Exception as error:  # noqa: BLE001 - a mistake of ours in one account must not hide the others
        trouble = SyncdError(f"internal error: {type(error).__name__}: {error}")
    return {
        "account": name,
        "state": state,
        "error": None if trouble is None else str(trouble),
        "retry_at": retry_at,
        "exit_code": 0 if trouble is None else trouble.exit_code,
        "requests": cost.requests,
        "bytes": cost.bytes,
        "rows_written": cost.rows,
        "seconds": cost.seconds,
    }


async def accept(holder: Holder, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Take over an account's changed identity: its rows stay, and everything is compared at the next poll."""
    del progress
    name = str(arguments.get("account"))
    check_names([name], holder.mirrors)
    mirror = holder.mirrors[name]
    async with holder.turn(name):
        account = holder.settings.accounts[name]
        accepted = Accepted(account=name, now=holder.clock.now(), source=account.source, base_url=account.base_url)
        await holder.store.apply(accepted)
        mirror.is_same_place, mirror.identity = True, None
    holder.poll_soon(name)
    return {"account": name}


Verb = Callable[[Holder, dict[str, Any], Progress], Awaitable[dict[str, Any]]]


def _store_command(name: str) -> Verb:
    """What needs nothing but the database, done on its one writing connection between transactions."""

    async def serve(holder: Holder, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
        del progress
        with holder.declared_pause.declared() if name in REWRITING else nullcontext():
            return dict(await holder.store.read(lambda it: run_store_command(it, name, arguments, holder.clock.now())))

    return serve


def _sending(verb: SendingVerb) -> Verb:
    """What is done with one account's outbox; a message for later leaves by itself where there is a daemon."""

    async def serve(holder: Holder, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
        name = str(arguments["account"])
        answer = await verb(holder.outbox_sender(name), arguments, progress)
        if arguments.get("later"):
            answer["has_daemon"] = holder.send_later is not None
            if holder.send_later is not None:
                holder.send_later(name)
        return answer

    return serve


async def tell_refused(holder: Holder, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The accounts whose trouble the database does not take, by name; nobody learns of it by reading there."""
    del arguments, progress
    refused = {name: mirror.refused for name, mirror in holder.mirrors.items() if mirror.refused is not None}
    return {
        name: {"state": one.state, "state_since": one.now, "last_error": one.error} for name, one in refused.items()
    }


VERBS: dict[str, Verb] = {"sync": sync, "accept": accept, "refused": tell_refused} | {
    name: _store_command(name) for name in STORE_COMMANDS
}
VERBS |= {name: _sending(verb) for name, verb in SENDING.items()}
"""What a holder does for others, by the name it is asked for."""
