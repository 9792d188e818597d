"""The page behind a full one is asked for while that is being stored."""

import asyncio
import sqlite3
from contextlib import closing
from functools import partial

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World
from syncd.simulator.exchange import Exchange

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """One thread of four pages."""
    return settled_world(clock, (350,))


async def test_a_page_is_fetched_while_the_one_before_it_is_stored(rig: Rig, world: World) -> None:
    """With the database locked the moment that the first page is answered, the second is asked for all the same."""
    with closing(sqlite3.connect(rig.path, isolation_level=None, check_same_thread=False)) as other:

        async def lock(exchange: Exchange) -> None:
            other.execute("BEGIN IMMEDIATE")
            await exchange.deliver(await exchange.ask())

        rig.sim.faults.add("lock", lock, conversation=world.longest())
        polling = asyncio.create_task(rig.poll())
        await asyncio.to_thread(partial(rig.sim.requests.wait_for, 2, conversation=world.longest()))
        stored = other.execute("SELECT count(*) FROM messages").fetchone()[0]
        other.execute("COMMIT")
        await polling
    assert (stored, rig.differences()) == (0, [])
    assert rig.sim.requests.count(conversation=world.longest()) == 4


async def test_one_request_at_a_time_asks_nothing_ahead(rig: Rig, world: World) -> None:
    """With one request at a time the next page waits until the one before it is on disk."""
    rig.change(concurrency=1)
    before: list[int] = []

    async def look(exchange: Exchange) -> None:
        before.append(await asyncio.to_thread(rig.scalar, "SELECT count(*) FROM messages"))
        await exchange.deliver(await exchange.ask())

    rig.sim.faults.add("look", look, times=None, conversation=world.longest())
    await rig.poll()
    assert (before, rig.differences()) == ([0, 100, 200, 300], [])
