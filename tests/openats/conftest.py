"""An OpenATS server, a database and a mirror on one steered clock."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from rig import SteeredClock
from syncd.simulator import Simulator, Team, World
from team_rig import TeamRig


@pytest.fixture
def clock() -> SteeredClock:
    """The time of the server and of the mirror."""
    return SteeredClock()


@pytest.fixture
def team(clock: SteeredClock) -> Team:
    """Two jobs with a candidate each, and ten messages a day old in every chat."""
    team = Team(clock, seed=5)
    for title in ("Backend engineer", "Designer"):
        team.new_candidate(team.new_job(title), "Ada", "Lovelace")
    for n in range(10):
        for kind, found in team.subjects.items():
            for id_ in found:
                team.say(kind, id_, f"message {n}", sender=None if n % 3 == 0 else 2)
        clock.advance(60)
    clock.advance(86_400)
    return team


@pytest.fixture
def sim(team: Team, clock: SteeredClock) -> Iterator[Simulator]:
    """The server of that team."""
    with Simulator(World(clock), team=team) as running:
        yield running


@pytest.fixture
async def rig(anyio_backend: str, sim: Simulator, clock: SteeredClock, tmp_path: Path) -> AsyncIterator[TeamRig]:
    """The mirror of that server."""
    del anyio_backend
    mirrored = TeamRig(sim, tmp_path / "syncd.db", clock)
    await mirrored.start()
    yield mirrored
    await mirrored.stop()
