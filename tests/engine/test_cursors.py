"""Cursors that die, repeat, go in circles or end too early cost one bounded recovery, never a loop or a message."""

from datetime import timedelta
from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import Simulator, World

PAGES = 4
LONG = 100 * PAGES - 20
CIRCLES = [(fault, direction) for fault in ("repeat_cursor", "cycle_cursor") for direction in ("newer", "older")]


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """A short thread, and one of four pages."""
    return settled_world(clock, (5, LONG, 3))


@pytest.fixture
def long(sim: Simulator) -> str:
    """The id of the long thread."""
    return sim.world.longest()


@pytest.mark.anyio
@pytest.mark.parametrize("skip", range(PAGES))
async def test_dead_cursor_in_the_first_pass(rig: Rig, long: str, skip: int) -> None:
    """A cursor that dies in a backfill costs at most the thread's pages once more and one log line."""
    rig.sim.faults.dead_cursor(conversation=long, skip=skip)
    await rig.poll()
    assert rig.differences() == []
    assert rig.failures() == {}
    assert rig.sim.requests.count(conversation=long) <= 2 * PAGES + 2
    expired = [fields for event, fields in rig.log if event == "cursor.expired"]
    assert len(expired) <= 1
    assert all(fields["conversation_id"] == long for fields in expired)


@pytest.mark.anyio
async def test_dead_cursor_in_a_tail(rig: Rig, long: str) -> None:
    """A tail whose stored cursor died joins what is held from the newest page; nothing else is fetched again."""
    await rig.poll()
    rig.sim.world.burst(long, 3)
    rig.sim.faults.dead_cursor(conversation=long)
    await rig.poll()
    assert rig.differences() == []
    assert rig.sim.requests.count(conversation=long) == 2
    assert [event for event, _ in rig.log if event == "cursor.expired"] == ["cursor.expired"]
    rig.sim.world.burst(long, 2)
    await rig.poll()
    assert rig.differences() == []


@pytest.mark.anyio
async def test_cursors_that_live_for_fewer_requests_than_are_under_way(rig: Rig) -> None:
    """Long threads whose cursors die of the requests beside them are walked alone, so that one pass has them all."""
    for _ in range(6):
        rig.sim.world.burst(rig.sim.world.new_conversation(), 450)
    rig.sim.quirks.cursor_lifetime_requests = 2
    await rig.poll()
    assert rig.failures() == {}
    assert rig.differences() == []


@pytest.mark.anyio
async def test_cursors_that_always_die(rig: Rig, long: str) -> None:
    """Where no cursor ever lives, the thread fails after two recoveries, the rest goes on, and it heals later."""
    rig.sim.faults.dead_cursor(conversation=long, times=None)
    await rig.poll()
    assert rig.failures()["conversation", long]["reason"] == "cursor_expired"
    assert rig.sim.requests.count(conversation=long) <= 7
    assert rig.account()["state"] == "ok"
    rig.sim.faults.clear()
    await rig.poll(after=120)
    assert rig.failures() == {}
    assert rig.differences() == []


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "direction"), CIRCLES)
async def test_circles_in_the_first_pass(rig: Rig, long: str, fault: str, direction: str) -> None:
    """A cursor that repeats, or A-B-A, is noticed within two requests; the thread is whole once the server is."""
    getattr(rig.sim.faults, fault)(conversation=long, direction=direction, times=None)
    await rig.poll()
    assert rig.sim.requests.count(conversation=long) <= 2 * PAGES + 4
    rig.sim.faults.clear()
    await rig.quiet()
    await rig.poll(after=7200)
    assert rig.differences() == []
    assert rig.failures() == {}


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "direction"), CIRCLES)
async def test_circles_in_a_tail(rig: Rig, long: str, fault: str, direction: str) -> None:
    """The same where a long burst is fetched by its tail."""
    await rig.poll()
    rig.sim.world.burst(long, 330)
    getattr(rig.sim.faults, fault)(conversation=long, direction=direction, times=None)
    await rig.poll()
    assert rig.sim.requests.count(conversation=long) <= 2 * PAGES + 4
    rig.sim.faults.clear()
    await rig.quiet()
    await rig.poll(after=7200)
    assert rig.differences() == []
    assert rig.failures() == {}


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["null_cursor", "empty_page"])
@pytest.mark.parametrize("skip", range(4))
async def test_walk_that_seems_to_end(rig: Rig, long: str, fault: str, skip: int) -> None:
    """One page that ends a walk forwards too early hides nothing: the proof fails, and the walk goes backwards."""
    getattr(rig.sim.faults, fault)(conversation=long, direction="newer", skip=skip)
    await rig.poll()
    assert rig.differences() == []
    rig.sim.world.burst(long, 2)
    getattr(rig.sim.faults, fault)(conversation=long, direction="newer")
    await rig.quiet()
    assert rig.differences() == []


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["null_cursor", "empty_page", "cut_json", "html", "empty_object"])
@pytest.mark.parametrize("skip", range(4))
async def test_comparison_believes_no_broken_page(rig: Rig, long: str, fault: str, skip: int) -> None:
    """A page that is empty or ends too early in a comparison forwards never makes a message look deleted."""
    await rig.poll()
    getattr(rig.sim.faults, fault)(conversation=long, direction="newer", skip=skip)
    await rig.poll(full=True)
    assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0
    await rig.quiet()
    assert rig.events("message.deleted") == []
    assert rig.scalar("SELECT COUNT(*) FROM messages WHERE gone_at IS NOT NULL") == 0


