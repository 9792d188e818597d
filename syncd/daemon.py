"""The daemon: every account polled at its own pace, until a signal says stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from syncd.config.models import Settings
from syncd.core.account import HEALTHY, limited_until
from syncd.core.times import next_interval, seconds_between
from syncd.engine.account import BaseMirror, PollResult
from syncd.errors import ConfigError, StoreTroubleError, SyncdError
from syncd.holder import Holder
from syncd.ops.processes import ChildProcess, ignore_signal, until_taken
from syncd.ops.service import Meter, Outlets, Service, Supervisor, Wishes
from syncd.publish.address import follow_words, name_target
from syncd.sources.http import send_heartbeat
from syncd.store.read import measure_files, read_figures, read_target_figures
from syncd.upkeep import keep_up

_AFTER_A_BUG_SECONDS = 60.0


async def run(holder: Holder, reload: Callable[[], Settings], supervisor: Supervisor, stopping: asyncio.Event) -> None:
    """Poll every account at its own pace until `stopping` is set; SIGHUP reads the configuration again."""
    daemon = Daemon(holder, reload, supervisor)
    daemon.stopping = stopping
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    try:
        await daemon.run()
    finally:
        loop.add_signal_handler(signal.SIGHUP, ignore_signal)


class Daemon:
    """The schedule: one job an account, each placing its next poll when one is over."""

    def __init__(self, holder: Holder, reload: Callable[[], Settings], supervisor: Supervisor) -> None:
        self.holder = holder
        self.clock = holder.clock
        self.log = holder.log
        self.stopping = asyncio.Event()
        self.service = _build_service(supervisor, self)
        self._reload = reload
        self._reloading = asyncio.Lock()
        self._publishing = ChildProcess("publish", self)
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # A poll that comes late is still wanted, and wanted once.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    async def run(self) -> None:
        """Run until `stopping` is set; what is under way is broken off, as nothing is lost by it."""
        self.holder.poll_soon = lambda name: self.schedule(name, 0.0)
        self.holder.send_later = self.send_later
        self._scheduler.start()
        for name in self.holder.mirrors:
            self.schedule(name, await self._first_delay(name))
            self.send_later(name)
        self._scheduler.add_job(keep_up, "interval", days=1, next_run_time=datetime.now(UTC), args=[self.holder])
        self.service.open(_wishes(self.holder.settings))
        self.log("daemon.started", accounts=len(self.holder.mirrors))
        soon = asyncio.get_running_loop().call_soon_threadsafe
        self.holder.store.on_change = partial(soon, self._publishing.wake)
        await self._publish()
        await self.stopping.wait()
        self.service.say_stopping()
        self._scheduler.shutdown(wait=False)
        for task in (*self._polls.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._polls.values(), *self._tasks, return_exceptions=True)
        await self._publishing.stop()
        await self.service.close()
        self.log("daemon.stopped")

    async def _first_delay(self, name: str) -> float:
        """Nothing, unless an earlier process was told to wait; whatever else was wrong may have been put right.

        One that died before it could say so left a state in which nothing is wrong: then a poll says it, and asks
        nothing either.
        """
        try:
            held = await self.holder.store.fetch_account(name)
        except StoreTroubleError:
            return 0.0  # the poll says it
        until = limited_until(held.account_checkpoint, self.holder.clock.now())
        if until is None or held.account is None or held.account.state in HEALTHY:
            return 0.0
        return max(0.0, seconds_between(self.holder.clock.now(), until))

    def schedule(self, name: str, delay: float) -> None:
        """Place the account's next poll, in seconds from now."""
        due = datetime.now(UTC) + timedelta(seconds=delay)
        self._scheduler.add_job(self._begin, "date", run_date=due, args=[name], id=name, replace_existing=True)
        self.service.poll_stats.wait(name, self.clock.monotonic() + delay)

    async def _begin(self, name: str) -> None:
        """Poll beside the scheduler, so that a stop can break the poll off."""
        running = self._polls.get(name)
        if running is not None and not running.done():
            return  # its end places the next one
        if name in self.holder.mirrors and not self.stopping.is_set():
            self.service.poll_stats.begin(name)
            self._polls[name] = asyncio.get_running_loop().create_task(self._poll(name))

    async def _poll(self, name: str) -> None:
        delay, state, retry_at, seconds = _AFTER_A_BUG_SECONDS, None, None, 0.0
        try:
            outcome = await self.holder.poll(name)
            delay = self._delay(name, outcome)
            state, retry_at, seconds = outcome.account_state.state, outcome.account_state.retry_at, outcome.cost.seconds
            if state != "paused":
                with suppress(StoreTroubleError):  # the next poll meets the same, and says it
                    self.service.poll_stats.unread = await self.holder.store.count_unread()
        except SyncdError as error:
            self.log("poll.failed", level="error", account=name, error=str(error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one account must not stop the others
            self.log("poll.internal_error", level="error", account=name, error=f"{type(error).__name__}: {error}")
        if name in self.holder.mirrors:
            self.schedule(name, delay)
            self.service.note_poll(name, state=state, retry_at=retry_at, seconds=seconds)

    def _delay(self, name: str, outcome: PollResult) -> float:
        policy = self.holder.mirrors[name].policy
        if outcome.account_state.retry_at is not None:
            return max(0.0, seconds_between(self.holder.clock.now(), outcome.account_state.retry_at))
        interval = self.holder.intervals.get(name, policy.poll_seconds)
        self.holder.intervals[name] = next_interval(
            interval, busy=outcome.busy, poll_seconds=policy.poll_seconds, idle_seconds=policy.idle_seconds
        )
        return self.holder.intervals[name]

    def send_later(self, name: str) -> None:
        """Send an account's messages for later, each at its instant, whenever its next poll is."""
        self._start(self._send_later(name))

    async def _send_later(self, name: str) -> None:
        with suppress(StoreTroubleError):  # the next poll meets the same, says it, and sends what is due then
            while left := await self.holder.departures(name):
                await self.clock.sleep(min(left))
                await self.holder.deliver(name)

    def reload(self) -> None:
        """Read the configuration again, beside everything else; a broken one changes nothing."""
        self._start(self._take_up())

    async def _take_up(self) -> None:
        async with self._reloading:
            self.service.say_reloading()
            try:
                await self._reconfigure(self._reload())
            except SyncdError as error:
                self.log("config.refused", level="error", error=str(error))
            finally:
                self.service.say_reloaded()

    async def _reconfigure(self, settings: Settings) -> None:
        held = self.holder.settings
        if (settings.db_path, settings.store.group_read) != (held.db_path, held.store.group_read):
            raise ConfigError("[store] path and group_read can't change while syncd runs; restart it for that")
        self.service.take_up(_wishes(settings))
        before = dict(self.holder.mirrors)
        await self._break_off([name for name in before if settings.accounts.get(name) != before[name].settings])
        await until_taken(partial(self.holder.configure, settings), self.clock, self.service.say_waiting)
        self.service.poll_stats.keep_only(list(self.holder.mirrors))
        for name, mirror in self.holder.mirrors.items():
            if before.get(name) is not mirror:
                self.schedule(name, await self._first_delay(name))
                self.send_later(name)
        self.log("config.reloaded", accounts=len(self.holder.mirrors))
        if (settings.publish, settings.log) != (held.publish, held.log):
            await self._publish()

    async def _publish(self) -> None:
        """Have the configured target kept up to date, and no other."""
        settings = self.holder.settings
        wanted = settings.publish
        target = None if wanted is None else name_target(wanted.url, wanted.schema_name)
        try:
            await self.holder.serve("publish_only", {"target": target}, lambda _: None)
        except SyncdError as error:
            self.log("publish.unnoted", level="warning", error=str(error))
        await self._publishing.run(None if wanted is None else follow_words(settings.config_file, settings.db_path))

    async def _break_off(self, names: list[str]) -> None:
        """End the polls of accounts that change: by their old settings they may last, and nothing is lost by it."""
        polls = [self._polls.pop(name) for name in names if name in self._polls]
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    def read_meters(self) -> dict[str, Meter]:
        """Every account's meter; called from other threads too."""
        declared_pause = self.holder.declared_pause.until
        return {name: _read_meter(mirror, declared_pause) for name, mirror in list(self.holder.mirrors.items())}

    def poll_soon(self) -> None:
        """Connect anew, and poll at once whatever is not told to wait."""
        for name, mirror in self.holder.mirrors.items():
            mirror.source.drop_connections()
            if self._scheduler.get_job(name) is not None:
                self._start(self._reschedule(name))

    async def _reschedule(self, name: str) -> None:
        self.schedule(name, await self._first_delay(name))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _build_service(supervisor: Supervisor, daemon: Daemon) -> Service:
    path = daemon.holder.settings.db_path
    outlets = Outlets(
        read_rows=lambda: read_figures(path),
        read_targets=lambda: read_target_figures(path),
        measure_files=lambda: measure_files(path),
        send_heartbeat=send_heartbeat,
    )
    return Service(supervisor, daemon, outlets)


def _wishes(settings: Settings) -> Wishes:
    return Wishes(
        listen=None if settings.metrics is None else settings.metrics.address,
        heartbeat_url=None if settings.heartbeat is None else settings.heartbeat.url,
    )


def _read_meter(mirror: BaseMirror, rests_until: float | None) -> Meter:
    waits = [until for until in (mirror.sits_until, rests_until) if until is not None]
    cost = mirror.source.cost
    return Meter(
        requests=cost.requests,
        by_status=dict(cost.by_status),
        rows=mirror.store.rows_written(mirror.account),
        sits_until=max(waits, default=None),
    )
