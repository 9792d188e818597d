"""A process beside the daemon: it has an interpreter of its own, so its work takes nothing from the polls."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from syncd.core.pacing import publish_wait

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


class Companion:
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
