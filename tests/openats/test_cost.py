"""What a round costs: one conditional request for a chat that is due, and a body only for what has changed."""

import time
from itertools import pairwise

import pytest
from msgspec.structs import replace

from rig import SteeredClock
from syncd.core.model import Wanted
from syncd.simulator import Team
from team_rig import TeamRig

pytestmark = pytest.mark.anyio

CHATS = 1000


class TestManyQuietChats:
    """A thousand chats in which nobody says anything."""

    @pytest.fixture
    def team(self, clock: SteeredClock) -> Team:
        """One message in each of a thousand job chats, a day old."""
        team = Team(clock, seed=5)
        for _ in range(CHATS):
            team.say("job", team.new_job(), "hello")
        clock.advance(86_400)
        return team

    async def test_a_round_costs_one_304_a_chat(self, rig: TeamRig) -> None:
        """A round asks once for each chat that is due, gets bodies for the changed ones alone, and takes under 3 s."""
        rig.wanted = Wanted(candidates=frozenset())
        await rig.restart()
        await rig.poll()
        rig.team.say("job", 7, "news")
        started = time.monotonic()
        outcome = await rig.poll(after=61)
        took = time.monotonic() - started
        assert rig.sim.requests.count(path="/chat/") == CHATS == len(rig.sim.requests)
        assert [r.path for r in rig.sim.requests.select(path="/chat/", status=200)] == ["/api/chat/job/7"]
        assert outcome.cost.rows == 3  # the message, its chat, the event
        assert took < 3 * 4  # the figure is 3 s; a busy machine gets a margin
        await rig.poll(after=15)
        assert [r.path for r in rig.sim.requests.select(path="/chat/")] == ["/api/chat/job/7"]


async def test_a_restart_does_not_burst(rig: TeamRig) -> None:
    """What was looked at a moment ago is not asked for again after a restart."""
    await rig.poll()
    await rig.restart()
    await rig.poll(after=15)
    assert len(rig.sim.requests) == 0


async def test_a_quiet_chat_is_asked_ever_more_slowly(rig: TeamRig) -> None:
    """After its last word a chat is looked at at poll_seconds, then ever later, up to idle_seconds."""
    await rig.poll()
    rig.team.say("job", 1, "the last word")
    asked = []
    for second in range(400):
        await rig.poll(after=1)
        asked += [second] * rig.sim.requests.count(path="/chat/job/1$")
    gaps = [later - earlier for earlier, later in pairwise(asked[1:])]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (19, 60)


class TestALongChat:
    """A chat of ten thousand messages."""

    @pytest.fixture
    def team(self, clock: SteeredClock) -> Team:
        """Ten thousand messages in one job's chat."""
        team = Team(clock, seed=5)
        job = team.new_job()
        for n in range(10_000):
            team.say("job", job, f"message {n}")
        clock.advance(86_400)
        return team

    async def test_unchanged_it_costs_no_body(self, rig: TeamRig) -> None:
        """An unchanged chat is one 304: not a byte of it comes, and no row is written."""
        await rig.poll()
        assert rig.scalar("SELECT COUNT(*) FROM messages") == 10_000
        outcome = await rig.poll(after=61)
        assert rig.sim.requests.count(path="/chat/", status=304) == 1
        assert (outcome.cost.bytes, outcome.cost.rows) == (0, 0)

    async def test_one_more_message_writes_one_more_row(self, rig: TeamRig) -> None:
        """The whole chat comes again for one new message, and only that is written."""
        await rig.poll()
        rig.team.say("job", 1, "one more")
        outcome = await rig.poll(after=61)
        assert (outcome.cost.rows, rig.differences()) == (3, [])


async def test_reconcile_believes_no_etag(rig: TeamRig) -> None:
    """A reconcile asks for every chat whole, and finds what a lying ETag hid."""
    await rig.poll()
    rig.sim.faults.body(b"", status=304, path="/chat/job/1$", times=None)
    rig.team.say("job", 1, "hidden")
    await rig.poll(after=60)
    assert rig.new_events() == []
    rig.sim.faults.clear()
    rig.policy = replace(rig.policy, reconcile_seconds=3600)
    await rig.restart()
    await rig.poll(after=3600)
    assert rig.sim.requests.count(path="/chat/", status=200) == 4
    assert rig.differences() == []
    assert rig.rows("SELECT kind FROM sync_runs") == [{"kind": "first_pass"}, {"kind": "reconcile"}]
