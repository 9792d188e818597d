"""A machine of its own for each test, and a server beside it."""

from collections.abc import Iterator

import pytest

from homes import Home
from syncd.simulator import Simulator, World


@pytest.fixture
def world() -> World:
    """A small inbox with a history."""
    return World.generate(3, conversations=12, messages=150)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """Its server."""
    with Simulator(world) as running:
        yield running


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, sim: Simulator) -> Iterator[Home]:
    """A home whose environment names the server, as the official tool's would; its path is short."""
    path = tmp_path_factory.mktemp("h") / "home"  # a socket's address has 107 bytes
    path.mkdir()
    found = Home(path)
    found.environ |= {"OT_API_BASE_URL": sim.url, "OT_API_TOKEN": sim.token}
    yield found
    found.close()
    found.check_silence(sim.world)
