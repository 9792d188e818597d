"""Who is next when more is asked than may be in flight."""

import asyncio
from contextlib import suppress

from syncd.sources.http import Turns


class Queue:
    """Tasks that wait for a place, and the order in which they got one."""

    def __init__(self, size: int) -> None:
        self.places = Turns(size)
        self.served: list[str] = []
        self.leave = asyncio.Event()

    async def ask(self, name: str, urgency: int) -> None:
        """Take a place and keep it until all may leave."""
        async with self.places.take(urgency):
            self.served.append(name)
            await self.leave.wait()


async def _started(*waiting: asyncio.Task[None]) -> None:
    """Every task has come as far as it can."""
    for _ in range(3 * len(waiting)):
        await asyncio.sleep(0)


def test_the_most_urgent_is_next() -> None:
    """Who waits is served by urgency, and among equals in the order of coming."""

    async def story() -> list[str]:
        queue = Queue(1)
        wishes = (("first", 2), ("late", 2), ("later", 2), ("soon", 1), ("now", 0))
        tasks = [asyncio.create_task(queue.ask(*wish)) for wish in wishes]
        await _started(*tasks)
        assert queue.served == ["first"]
        queue.leave.set()
        await asyncio.gather(*tasks)
        return queue.served

    assert asyncio.run(story()) == ["first", "now", "soon", "late", "later"]


def test_no_more_than_there_are_places() -> None:
    """As many as there are places are served at once."""

    async def story() -> int:
        queue = Queue(2)
        tasks = [asyncio.create_task(queue.ask(str(number), 0)) for number in range(5)]
        await _started(*tasks)
        served = len(queue.served)
        queue.leave.set()
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(story()) == 2


def test_a_place_is_not_lost_with_who_is_cancelled() -> None:
    """One that is cancelled while it waits, or just as its turn has come, leaves its place to the next."""

    async def story() -> list[str]:
        queue = Queue(1)
        queue.leave.set()
        async with queue.places.take(0):
            tasks = {name: asyncio.create_task(queue.ask(name, 0)) for name in ("waits", "is given", "is next")}
            await _started(*tasks.values())
            tasks["waits"].cancel()
            await _started(tasks["waits"])
        tasks["is given"].cancel()  # the place is its own, and it has not run since
        for name in ("waits", "is given"):
            with suppress(asyncio.CancelledError):
                await tasks[name]
        async with asyncio.timeout(5):
            await tasks["is next"]
        return queue.served

    assert asyncio.run(story()) == ["is next"]
