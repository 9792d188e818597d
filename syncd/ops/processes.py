"""Processes and threads around the daemon: how it starts and stops, and what runs beside it."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, ParamSpec, Protocol, TypeVar

from syncd.core.times import publish_wait
from syncd.errors import StoreTroubleError
from syncd.ops.service import Supervisor
from syncd.protocols import Clock

_T = TypeVar("_T")

_LOOK_SECONDS = 5.0


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """What SIGTERM and SIGINT set from now on; a daemon that has not begun yet, or is ending, heeds no SIGHUP."""
    stopping = asyncio.Event()
    meanings = {signal.SIGTERM: stopping.set, signal.SIGINT: stopping.set, signal.SIGHUP: ignore_signal}
    loop = asyncio.get_running_loop()
    for number, meaning in meanings.items():
        loop.add_signal_handler(number, meaning)
    try:
        yield stopping
    finally:
        for number in meanings:
            loop.remove_signal_handler(number)


def ignore_signal() -> None:
    """Do nothing."""


async def until_open(
    open_: Callable[[], Awaitable[_T]], supervisor: Supervisor, stopping: asyncio.Event, log: Callable[..., None]
) -> _T | None:
    """What `open_` opens, as soon as the disk lets it; None where it is to stop before that.

    A full or read-only disk and a locked database are waited for: to end, and be started again and again, helps nobody.
    """
    told = False
    while not stopping.is_set():
        try:
            opened = await open_()
        except StoreTroubleError as trouble:
            if not told:
                log("daemon.paused", level="error", error=str(trouble))
            told = True
            supervisor.say_ready(f"paused: {trouble}")
            supervisor.ping()
        else:
            return opened
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
    return None


async def until_taken(
    take: Callable[[], Awaitable[None]], clock: Clock, say: Callable[[StoreTroubleError], None]
) -> None:
    """Have the database take something as soon as it can; `say` is told once what keeps it from that."""
    told = False
    while True:
        try:
            return await take()
        except StoreTroubleError as trouble:
            if not told:
                say(trouble)
            told = True
        await clock.sleep(_LOOK_SECONDS)


# Threads that nobody waits for: a command that gives a token, or a name server, may take its time; a stop may not.


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class DetachedThreads(ThreadPoolExecutor):
    """Runs each call in a thread of its own, which ends with the process; asyncio accepts only a ThreadPoolExecutor."""

    def submit(self, call: Callable[Given, Answer], /, *given: Given.args, **named: Given.kwargs) -> Future[Answer]:
        """Begin the call."""
        future: Future[Answer] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*given, **named))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the call
                future.set_exception(error)

        Thread(target=run, name="errand", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> Any:  # noqa: FBT001, FBT002 - the interface's own signature
        """Wait for nothing."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        del wait


# A process beside the daemon: it has an interpreter of its own, so its work takes nothing from the polls.


_LAST_SECONDS = 4.0
"""How long it may take to end by itself."""
_LASTING_SECONDS = 60.0
"""Whatever has lived so long has begun well: its next start waits no longer than the first."""


class Host(Protocol):
    """The daemon, as its companion sees it."""

    @property
    def clock(self) -> Any:
        """protocols.Clock."""

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Write one structured line."""


class ChildProcess:
    """A command of syncd that is started again whenever it ends. It ends itself when its standard input does.

    Each line that it reads there says that there may be something to do.
    """

    def __init__(self, name: str, host: Host) -> None:
        self._name = name
        self._host = host
        self._keeper: asyncio.Task[None] | None = None
        self._input: asyncio.StreamWriter | None = None

    async def run(self, words: Sequence[str] | None) -> None:
        """Have it run with these words from now on; None: not at all."""
        await self.stop()
        if words is not None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep(tuple(words)))

    async def stop(self) -> None:
        """End it, if need be by force."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None

    def wake(self) -> None:
        """Tell it that there may be something to do; one that has not read the last word needs no other."""
        if self._input is not None and not self._input.transport.get_write_buffer_size():
            self._input.write(b"\n")

    async def _keep(self, words: tuple[str, ...]) -> None:
        ends = 0
        while True:
            began = self._host.clock.monotonic()
            try:
                code = await self._run_once(words)
            except OSError as error:  # there is no memory or no file descriptor for it now
                self._host.log(f"{self._name}.unstarted", level="error", error=error.strerror or str(error))
            else:
                level = "error" if code else "info"  # 0: it was told to stop, as a service's processes all are
                self._host.log(f"{self._name}.ended", level=level, exit_code=code)
            lasted = self._host.clock.monotonic() - began
            ends = 1 if lasted > _LASTING_SECONDS else ends + 1
            await self._host.clock.sleep(publish_wait(ends))

    async def _run_once(self, words: tuple[str, ...]) -> int:
        # -P: a folder named syncd where the daemon was started is not ours.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "syncd.cli.main", *words, stdin=PIPE, stdout=DEVNULL
        )
        self._input = process.stdin
        try:
            return await process.wait()
        finally:
            self._input = None
            if process.returncode is None:
                await asyncio.shield(_end(process))


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _LAST_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


# A declared wait for all accounts: while the database is written anew, none of them can get on.


_LEAST_SECONDS = 60.0
_SLOW_BYTES_PER_SECOND = 1_000_000  # of a slow disk; the file is written twice, by way of the write-ahead log


class DeclaredPause:
    """How long the database's writer may be taken up with one thing before something must be wrong."""

    def __init__(self, database: Path, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._ends: list[float] = []

    @property
    def until(self) -> float | None:
        """When it must be over, on the clock that only grows; None while the writer is free."""
        return max(self._ends, default=None)

    @contextmanager
    def declared(self) -> Iterator[None]:
        """Say so, for as long as a slow disk may take for the whole file."""
        size = self._database.stat().st_size
        end = self._clock.monotonic() + _LEAST_SECONDS + size / _SLOW_BYTES_PER_SECOND
        self._ends.append(end)
        try:
            yield
        finally:
            self._ends.remove(end)
