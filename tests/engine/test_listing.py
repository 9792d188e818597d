"""A listing is complete only when its end was proved: odd pages are followed, endless ones end, the unproved shows."""

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio

UNPROVED = ("cursor_repeats", "pages_without_end")
MOST_REQUESTS = 30  # for one walk that leads nowhere, and what belongs to it


def leave(world: World, ids: list[str]) -> None:
    """Leave these conversations, so that a server that filters late has places in its list with nothing to show."""
    for id_ in ids:
        world.leave_conversation(id_)


def is_complete(rig: Rig) -> tuple[bool, bool]:
    """Whether the account says that it is complete, and that it was reconciled."""
    account = rig.account()
    return account["complete_since"] is not None, account["last_reconciled_at"] is not None


class TestConversationList:
    """The list of conversations."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """Four and a half pages of short threads."""
        return settled_world(clock, [1] * 450, kind="job")

    @pytest.mark.parametrize("style", ["keyset", "offset"])
    async def test_goes_on_behind_pages_that_show_nothing(self, rig: Rig, style: str) -> None:
        """Two pages without an entry, whose cursors lead on, hide nothing of what is behind them."""
        rig.sim.quirks.filters_late, rig.sim.quirks.list_cursor = True, style
        leave(rig.sim.world, rig.sim.world.truth()["order"][100:330])
        await rig.poll()
        assert (rig.differences(), rig.failures(), is_complete(rig)) == ([], {}, (True, True))

    async def test_begins_with_pages_that_show_nothing(self, rig: Rig) -> None:
        """The same where the list's first page is one of them, also in the polls after it."""
        rig.sim.quirks.filters_late = True
        leave(rig.sim.world, rig.sim.world.truth()["order"][:120])
        await rig.poll()
        rig.sim.world.add_message(rig.sim.world.truth()["order"][0], "news")
        await rig.poll()
        leave(rig.sim.world, rig.sim.world.truth()["order"][:1])
        await rig.quiet(full=True)
        assert (rig.differences(), rig.failures()) == ([], {})

    @pytest.mark.parametrize("fault", ["repeat_cursor", "cycle_cursor"])
    async def test_is_not_complete_where_its_cursors_lead_nowhere(self, rig: Rig, fault: str) -> None:
        """A list whose cursor repeats is a failure, and the account is not complete before it ends."""
        getattr(rig.sim.faults, fault)(listing=True, times=None)
        outcome = await rig.poll()
        assert outcome.account_state.state == "starting"
        assert rig.failures()["conversations", "all"]["reason"] in UNPROVED
        assert is_complete(rig) == (False, False)
        rig.sim.faults.clear()
        await rig.poll()
        assert (rig.differences(), rig.failures(), is_complete(rig)) == ([], {}, (True, True))
        assert rig.account()["state"] == "ok"

    @pytest.mark.parametrize("fault", ["repeat_cursor", "cycle_cursor"])
    async def test_is_not_reconciled_where_its_cursors_lead_nowhere(self, rig: Rig, fault: str) -> None:
        """A reconcile whose list has no end is not said to be one; it is tried again later, and then is."""
        await rig.poll()
        before = rig.account()["last_reconciled_at"]
        getattr(rig.sim.faults, fault)(listing=True, times=None)
        await rig.poll(full=True, after=3600)
        await rig.poll(after=15)
        assert rig.failures()["conversations", "all"]["tries"] == 1
        assert rig.account()["last_reconciled_at"] == before
        rig.sim.faults.clear()
        await rig.poll(after=15)
        assert rig.sim.requests.count(listing=True) <= 2
        await rig.quiet()
        await rig.poll(after=60)
        await rig.quiet()
        await rig.poll(after=200)
        assert rig.failures() == {}
        assert rig.account()["last_reconciled_at"] > before
        assert rig.differences() == []

    async def test_that_never_ends_costs_little(self, rig: Rig) -> None:
        """A list that answers the same page for ever, with a fresh cursor each time, is given up, and told of."""
        rig.sim.quirks.endless_lists = True
        for _ in range(3):
            await rig.poll()
            assert rig.sim.requests.count(listing=True) <= MOST_REQUESTS
        assert rig.failures()["conversations", "all"]["reason"] == "pages_without_end"
        assert is_complete(rig) == (False, False)
        rig.sim.quirks.endless_lists = False
        await rig.poll()
        assert (rig.differences(), rig.failures(), is_complete(rig)) == ([], {}, (True, True))

    async def test_that_breaks_off_above_the_mark_is_a_failure(self, rig: Rig) -> None:
        """An ordinary walk that can't come down to its mark says so, and is over as soon as one can."""
        await rig.poll()
        for id_ in rig.sim.world.truth()["order"]:
            rig.sim.world.touch(id_)
        rig.sim.faults.repeat_cursor(listing=True, times=None)
        await rig.poll()
        assert set(rig.failures()) == {("conversations", "all")}
        rig.sim.faults.clear()
        await rig.quiet()
        assert (rig.differences(), rig.failures()) == ([], {})


