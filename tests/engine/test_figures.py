"""What polls cost, counted: requests, bytes, rows, statements and transactions; never time."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World
from syncd.store.read import read_status, reading

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
AN_ENTRY = 700  # bytes: more than any conversation of these worlds takes in a list


@contextmanager
def traced(rig: Rig) -> Iterator[list[str]]:
    """Every statement that the writer runs meanwhile: again for each step of a trigger, not for FTS5's own tables."""
    connection = rig.store._writer.connection
    statements: list[str] = []
    connection.set_trace_callback(lambda sql: None if sql.startswith("-- ") else statements.append(sql))
    yield statements
    connection.set_trace_callback(None)


async def settle(rig: Rig) -> None:
    """Poll until everything is known; the server's feed is read a page a poll."""
    for _ in range(13):
        await rig.poll()


class TestUnchanged:
    """An inbox in which nothing happens."""

    @pytest.fixture(params=[50, 500, pytest.param(5000, marks=pytest.mark.whole)])
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
        await settle(rig)
        numbers = {table: rig.scalar(f"SELECT MAX(change_id) FROM {table}") for table in TABLES}  # noqa: S608 - names above
        outcome = await rig.poll()
        assert len(rig.sim.requests) <= 3
        assert outcome.cost.requests == len(rig.sim.requests)
        assert outcome.cost.rows == 0
        assert numbers == {table: rig.scalar(f"SELECT MAX(change_id) FROM {table}") for table in TABLES}  # noqa: S608 - names above
        assert not outcome.busy

    async def test_costs_the_same_at_every_size(self, rig: Rig) -> None:
        """It moves two lists of at most 100 entries, changes six rows of the account's own, and asks 100 statements."""
        await settle(rig)
        changes = rig.store._writer.connection.total_changes
        with traced(rig) as statements:
            outcome = await rig.poll()
        assert 0 < outcome.cost.bytes <= 2 * 100 * AN_ENTRY
        assert rig.store._writer.connection.total_changes - changes <= 6
        assert 0 < len(statements) <= 100
        assert sum(statement == "COMMIT" for statement in statements) <= 6

    async def test_is_told_by_status(self, rig: Rig) -> None:
        """`syncd status` has the last poll's requests, bytes, rows and CPU milliseconds."""
        await settle(rig)
        outcome = await rig.poll()
        with reading(rig.path) as database:
            (account,) = read_status(database)
        told = {name: account["poll"].get(name, 0) for name in ("requests", "bytes", "rows", "cpu_ms")}
        cost = outcome.cost
        assert told == {"requests": 3, "bytes": cost.bytes, "rows": 0, "cpu_ms": cost.cpu_ms}


class TestStoring:
    """What is asked of the database for what is stored."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """A small inbox with everything in it."""
        return World.generate(1, conversations=50, messages=5_000, clock=clock)

    async def test_first_pass_costs_statements(self, rig: Rig) -> None:
        """A message costs one statement, which is the search's own, an answer at most ten."""
        with traced(rig) as statements:
            await rig.poll()
        messages, answers = rig.scalar("SELECT COUNT(*) FROM messages"), len(rig.sim.requests)
        assert messages == 5_000
        assert len(statements) <= messages + 10 * answers
        assert sum(statement == "COMMIT" for statement in statements) <= answers

    async def test_a_new_message_costs_as_much_whatever_is_held(self, rig: Rig) -> None:
        """One message in the longest thread: four requests, one row each for it, its conversation and three events."""
        await settle(rig)
        rig.sim.world.burst(rig.sim.world.longest(), 1)
        with traced(rig) as statements:
            outcome = await rig.poll()
        assert outcome.cost.requests <= 4
        assert outcome.cost.rows <= 5
        assert len(statements) <= 200


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
