"""A running simulator of a small world, and a client that speaks to it over a real socket."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from syncd.simulator import Simulator, World


class SteeredClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 6, 12, 9, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> SteeredClock:
    """The server's clock, steered by the test."""
    return SteeredClock()


@pytest.fixture
def sim(clock: SteeredClock) -> Iterator[Simulator]:
    """A simulator with forty conversations."""
    with Simulator(World.generate(7, conversations=40, messages=3_000, clock=clock)) as running:
        yield running


@pytest.fixture
def api(sim: Simulator) -> Iterator[httpx.Client]:
    """A client with the owner's token; paths follow the API's prefix."""
    headers = {"Authorization": f"Bearer {sim.token}"}
    # Nothing here is encrypted: an empty context spares each test the reading of all certificates.
    unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with httpx.Client(base_url=f"{sim.url}/api/public/v1", headers=headers, timeout=5, verify=unused) as client:
        yield client