class TestThreads:
    """The messages of a conversation."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """A short thread, and one of twelve pages of which two runs were deleted: pages 3 and 4, and 7 to 9."""
        world = settled_world(clock, (5, 1200, 3))
        long = world.longest()
        messages = [message.id for message in world.conversations[long].messages]
        for id_ in (*messages[200:400], *messages[600:900]):
            world.delete_message(long, id_)
        return world

    @pytest.mark.parametrize("start", ["oldest", "newest"])
    async def test_go_on_behind_pages_that_show_nothing(self, rig: Rig, start: str) -> None:
        """Two runs of pages without a message in a thread's middle hide nothing, whichever way it is walked."""
        rig.sim.quirks.filters_late, rig.sim.quirks.newer_without_cursor = True, start
        await rig.poll()
        assert (rig.differences(), rig.failures()) == ([], {})
        await rig.poll(full=True)
        assert (rig.differences(), rig.failures(), rig.events()) == ([], {}, [])

    @pytest.mark.parametrize("start", ["oldest", "newest"])
    @pytest.mark.parametrize("cap", [1, 3, 40, 99])
    async def test_of_pages_shorter_than_asked_for_are_whole(
        self, rig: Rig, clock: SteeredClock, start: str, cap: int
    ) -> None:
        """A short page proves no end: where pages are cut, lists and threads are whole all the same."""
        world = rig.sim.world
        world.delete_conversation(world.longest())
        ids = [world.new_conversation() for _ in range(3)]
        for id_, count in zip(ids, (cap, cap + 1, 3 * cap + 2), strict=True):
            world.burst(id_, count)
        clock.advance(3600)
        rig.sim.quirks.page_cap, rig.sim.quirks.newer_without_cursor = cap, start
        await rig.poll()
        assert (rig.differences(), rig.failures()) == ([], {})
        for id_, count in zip(ids, (2 * cap + 1, 1, cap), strict=True):
            world.burst(id_, count)
        await rig.poll()
        assert (rig.differences(), rig.failures()) == ([], {})
        world.delete_message(ids[2], world.conversations[ids[2]].messages[1].id)
        world.edit_message(ids[1], world.conversations[ids[1]].messages[0].id, "edited", touch_updated=False)
        await rig.poll(full=True)
        assert (rig.differences(), rig.failures()) == ([], {})
        assert {e["kind"] for e in rig.new_events()} >= {"message.deleted", "message.edited"}

    async def test_whose_pages_all_are_empty_are_not_whole(self, rig: Rig) -> None:
        """Empty answers for a thread whose last message the list names prove nothing: a failure, until they come."""
        short = min(rig.sim.world.conversations.values(), key=lambda c: len(c.messages)).id
        rig.sim.faults.empty_page(conversation=short, times=None)
        await rig.poll()
        assert set(rig.failures()) == {("conversation", short)}
        rig.sim.faults.clear()
        await rig.poll(after=60)
        assert (rig.differences(), rig.failures()) == ([], {})


class TestJobs:
    """The owner's jobs, and the proposals of each."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """A page and a half of jobs, one of them with a page and a half of proposals, and a conversation."""
        world = settled_world(clock, (3,))
        jobs = [world.new_job(f"Job {number}") for number in range(130)]
        others = [world.new_job("Theirs", owner="u-other") for _ in range(230)]
        for _ in range(130):
            world.new_proposal(jobs[0])
        for job in (*jobs[1:30], *others[:1]):
            world.new_proposal(job)
        clock.advance(3600)
        return world

    async def test_behind_pages_that_show_nothing_are_found(self, rig: Rig) -> None:
        """Pages of jobs without one of ours in them hide none."""
        rig.sim.world.new_job("The newest")
        rig.sim.quirks.filters_late = True
        await rig.poll()
        assert (rig.differences(), rig.failures()) == ([], {})

    @pytest.mark.parametrize("path", ["^/jobs/mine$", "^/jobs/[^/]*/proposals$"])
    @pytest.mark.parametrize("way", ["repeat_cursor", "cycle_cursor", "endless"])
    async def test_whose_end_is_not_proved_are_a_failure(self, rig: Rig, path: str, way: str) -> None:
        """A cursor that repeats, and pages without end, are a failure that names its listing, and cost little."""
        rig.change(every_proposal=True)
        path = path.replace("[^/]*", max(rig.sim.world.jobs.values(), key=lambda job: len(job.proposal_ids)).id)
        if way == "endless":
            rig.sim.on_request = lambda record: setattr(rig.sim.quirks, "endless_lists", not record.lists)
        else:
            getattr(rig.sim.faults, way)(path=path, times=None)
        await rig.poll()
        kinds = {kind for kind, _ in rig.failures()}
        assert kinds <= {"jobs", "proposals"}
        assert ("jobs" if "mine" in path else "proposals") in kinds
        assert {row["reason"] for row in rig.failures().values()} <= set(UNPROVED)
        assert rig.sim.requests.count(path="^/jobs/mine$") <= MOST_REQUESTS
        assert rig.account()["state"] == "ok"
        rig.sim.faults.clear()
        rig.sim.on_request, rig.sim.quirks.endless_lists = None, False
        await rig.poll(after=3600)
        await rig.quiet(full=True)
        assert (rig.differences(), rig.failures()) == ([], {})

    async def test_are_asked_for_beside_one_another(self, rig: Rig) -> None:
        """The proposals of several jobs are in flight at once, as everything is."""
        rig.change(every_proposal=True, concurrency=4)
        rig.sim.faults.delay(0.2, path="^/jobs/[^/]*/proposals$", times=8)
        await rig.poll()
        asked = sorted(record.at for record in rig.sim.requests.select(path="^/jobs/[^/]*/proposals$"))
        assert asked[3] - asked[0] < 0.2
        assert rig.differences() == []