@pytest.mark.anyio
async def test_empty_answers_delete_nothing(rig: Rig, long: str) -> None:
    """A server that answers every thread with an empty page, though its list names last messages, is not believed."""
    await rig.poll()
    rig.sim.faults.empty_page(conversation=long, times=None)
    await rig.poll(full=True)
    assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0
    rig.sim.faults.clear()
    await rig.quiet(full=True)
    assert rig.events("message.deleted") == []
    assert rig.differences() == []


@pytest.mark.anyio
async def test_ties_longer_than_a_page(rig: Rig) -> None:
    """More messages of one instant than a page holds are all stored, in the first pass and in a tail."""
    world, clock = rig.sim.world, rig.clock
    before = clock.time - timedelta(hours=1)
    first, second = world.new_conversation(), world.new_conversation()
    for _ in range(250):
        world.add_message(first, "tie", created_at=before)
    await rig.poll()
    assert rig.differences() == []
    moment = clock.time
    for conversation_id in (first, second):
        for _ in range(230):
            world.add_message(conversation_id, "tie", created_at=moment)
    await rig.quiet()
    assert rig.differences() == []


class TestList:
    """The conversation list: of several pages, moving, or broken."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """Three pages of short threads."""
        return settled_world(clock, [1] * 230, kind="job")

    @pytest.mark.anyio
    @pytest.mark.parametrize("style", ["keyset", "offset"])
    async def test_moves_while_it_is_walked(self, rig: Rig, style: str) -> None:
        """What moves up, is added or leaves while the list is walked is not missed by the first pass."""
        sim, world = rig.sim, rig.sim.world
        sim.quirks.list_cursor = style
        order = world.truth()["order"]
        pages = 0

        def stir(record: Any) -> None:
            nonlocal pages
            if record.lists and record.query.get("unreadOnly") is None and pages < 4:
                pages += 1
                world.touch(order[225 - pages])
                world.add_message(order[150 + pages], "up")
                world.delete_conversation(order[pages])

        sim.on_request = stir
        await rig.poll()
        sim.on_request = None
        await rig.quiet(full=True)
        assert rig.differences() == []

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", ["dead_cursor", "repeat_cursor", "cycle_cursor", "null_cursor", "empty_page"])
    @pytest.mark.parametrize("skip", [0, 1])
    async def test_breaks_once_in_the_first_pass(self, rig: Rig, fault: str, skip: int) -> None:
        """A broken page of the list in the first pass hides no conversation."""
        getattr(rig.sim.faults, fault)(listing=True, skip=skip, times=1)
        await rig.quiet()
        assert rig.differences() == []
        assert rig.account()["state"] == "ok"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", ["dead_cursor", "repeat_cursor", "null_cursor", "empty_page"])
    async def test_breaks_once_in_a_poll(self, rig: Rig, fault: str) -> None:
        """A broken page of the list in a poll does not move the mark: what changed below is found by the next poll."""
        await rig.poll()
        for conversation_id in rig.sim.world.truth()["order"][-120:]:
            rig.sim.world.touch(conversation_id)
            rig.sim.world.add_message(conversation_id, "news", from_viewer=True)
        getattr(rig.sim.faults, fault)(listing=True, has_cursor=True)
        await rig.quiet()
        await rig.poll()
        assert rig.differences() == []
        assert len(rig.events("message.new")) == 120

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", ["repeat_cursor", "cycle_cursor", "dead_cursor"])
    async def test_breaks_for_ever(self, rig: Rig, fault: str) -> None:
        """A list whose cursors never lead on costs a bounded number of requests a poll."""
        getattr(rig.sim.faults, fault)(listing=True, times=None)
        for _ in range(3):
            await rig.poll()
            assert rig.sim.requests.count(listing=True) <= 8

    @pytest.mark.anyio
    async def test_cursor_that_lives_briefly(self, rig: Rig) -> None:
        """List cursors that die after a few requests delay a first pass; they do not hinder it."""
        rig.sim.quirks.cursor_lifetime_requests = 12
        await rig.quiet(12)
        assert rig.differences() == []


@pytest.mark.anyio
async def test_a_thread_that_seems_to_begin_too_late_is_completed_by_the_next_comparison(rig: Rig, long: str) -> None:
    """A null cursor short of a thread's first message is believed, as the API has it so; a reconcile heals it."""
    rig.sim.quirks.newer_without_cursor = "newest"
    rig.sim.faults.null_cursor(conversation=long, direction="older", skip=1)
    await rig.poll()
    assert len(rig.differences()) > 0
    await rig.quiet(full=True)
    assert rig.differences() == []
    assert rig.events("message.deleted") == []


@pytest.mark.anyio
async def test_a_comparison_that_ends_too_early_loses_nothing_for_good(rig: Rig, long: str) -> None:
    """What a null cursor hides from a comparison looks deleted, if it is no large part; the next restores it."""
    rig.sim.quirks.newer_without_cursor = "newest"
    await rig.poll()
    for skip in range(PAGES):
        rig.sim.faults.null_cursor(conversation=long, direction="older", skip=skip)
        await rig.poll(full=True)
        gone = rig.scalar("SELECT count(*) FROM messages WHERE gone_at IS NOT NULL")
        assert gone * 5 <= rig.scalar("SELECT count(*) FROM messages")
        rig.sim.faults.clear()
        await rig.quiet(full=True)
        assert rig.differences() == []
