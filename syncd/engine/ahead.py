"""The page behind one that is being stored, asked for meanwhile."""

import asyncio
from contextlib import suppress
from typing import Self

from syncd.core.answers import Page
from syncd.core.thread import Walk
from syncd.engine.passing import Pass
from syncd.errors import SyncdError


class Ahead:
    """Fetches a walk's pages, and at most one of them before the walk is known to go on there.

    That is only done behind a full page whose cursor leads on, where hardly ever nothing follows; what was asked for in
    vain is thrown away. With one request at a time nothing is asked ahead.
    """

    def __init__(self, under: Pass, conversation_id: str) -> None:
        self._under = under
        self._conversation_id = conversation_id
        self._asked: tuple[str, str | None] | None = None
        self._task: asyncio.Task[Page] | None = None

    async def fetch(self, walk: Walk) -> Page:
        """The page that the walk asks for; raises as the request does, PassEndedError included."""
        task, self._task = self._task, None
        if task is not None:
            if self._asked == (walk.direction, walk.cursor):
                return await task
            await _forget(task)
        return await self._ask(walk, walk.cursor)

    def look(self, walk: Walk, page: Page) -> None:
        """Ask for the page behind this one, which the walk has brought and which is being stored now."""
        if self._under.mirror.policy.concurrency > 1 and len(page.messages) >= page.limit:
            self._asked = (walk.direction, page.next_cursor)
            self._task = asyncio.get_running_loop().create_task(self._ask(walk, page.next_cursor))

    async def _ask(self, walk: Walk, cursor: str | None) -> Page:
        source = self._under.mirror.source
        return await self._under.ask(lambda: source.fetch_messages(self._conversation_id, walk.direction, cursor))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._task is not None:
            if kind is not None:
                self._task.cancel()
            await _forget(self._task)


async def _forget(task: "asyncio.Task[Page]") -> None:
    """Let it end: a request that is cancelled costs its connection; what it raised was said where it matters."""
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    with suppress(SyncdError, asyncio.CancelledError):
        task.result()
