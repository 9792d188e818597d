"""A mirrored inbox, and somebody who writes in it; the server and the mirror share one steered clock."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rig import Rig, SteeredClock
from syncd.simulator import Simulator, World
from writer import Writer


@pytest.fixture
def clock() -> SteeredClock:
    """The time of the server and of the mirror."""
    return SteeredClock()


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """One conversation in which somebody has asked something."""
    world = World(clock, seed=7)
    world.add_message(world.new_conversation(), "Are you there?")
    return world


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """The server of that world."""
    with Simulator(world) as running:
        yield running


@pytest.fixture
async def writer(anyio_backend: str, sim: Simulator, clock: SteeredClock, tmp_path: Path) -> AsyncIterator[Writer]:
    """Somebody who writes, once the inbox is mirrored."""
    del anyio_backend
    rig = Rig(sim, tmp_path / "syncd.db", clock)
    await rig.start()
    await rig.quiet()
    clock.advance(10)
    yield Writer(rig, next(iter(sim.world.conversations)))
    await rig.stop()
