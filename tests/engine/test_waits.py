"""429: while told to wait, the account sends nothing at all; the wait is stored, and outlives the process."""

from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """Enough threads to keep every slot busy."""
    return settled_world(clock, [110] * 12)


def watch(rig: Rig) -> list[tuple[float, str]]:
    """The steered time of each request, as it arrives."""
    arrivals: list[tuple[float, str]] = []
    rig.sim.on_request = lambda record: arrivals.append((rig.clock.monotonic(), record.path))
    return arrivals


FORMS: list[tuple[Any, str, float]] = [
    (20, "details", 20),
    (20.5, "details", 20.5),
    ("20", "details", 20),
    (20, "header", 20),
    (0, "nowhere", 30),
]


@pytest.mark.parametrize(("given", "where", "seconds"), FORMS)
@pytest.mark.parametrize("skip", [0, 1, 9])
async def test_nothing_is_sent_meanwhile(rig: Rig, given: Any, where: str, seconds: float, skip: int) -> None:
    """A wait of up to a minute is sat out by every worker; then the pass goes on and ends whole, its state kept."""
    arrivals = watch(rig)
    rig.sim.faults.rate_limit(given, where, skip=skip)
    started = rig.clock.monotonic() + 15
    outcome = await rig.poll()
    assert outcome.trouble is None
    assert rig.differences() == []
    assert not [at for at, _ in arrivals if started < at < started + seconds]
    assert len([at for at, _ in arrivals if at >= started + seconds]) > 0
    assert rig.account()["retry_at"] is None
    assert rig.events("account.degraded") == []


async def test_first_goes_alone(rig: Rig) -> None:
    """After a wait one request goes ahead; another 429 costs one more request, not one for each worker."""
    rig.sim.faults.rate_limit(10, skip=6, times=4)
    outcome = await rig.poll()
    assert outcome.trouble is None
    assert rig.sim.requests.count(status=429) == 4
    assert rig.clock.slept == [pytest.approx(10)] * 4 or sum(rig.clock.slept) >= 10


async def test_long_wait_ends_the_pass(rig: Rig) -> None:
    """A wait of more than a minute ends the pass at once, and is kept after a restart until it is over."""
    await rig.poll()
    rig.sim.faults.rate_limit(3600)
    outcome = await rig.poll()
    assert outcome.account_state.state == "rate_limited"
    assert len(rig.sim.requests) == 1
    until = rig.account()["retry_at"]
    assert rig.account()["state"] == "rate_limited"
    assert until == outcome.account_state.retry_at
    await rig.restart()
    outcome = await rig.poll(after=3500)
    assert (outcome.account_state.state, len(rig.sim.requests)) == ("rate_limited", 0)
    assert abs(float(rig.scalar("SELECT (julianday(retry_at) - julianday(?)) * 86400 FROM accounts", until))) < 1
    outcome = await rig.poll(after=120)
    assert outcome.account_state.state == "ok"
    assert rig.account()["retry_at"] is None
    assert [e["kind"] for e in rig.events()] == ["account.degraded", "account.recovered"]


async def test_short_wait_survives_a_restart(rig: Rig) -> None:
    """A wait that a process was told, and died in, is sat out by the next one."""
    await rig.poll()
    rig.sim.faults.rate_limit(50, times=None)
    await rig.poll()
    rig.sim.faults.clear()
    until = rig.account()["retry_at"]
    await rig.restart()
    arrivals = watch(rig)
    started = rig.clock.now()
    await rig.poll(after=1)
    assert rig.account()["state"] == "ok"
    assert started < until <= rig.clock.now()
    assert min(at for at, _ in arrivals) >= rig.clock.monotonic() - 0.001


async def test_server_that_never_stops(rig: Rig) -> None:
    """429 after 429 ends the pass as rate_limited after a few tries."""
    rig.sim.faults.rate_limit(2, times=None)
    outcome = await rig.poll()
    assert outcome.account_state.state == "rate_limited"
    assert len(rig.sim.requests) <= 8


async def test_limit_of_the_server(rig: Rig) -> None:
    """A server that allows few requests a window gives a whole first pass, only later."""
    rig.sim.quirks.read_limit, rig.sim.quirks.read_window = 12, 20.0
    outcome = await rig.poll()
    assert outcome.trouble is None
    assert rig.differences() == []
