"""No stored instant is believed for longer than it can be: the clock was 400 days ahead once, and is right again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rig import Rig, SteeredClock, settled_world
from story import DAY, LocalClock
from syncd.simulator import Simulator, World

pytestmark = pytest.mark.anyio

AHEAD = 400 * DAY


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """A few threads on a server whose clock is right."""
    return settled_world(clock, (3, 12, 130))


@pytest.fixture
async def rig(anyio_backend: str, sim: Simulator, clock: SteeredClock, tmp_path: Path) -> AsyncIterator[Rig]:
    """Its mirror, whose clock is 400 days ahead; nothing is mirrored yet."""
    del anyio_backend
    local = LocalClock(clock)
    local.skew = AHEAD
    mirrored = Rig(sim, tmp_path / "syncd.db", local)
    await mirrored.start()
    yield mirrored
    await mirrored.stop()


async def set_right(rig: Rig, *, restarted: bool = False) -> None:
    """Set the clock right."""
    assert isinstance(rig.clock, LocalClock)
    rig.clock.skew = 0.0
    if restarted:
        await rig.restart()


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_wait_is_no_longer_than_it_was(rig: Rig, *, restarted: bool) -> None:
    """A 429 of 90 s keeps the account waiting for 90 s at most, restarts included."""
    await rig.quiet()
    rig.sim.faults.rate_limit(90)
    assert (await rig.poll()).account_state.state == "rate_limited"
    await set_right(rig, restarted=restarted)
    outcome = await rig.poll(after=5)
    assert outcome.account_state.retry_at is None or outcome.account_state.retry_at <= _ahead(rig, 90)
    if restarted:
        await rig.restart()
    assert (await rig.poll(after=91)).account_state.state == "ok"
    assert rig.account()["retry_at"] is None


def _ahead(rig: Rig, seconds: float) -> str:
    rig.clock.advance(seconds)
    at = rig.clock.now()
    rig.clock.advance(-seconds)
    return at


async def test_a_comparison_is_due(rig: Rig) -> None:
    """A reconcile is not put off for 400 days: it is made at the next poll, and a day after that again."""
    await rig.quiet()
    await set_right(rig)
    await rig.poll()
    await rig.quiet(3)
    assert rig.account()["last_reconciled_at"] <= rig.clock.now()
    before = rig.account()["last_reconciled_at"]
    await rig.quiet(3)
    assert rig.account()["last_reconciled_at"] == before
    rig.clock.advance(DAY)
    for _ in range(3):
        await rig.poll()
    assert rig.account()["last_reconciled_at"] > before


async def test_a_failure_is_tried_again(rig: Rig) -> None:
    """What failed is tried within its longest backoff."""
    id_ = rig.sim.world.longest()
    rig.sim.faults.empty_object(conversation=id_, times=None)
    await rig.poll()
    assert ("conversation", id_) in rig.failures()
    rig.sim.faults.clear()
    await set_right(rig)
    await rig.quiet(2)
    assert (rig.failures(), rig.differences()) == ({}, [])


async def test_a_large_loss_is_looked_at_twice(rig: Rig) -> None:
    """A loss that was seen by the wrong clock is believed once a second look, ten minutes later, agrees."""
    await rig.quiet()
    for id_ in list(rig.sim.world.conversations):
        rig.sim.world.delete_conversation(id_)
    await rig.quiet(2, full=True)
    assert rig.events("conversation.gone") == []
    await set_right(rig)
    for _ in range(4):
        await rig.quiet(2)
        rig.clock.advance(700)
    await rig.quiet(2)
    assert len(rig.events("conversation.gone")) == 3
    assert rig.differences() == []


async def test_an_erasure_is_looked_at_twice(rig: Rig) -> None:
    """The signs of a person's erasure are seen again within hours, and the person is scrubbed."""
    await rig.quiet()
    proposal = next(iter(rig.sim.world.proposals.values()))
    rig.sim.world.erase_candidate(proposal.candidate.id)
    await rig.quiet(2, full=True)
    await set_right(rig)
    for _ in range(4):
        await rig.quiet(2, full=True)
        rig.clock.advance(3700)
    assert rig.scalar("SELECT erased_at IS NOT NULL FROM candidates WHERE id = ?", proposal.candidate.id) == 1
    assert rig.scalar("SELECT erased_at FROM candidates WHERE id = ?", proposal.candidate.id) <= rig.clock.now()


async def test_what_waits_is_told_of(rig: Rig) -> None:
    """Somebody who waits too long is told of by the right clock, once."""
    await rig.quiet()
    id_ = rig.sim.world.longest()
    await set_right(rig)
    made = rig.sim.world.add_message(id_, "Hello?")
    rig.clock.skew = AHEAD  # type: ignore[attr-defined]
    rig.change(overdue_seconds=500 * DAY)
    await rig.poll()
    rig.change(overdue_seconds=4 * 3600.0)
    await set_right(rig)
    await rig.quiet(2)
    assert rig.events("conversation.overdue") == []
    rig.clock.advance(4 * 3600)
    await rig.quiet(2)
    assert [e["message_id"] for e in rig.events("conversation.overdue")] == [made]


async def test_news_is_news(rig: Rig) -> None:
    """What comes in a conversation discovered since is no history."""
    rig.sim.faults.status(403, path="/auth/me", times=None)  # nobody says what time the first pass began
    await rig.quiet()
    await set_right(rig)
    made = rig.sim.world.add_message(rig.sim.world.new_conversation(), "Hello?")
    await rig.quiet(2)
    assert made in {e["message_id"] for e in rig.events("message.new") if not e["baseline"]}
    assert [e for e in rig.events("conversation.needs_reply") if e["baseline"]] == []
