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
def locked_from_the_first_page_on(rig: Rig, **match: Any) -> Iterator[sqlite3.Connection]:
    """A connection that locks the database the moment that the first fitting request is answered."""
    with closing(sqlite3.connect(rig.path, isolation_level=None, check_same_thread=False)) as other:

        async def lock(exchange: Exchange) -> None:
            other.execute("BEGIN IMMEDIATE")
            await exchange.deliver(await exchange.ask())

        rig.sim.faults.add("lock", lock, **match)
        yield other


async def test_pages_are_fetched_while_the_one_before_them_is_stored(rig: Rig, world: World) -> None:
    """With nothing stored yet, eight pages behind the first are asked for all the same, and then no more."""
    asked = partial(rig.sim.requests.count, conversation=world.longest())
    with locked_from_the_first_page_on(rig, conversation=world.longest()) as other:
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.poll())
            await asyncio.to_thread(partial(rig.sim.requests.wait_for, 1 + AHEAD, conversation=world.longest()))
            await pause(rig)
            ahead = asked(), rig.scalar("SELECT count(*) FROM messages")
            other.execute("COMMIT")
    assert (ahead, asked(), rig.differences()) == ((1 + AHEAD, 0), PAGES, [])


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
        with locked_from_the_first_page_on(rig, direction="newer") as other:
            async with asyncio.TaskGroup() as group:
                group.create_task(rig.poll())
                for id_ in threads:
                    await asyncio.to_thread(partial(rig.sim.requests.wait_for, 2, conversation=id_))
                await pause(rig)
                asked = sum(rig.sim.requests.count(conversation=id_) for id_ in threads)
                other.execute("COMMIT")
        assert 2 * 6 <= asked <= 2 * 6 + 4
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
