"""OpenATS when the mirror's clock was 400 days ahead, and is right again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rig import SteeredClock
from story import DAY, LocalClock
from syncd.simulator import Simulator
from team_rig import TeamRig

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(anyio_backend: str, sim: Simulator, clock: SteeredClock, tmp_path: Path) -> AsyncIterator[TeamRig]:
    """A mirror whose first pass was made by a clock that is 400 days ahead."""
    del anyio_backend
    local = LocalClock(clock)
    local.skew = 400 * DAY
    mirrored = TeamRig(sim, tmp_path / "syncd.db", local)
    await mirrored.start()
    await mirrored.poll()
    yield mirrored
    await mirrored.stop()


def set_right(rig: TeamRig) -> None:
    """Set the clock right."""
    assert isinstance(rig.clock, LocalClock)
    rig.clock.skew = 0.0


async def test_every_chat_and_list_is_looked_at(rig: TeamRig) -> None:
    """Messages, jobs and candidates that came since are mirrored as ever."""
    set_right(rig)
    rig.team.say("job", 1, "news")
    rig.team.new_candidate(rig.team.new_job("Another"), "Bea")
    await rig.poll(after=61)
    await rig.poll(after=61)
    assert rig.differences() == []


async def test_a_failed_chat_is_tried_again(rig: TeamRig) -> None:
    """A chat that failed is tried within its longest backoff."""
    rig.team.say("job", 1, "news")
    rig.sim.faults.status(500, path="/chat/job/1$", times=None)
    await rig.poll(after=61)
    assert ("conversation", "job:1") in rig.failures()
    rig.sim.faults.clear()
    set_right(rig)
    await rig.poll(after=61)
    assert (rig.failures(), rig.differences()) == ({}, [])


async def test_a_large_loss_is_looked_at_twice(rig: TeamRig) -> None:
    """A loss that was seen by the wrong clock is believed once a second look, ten minutes later, agrees."""
    for kind, found in rig.team.subjects.items():
        for id_ in found:
            for number in list(rig.team.chat(kind, id_).messages)[1:]:
                rig.team.hide(kind, id_, number)
    await rig.poll(after=61)
    assert rig.events("message.deleted") == []
    set_right(rig)
    for _ in range(5):
        await rig.poll(after=601)
    assert rig.differences() == []
    assert len(rig.events("message.deleted")) > 20
