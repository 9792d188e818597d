"""The outbox when the mirror's clock was 400 days ahead, and is right again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rig import Rig, SteeredClock
from story import DAY, LocalClock
from syncd.simulator import Simulator
from writer import Writer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def writer(anyio_backend: str, sim: Simulator, clock: SteeredClock, tmp_path: Path) -> AsyncIterator[Writer]:
    """Somebody who writes by a clock that is 400 days ahead."""
    del anyio_backend
    local = LocalClock(clock)
    rig = Rig(sim, tmp_path / "syncd.db", local)
    await rig.start()
    await rig.quiet()
    local.skew = 400 * DAY
    yield Writer(rig, next(iter(sim.world.conversations)))
    await rig.stop()


def set_right(writer: Writer) -> None:
    """Set the clock right."""
    assert isinstance(writer.clock, LocalClock)
    writer.clock.skew = 0.0


@pytest.mark.parametrize("hours", [2.0, 30.0])
async def test_a_queued_message_expires(writer: Writer, hours: float) -> None:
    """A message that was queued by the wrong clock does not leave late: it is expired, and its text kept."""
    await writer.send("Lunch?", later=True)
    set_right(writer)
    await writer.poll(after=hours * 3600)
    assert (writer.states(), writer.arrived()) == (["expired"], {})
    assert (await writer.ask("outbox_retry", id=1))["state"] == "sent"


async def test_a_lost_reply_is_settled(writer: Writer) -> None:
    """A message whose reply was lost does not stay `sending` for 400 days, and is sent once."""
    writer.sim.faults.lose_reply(method="POST")
    writer.sim.faults.status(500, method="GET", conversation=writer.conversation_id, times=None)
    await writer.send("Lunch?")
    assert writer.states() == ["sending"]
    writer.sim.faults.clear()
    set_right(writer)
    for _ in range(4):
        await writer.poll(after=70)
    assert writer.states() in (["sent"], ["unconfirmed"])
    assert writer.arrived() == {"Lunch?": 1}


async def test_a_wait_holds_no_message_back_for_longer(writer: Writer) -> None:
    """A 429 of 90 s that a message met keeps the next one back for 90 s from when the clock is right."""
    writer.sim.faults.rate_limit(90, method="POST")
    await writer.send("one")
    set_right(writer)
    assert (await writer.send("two"))["state"] == "queued"
    writer.clock.advance(91)
    assert (await writer.send("three"))["state"] == "sent"
    assert writer.arrived() == {"two": 1, "three": 1}
    assert writer.states() == ["expired", "sent", "sent"]
