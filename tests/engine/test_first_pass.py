"""The first pass: everything, identical, at hardly more than the least possible number of requests."""

from math import ceil

import pytest

from rig import Rig, SteeredClock
from syncd.simulator import World

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


def least_requests(world: World) -> int:
    """Who, the list's pages, each conversation's pages, each proposal and transcript once, the jobs' pages."""
    truth = world.truth()
    named = {c["proposalId"] for c in truth["conversations"].values() if c.get("proposalId")}
    pages = sum(ceil(len(messages) / LIMIT) for messages in truth["messages"].values())
    transcripts = sum(id_ in named for id_ in truth["interviews"])
    return 1 + ceil(len(truth["order"]) / LIMIT) + pages + len(named) + transcripts + ceil(len(truth["jobs"]) / LIMIT)
