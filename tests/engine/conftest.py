"""A simulator, a database and a mirror on one steered clock."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rig import Rig, SteeredClock
from syncd.simulator import Simulator, World


@pytest.fixture
def clock() -> SteeredClock:
    """The time of the server and of the mirror."""
    return SteeredClock()


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """An empty inbox; a test that wants another overrides this."""
    return World(clock, seed=5)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """The server of that world."""
    with Simulator(world) as running:
        yield running


@pytest.fixture
async def rig(anyio_backend: str, sim: Simulator, clock: SteeredClock, tmp_path: Path) -> AsyncIterator[Rig]:
    """The mirror of that server."""
    del anyio_backend
    mirrored = Rig(sim, tmp_path / "syncd.db", clock)
    await mirrored.start()
    yield mirrored
    await mirrored.stop()
