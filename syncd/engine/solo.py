"""Requests beside one another, or those of one walk alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Solo:
    """Lets every request pass, until one walk wants to be alone: then only those of its own task do."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._owner: asyncio.Task[object] | None = None
        self._passing = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def beside_others(self) -> AsyncIterator[None]:
        """One request; it waits while another task is alone."""
        if self._owner not in (None, asyncio.current_task()):
            async with self._changed:
                await self._changed.wait_for(lambda: self._owner is None)
        self._passing += 1
        try:
            yield
        finally:
            self._passing -= 1
            if self._owner is not None:
                async with self._changed:
                    self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """As many requests as this task makes inside, with no other one under way."""
        async with self._turn:
            self._owner = asyncio.current_task()
            try:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._passing == 0)
                yield
            finally:
                self._owner = None
                async with self._changed:
                    self._changed.notify_all()
