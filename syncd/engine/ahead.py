"""The pages behind one that is being stored, asked for meanwhile."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Self

from syncd.core.answers import Page
from syncd.core.thread import Direction, Walk
from syncd.engine.passing import Pass
from syncd.errors import SyncdError

_MOST_AHEAD = 8  # pages of one conversation that are not stored yet


class Ahead:
    """Fetches a walk's pages, and some of them before the walk is known to go on there.

    One page is asked for at a time, and only behind a full one whose cursor leads on, where hardly ever nothing
    follows; what was asked for in vain is thrown away. With one request at a time nothing is asked ahead.
    """

    def __init__(self, under: Pass, conversation_id: str) -> None:
        self._under = under
        self._conversation_id = conversation_id
        self._chain: deque[tuple[str, asyncio.Task[Page]]] = deque()  # the cursor that was asked for, its page
        self._cursors: set[str] = set()
        self._direction: Direction = "newer"
        self._newest: Page | None = None

    async def fetch(self, walk: Walk) -> Page:
        """The page that the walk asks for; raises as the request does, PassEndedError included."""
        if self._chain and (self._direction, self._chain[0][0]) == (walk.direction, walk.cursor):
            return await self._take()
        await self._forget()
        return await self._ask(walk.direction, walk.cursor)

    def look(self, walk: Walk, page: Page) -> None:
        """Ask for what is behind this page, which the walk has brought and which is being stored now."""
        if not self._chain:
            self._direction, self._newest = walk.direction, page
        self._go_on()

    def _go_on(self) -> None:
        """Ask for the page behind the newest one, unless that is still on its way, or is far enough ahead."""
        if self._chain:
            task = self._chain[-1][1]
            if not task.done() or task.cancelled() or task.exception() is not None:
                return
            self._newest = task.result()
        page = self._newest
        if page is None or page.next_cursor is None or len(page.messages) < page.limit or not self._has_room():
            return
        if page.next_cursor in self._cursors:
            return  # it goes in circles, which is for the walk to say
        self._cursors.add(page.next_cursor)
        task = asyncio.get_running_loop().create_task(self._ask(self._direction, page.next_cursor))
        self._chain.append((page.next_cursor, task))
        self._under.pages_ahead += 1
        task.add_done_callback(lambda _: self._go_on())

    def _has_room(self) -> bool:
        """One page ahead is each conversation's right; of more there is room for two to each request in flight."""
        concurrency = self._under.mirror.policy.concurrency
        if concurrency == 1 or len(self._chain) >= _MOST_AHEAD:
            return False
        return not self._chain or self._under.pages_ahead < 2 * concurrency

    async def _take(self) -> Page:
        _, task = self._chain.popleft()
        self._under.pages_ahead -= 1
        if self._chain:
            self._go_on()
        else:
            self._newest = None  # until the walk has brought it
        return await task

    async def _ask(self, direction: Direction, cursor: str | None) -> Page:
        source = self._under.mirror.source
        return await self._under.ask(lambda: source.fetch_messages(self._conversation_id, direction, cursor))

    async def _forget(self) -> None:
        """Let what is on its way end: a request that is cancelled costs its connection."""
        tasks = {task for _, task in self._chain}
        self._under.pages_ahead -= len(tasks)
        self._chain.clear()
        self._newest = None
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            with suppress(SyncdError, asyncio.CancelledError):  # what it raised was said where it matters
                task.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for asked in self._chain:
                asked[1].cancel()
        await self._forget()
