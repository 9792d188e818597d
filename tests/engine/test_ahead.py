"""The page behind a full one is asked for while that is being stored."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World
from syncd.simulator.faults import Exchange

pytestmark = pytest.mark.anyio


PAGES, AHEAD = 12, 8


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """One thread of twelve pages."""
    return settled_world(clock, (PAGES * 100 - 50,))


@contextmanager
def locked_while_pages_come(rig: Rig, **match: Any) -> Iterator[sqlite3.Connection]:
    """A connection that locks the database the moment that the first fitting request is answered."""
    with closing(sqlite3.connect(rig.path, isolation_level=None, check_same_thread=False)) as other:

        async def lock(exchange: Exchange) -> None:
            other.execute("BEGIN IMMEDIATE")
            await exchange.deliver(await exchange.ask())

        rig.sim.faults.add("lock", lock, **match)
        yield other


async def test_pages_are_fetched_while_the_one_before_them_is_stored(rig: Rig, world: World) -> None:
    """With the newest page alone stored, eight pages behind the first are asked for all the same, and then no more."""
    asked = partial(rig.sim.requests.count, conversation=world.longest())
    with locked_while_pages_come(rig, conversation=world.longest(), direction="newer") as other:
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.poll())
            await asyncio.to_thread(partial(rig.sim.requests.wait_for, 2 + AHEAD, conversation=world.longest()))
            await pause(rig)
            ahead = asked(), rig.scalar("SELECT count(*) FROM messages")
            other.execute("COMMIT")
    assert (ahead, asked(), rig.differences()) == ((2 + AHEAD, 100), PAGES, [])


class TestManyThreads:
    """What is fetched ahead is held in memory, so there is a bound for all threads together."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """Six threads of twelve pages."""
        return settled_world(clock, (PAGES * 100 - 50,) * 6)

    async def test_share_the_room(self, rig: Rig, world: World) -> None:
        """With two requests in flight each is one page ahead of what is stored; only four may be before the others."""
        rig.change(concurrency=2)
        threads = list(world.conversations)

        def outstanding() -> int:
            """How many pages were asked for and are not stored."""
            asked = sum(rig.sim.requests.count(conversation=id_) for id_ in threads)
            return asked - int(rig.scalar("SELECT count(*) FROM messages")) // 100

        # once the sixth thread is walked forwards, every thread is
        with locked_while_pages_come(rig, direction="newer", has_cursor=False, skip=5) as other:
            async with asyncio.TaskGroup() as group:
                group.create_task(rig.poll())
                await asyncio.to_thread(partial(rig.sim.requests.wait_for, 6, direction="newer", has_cursor=False))
                while outstanding() < 2 * 6:
                    await pause(rig)
                await pause(rig)
                most = outstanding()
                other.execute("COMMIT")
        assert most <= 2 * 6 + 4
        assert rig.differences() == []


async def pause(rig: Rig) -> None:
    """Time for more requests, if any are to come: to fail later, never to pass sooner."""
    for _ in range(30):
        await asyncio.to_thread(rig.scalar, "SELECT count(*) FROM messages")


async def test_one_request_at_a_time_asks_nothing_ahead(rig: Rig, world: World) -> None:
    """With one request at a time the next page waits until the one before it is on disk."""
    rig.change(concurrency=1)
    before: list[int] = []

    async def look(exchange: Exchange) -> None:
        before.append(await asyncio.to_thread(rig.scalar, "SELECT count(*) FROM messages"))
        await exchange.deliver(await exchange.ask())

    rig.sim.faults.add("look", look, times=None, conversation=world.longest())
    await rig.poll()
    assert (before, rig.differences()) == ([100 * page for page in range(PAGES)], [])
