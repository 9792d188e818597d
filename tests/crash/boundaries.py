"""The boundaries of a process, met from outside: what the program calls is wrapped, the program knows nothing of it.

A *boundary* is the instant before or after an HTTP request, an SQL statement, a commit, a log line, or a step of a
file on disk.
"""

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

from syncd import logs

connect = sqlite3.connect
"""As it was, for those who are not watched."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class Boundaries:
    """Counts the boundaries that this process passes, and strikes at the one ordered: by default it dies."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._at: int | None = order.get("kill_at")
        self._on: str | None = order.get("kill_on")
        self._trail = Path(order["trail"])
        self._lock = threading.Lock()
        self.passed: list[str] = []
        self.strike = _die

    def meet(self, name: str) -> None:
        """One boundary; after one step and before the next is the same one."""
        with self._lock:
            if not (name.endswith(" before") and self.passed and self.passed[-1].endswith(" after")):
                self.passed.append(name)
            if len(self.passed) == self._at or (self._on is not None and name.startswith(self._on)):
                self._at = self._on = None
                self.write()
                self.strike()

    def write(self) -> None:
        """Leave the names of all boundaries passed, for whoever ordered the run."""
        self._trail.write_text("\n".join(self.passed), encoding="utf-8")

    def around(self, name: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The call, between two boundaries."""
        self.meet(f"{name} before")
        answer = call(*arguments, **named)
        self.meet(f"{name} after")
        return answer


def _kind(sql: str) -> str:
    verb = sql.split(maxsplit=1)[0].upper()
    return "commit" if verb == "COMMIT" else f"statement {verb}"


def watch_sql(boundaries: Boundaries) -> None:
    """Every statement of every connection that the program opens from now on."""

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *parameters: Any) -> Any:
            return boundaries.around(_kind(sql), super().execute, sql, *parameters)

        def executemany(self, sql: str, *parameters: Any) -> Any:
            return boundaries.around(_kind(sql), super().executemany, sql, *parameters)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *parameters: Any) -> Any:
            return self.cursor().execute(sql, *parameters)

        def commit(self) -> None:
            boundaries.around("commit", super().commit)

        def rollback(self) -> None:
            boundaries.around("statement ROLLBACK", super().rollback)

        def backup(self, target: sqlite3.Connection, **options: Any) -> None:
            boundaries.around("file", super().backup, target, **options)

    def watched(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, factory=Connection, **named)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]  # the point of it


def watch_requests(boundaries: Boundaries) -> None:
    """Every request, from before it is sent to after its whole answer was read."""
    send, close = AiohttpTransport.handle_async_request, AiohttpResponseStream.aclose

    async def watched(self: AiohttpTransport, request: httpx.Request) -> httpx.Response:
        boundaries.meet("request before")
        return await send(self, request)

    async def closed(self: AiohttpResponseStream) -> None:
        await close(self)
        boundaries.meet("request after")

    AiohttpTransport.handle_async_request = watched  # type: ignore[method-assign]  # the point of it
    AiohttpResponseStream.aclose = closed  # type: ignore[method-assign]  # the same


def watch_files(boundaries: Boundaries) -> None:
    """What becomes durable, and what gets its name."""
    fsync, replace = os.fsync, os.replace
    os.fsync = partial(boundaries.around, "file", fsync)
    os.replace = partial(boundaries.around, "file", replace)


def watch_log(boundaries: Boundaries, after_line: Callable[[str], None]) -> None:
    """Every line of the log."""
    write = logs._Sink.msg

    def watched(self: Any, line: str) -> None:
        told = json.loads(line)
        name = f"event {told['event']}" if "event_id" in told else "line"
        boundaries.around(name, write, self, line)
        after_line(told["event"])

    for name in ("msg", "debug", "info", "warning", "error", "critical"):
        setattr(logs._Sink, name, watched)
