import asyncio
import sys
import time
from typing import Any

import pytest

from syncd.ops.processes import ChildProcess

pytestmark = pytest.mark.anyio


class Host:
    """A daemon that writes its lines down, and whose waits end at once."""

    def __init__(self) -> None:
        self.clock = self
        self.lines: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, _: float) -> None:
        """Let others go on."""
        await asyncio.sleep(0.01)

    def log(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Keep the line."""
        self.lines.put_nowait((event, {"level": level, **fields}))


async def test_a_process_that_can_t_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the system gives it no process that is said each time, and once it does the command runs."""
    host, interpreter = Host(), sys.executable
    child_process = ChildProcess("publish", host)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    await child_process.run(["--version"])
    async with asyncio.timeout(30):
        for _ in range(2):
            event, fields = await host.lines.get()
            assert (event, fields["level"]) == ("publish.unstarted", "error")
        monkeypatch.setattr(sys, "executable", interpreter)
        while event != "publish.ended":
            event, fields = await host.lines.get()
    assert fields["exit_code"] == 0
    await child_process.stop()
