"""A message for later leaves a minute after it was queued, and can be taken back until then."""

import pytest

from syncd.core.times import after, seconds_between
from syncd.errors import UsageError
from writer import Writer

pytestmark = pytest.mark.anyio


async def test_it_leaves_a_minute_later(writer: Writer) -> None:
    """No poll sends it before its instant, which its sender is told; the first one at it or after does."""
    answer = await writer.send("Later.", later=True)
    assert seconds_between(writer.clock.now(), answer["leaves_at"]) == 60
    for _ in range(3):
        await writer.poll(after=15)
        assert writer.states() == ["queued"]
    writer.clock.advance(15)
    await writer.poll(after=0)
    assert writer.states() == ["sent"]
    assert writer.arrived() == {"Later.": 1}


async def test_it_is_taken_back_until_then(writer: Writer) -> None:
    """A cancelled one never leaves; sent again after all, it leaves at once."""
    first = await writer.send("Never.", later=True)
    await writer.poll(after=30)
    assert (await writer.ask("outbox_cancel", id=first["id"]))["state"] == "cancelled"
    await writer.poll(after=60)
    assert writer.posts() == 0
    assert (await writer.ask("outbox_retry", id=first["id"]))["state"] == "sent"
    with pytest.raises(UsageError, match="sent"):
        await writer.ask("outbox_cancel", id=first["id"])


async def test_it_holds_nobody_up(writer: Writer) -> None:
    """What is sent at once, meanwhile, leaves at once, and takes the other one along no sooner."""
    await writer.send("Later.", later=True)
    assert (await writer.send("Now."))["state"] == "sent"
    assert writer.states() == ["queued", "sent"]
    assert writer.arrived() == {"Now.": 1}
    await writer.poll(after=60)
    assert list(writer.arrived()) == ["Now.", "Later."]


async def test_its_instant_outlives_the_process(writer: Writer) -> None:
    """Another process on the same database waits for the same instant."""
    await writer.send("Later.", later=True)
    await writer.restart()
    await writer.poll(after=30)
    assert writer.states() == ["queued"]
    await writer.poll(after=30)
    assert writer.states() == ["sent"]


async def test_a_clock_that_was_ahead_holds_nothing_back(writer: Writer) -> None:
    """An instant further away than it can be was written by a clock that went wrong: nobody knows how late it is."""
    writer.clock.advance(400 * 86_400)
    answer = await writer.send("Later.", later=True)
    assert answer["leaves_at"] == after(writer.clock.now(), 60)
    writer.clock.advance(-400 * 86_400)
    await writer.restart()
    await writer.poll(after=0)
    assert (writer.states(), writer.arrived()) == (["expired"], {})
    assert (await writer.ask("outbox_retry", id=answer["id"]))["state"] == "sent"


async def test_it_still_expires(writer: Writer) -> None:
    """A message for later that could not leave within its hour is not sent late."""
    answer = await writer.send("Lunch?", later=True)
    writer.sim.pause()
    await writer.poll(after=90)
    assert writer.states() == ["queued"]
    writer.sim.resume()
    await writer.poll(after=seconds_between(writer.clock.now(), answer["expires_at"]) + 1)
    assert writer.states() == ["expired"]
