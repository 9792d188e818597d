"""The first pass: everything, identical, at hardly more than the least possible number of requests."""

import asyncio
from functools import partial
from math import ceil

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World
from syncd.simulator.faults import Exchange

LIMIT = 100


class TestWhole:
    """The figure: 200 conversations, 20,000 messages."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """The inbox of the figure."""
        return World.generate(1, conversations=200, messages=20_000, clock=clock)

    @pytest.mark.anyio
    async def test_is_identical_and_cheap(self, rig: Rig) -> None:
        """The first pass is identical to the server field by field, within 1.25 times the least number of requests."""
        outcome = await rig.poll()
        assert outcome.trouble is None
        assert rig.differences() == []
        assert len(rig.sim.requests) <= 1.25 * least_requests(rig.sim.world)
        assert rig.account()["state"] == "ok"


class TestTheListsSecondWalk:
    """What moved while the list was walked is met by walking it again."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """Three threads of a page."""
        return settled_world(clock, (5, 5, 5))

    @pytest.mark.anyio
    async def test_does_not_wait_for_the_last_page(self, rig: Rig) -> None:
        """A page that comes only when the list was walked again holds nothing up."""
        waited: list[int] = []

        async def hold(exchange: Exchange) -> None:
            waited.append(len(await asyncio.to_thread(partial(rig.sim.requests.wait_for, 2, listing=True))))
            await exchange.deliver(await exchange.ask())

        rig.sim.faults.add("hold", hold, path="^/messages", listing=False)
        outcome = await rig.poll()
        assert (waited, outcome.trouble, rig.differences()) == ([2], None, [])


class TestAnEditMeanwhile:
    """An entry of the list says nothing of pages that were fetched before it."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """A thread of three pages, and a short one."""
        return settled_world(clock, (250, 5))

    @pytest.mark.anyio
    async def test_of_what_was_fetched_is_found(self, rig: Rig) -> None:
        """A message of the second page is edited, and the list walked again, before the last page comes."""
        thread = rig.sim.world.longest()

        async def edit(exchange: Exchange) -> None:
            await asyncio.to_thread(partial(rig.sim.requests.wait_for, 2, conversation=thread))
            rig.clock.advance(5)
            rig.sim.world.edit_message(thread, rig.sim.world.conversations[thread].messages[160].id, "Otherwise.")
            await exchange.deliver(await exchange.ask())

        async def hold(exchange: Exchange) -> None:
            await asyncio.to_thread(partial(rig.sim.requests.wait_for, 2, listing=True))
            await exchange.deliver(await exchange.ask())

        rig.sim.faults.add("edit", edit, listing=True, skip=1)
        rig.sim.faults.add("hold", hold, conversation=thread, skip=2)
        await rig.poll()
        assert rig.differences() == []
        assert rig.scalar("SELECT count(*) FROM message_revisions") == 1


def least_requests(world: World) -> int:
    """Who, the list's pages, each conversation's pages, each proposal and transcript once, the jobs' pages."""
    truth = world.truth()
    named = {c["proposalId"] for c in truth["conversations"].values() if c.get("proposalId")}
    pages = sum(ceil(len(messages) / LIMIT) for messages in truth["messages"].values())
    transcripts = sum(id_ in named for id_ in truth["interviews"])
    return 1 + ceil(len(truth["order"]) / LIMIT) + pages + len(named) + transcripts + ceil(len(truth["jobs"]) / LIMIT)
