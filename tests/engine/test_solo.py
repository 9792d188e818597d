import asyncio

import pytest

from syncd.engine.requests import ExclusiveAccess

pytestmark = pytest.mark.anyio


async def test_one_that_gives_up_waiting_to_be_alone_holds_nobody_up() -> None:
    """A walk cancelled while it waits for the others to finish leaves the way free for them."""
    solo, under_way, may_end = ExclusiveAccess(), asyncio.Event(), asyncio.Event()

    async def ask() -> None:
        async with solo.beside_others():
            under_way.set()
            await may_end.wait()

    async def walk_alone() -> None:
        async with solo.alone():
            raise AssertionError("another request is under way")

    first = asyncio.create_task(ask())
    await under_way.wait()
    walk = asyncio.create_task(walk_alone())
    await asyncio.sleep(0)  # it has begun to wait
    second = asyncio.create_task(ask())
    await asyncio.sleep(0)
    walk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await walk
    may_end.set()
    async with asyncio.timeout(5):
        await asyncio.gather(first, second)
