"""Every source under contract in turn, with its mirror."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contract_servers import ChatServer, PagedServer, Server
from rig import SteeredClock


@pytest.fixture
def clock() -> SteeredClock:
    """The time of the server and of the mirror."""
    return SteeredClock()


@pytest.fixture(params=[PagedServer, ChatServer], ids=["opentrain", "openats"])
async def server(
    request: pytest.FixtureRequest, anyio_backend: str, clock: SteeredClock, tmp_path: Path
) -> AsyncIterator[Server]:
    """Each source in turn, with its mirror."""
    del anyio_backend
    made = request.param(clock)
    with made.sim:
        rig = made.mirrored(tmp_path / "syncd.db", clock)
        await rig.start()
        yield made
        await rig.stop()
