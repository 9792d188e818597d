"""How a daemon starts and is stopped: by which signals, and what it waits for before it begins or goes on."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from syncd.errors import StoreTroubleError
from syncd.ops.notify import Supervisor
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
