"""What polls cost, counted."""

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio

TABLES = [
    "conversations",
    "messages",
    "message_revisions",
    "jobs",
    "candidates",
    "proposals",
    "interviews",
    "failures",
    "events",
]


class TestUnchanged:
    """An inbox in which nothing happens."""

    @pytest.fixture(params=[50, 5000])
    def world(self, request: pytest.FixtureRequest, clock: SteeredClock) -> World:
        """So many conversations, up to a hundred of them unread."""
        world = World(clock, seed=3)
        job = world.new_job()
        rooms = [world.new_conversation(kind="job", job_id=job) for _ in range(request.param)]
        for id_ in rooms[:100]:
            world.add_message(id_, "unread")
        clock.advance(86_400)
        return world

    async def test_costs_three_requests(self, rig: Rig) -> None:
        """An unchanged inbox costs at most 3 requests a poll, and writes no row but the account's own."""
        await rig.poll()
        for _ in range(12):  # the server's feed is read a page a poll
            await rig.poll()
        numbers = {table: rig.scalar(f"SELECT MAX(change_id) FROM {table}") for table in TABLES}  # noqa: S608 - names above
        outcome = await rig.poll()
        assert len(rig.sim.requests) <= 3
        assert outcome.cost.requests == len(rig.sim.requests)
        assert outcome.cost.rows == 0
        assert numbers == {table: rig.scalar(f"SELECT MAX(change_id) FROM {table}") for table in TABLES}  # noqa: S608 - names above
        assert not outcome.busy


class TestTail:
    """New messages in long threads."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """Threads of several pages."""
        return settled_world(clock, (350, 220, 40, 3))

    @pytest.mark.parametrize("count", [1, 100, 250])
    async def test_burst_costs_its_tail(self, rig: Rig, count: int) -> None:
        """A burst in one conversation costs its own pages and one more, whatever the thread's length."""
        await rig.poll()
        rig.sim.world.burst(rig.sim.world.longest(), count)
        await rig.poll()
        assert rig.sim.requests.count(path="^/messages", listing=False) <= 1 + -(-count // 100)
        assert rig.differences() == []

    async def test_touch_without_reason(self, rig: Rig) -> None:
        """An `updatedAt` that moves for no reason costs one walk to the start, once."""
        await rig.poll()
        rig.sim.world.touch(rig.sim.world.longest())
        await rig.quiet()
        await rig.poll()
        assert len(rig.sim.requests) <= 3
        assert rig.events() == []
