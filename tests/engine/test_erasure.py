"""Somebody had their account deleted upstream: scrubbed here when two signs agree in two looks, never sooner."""

from pathlib import Path
from typing import Any

import pytest

from rig import Rig, SteeredClock
from syncd.simulator import Simulator, World


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """One candidate with an interview, and a conversation."""
    world = World(clock)
    world.add_message(world.new_conversation(name="Maria G."), "Hello")
    proposal_id = next(iter(world.proposals))
    world.interview_appears(proposal_id)
    clock.advance(3600)
    return world


def candidate_id(world: World) -> str:
    """The id of the one candidate."""
    return str(next(iter(world.truth()["proposals"].values()))["candidate"]["id"])


def transcript(rig: Rig) -> list[Any]:
    """What is held of the interview's words."""
    messages = rig.rows("SELECT content FROM interview_messages WHERE content IS NOT NULL")
    return [row["content"] for row in messages]


@pytest.mark.anyio
async def test_two_looks_an_hour_apart(world: World, clock: SteeredClock, tmp_path: Path) -> None:
    """The transcript's words go at the second look that shows both signs, an hour on; the message stays."""
    with Simulator(world) as sim:
        rig = Rig(sim, tmp_path / "syncd.db", clock)
        await rig.start()
        await rig.quiet()
        assert transcript(rig)
        world.erase_candidate(candidate_id(world))
        await rig.quiet(full=True)
        assert rig.scalar("SELECT name FROM candidates") == "Freelancer"
        assert transcript(rig)
        assert rig.scalar("SELECT erased_at FROM candidates") is None
        await rig.poll(after=3700)
        await rig.quiet()
        assert transcript(rig) == []
        assert rig.scalar("SELECT summary FROM interviews") is None
        assert rig.scalar("SELECT erased_at FROM candidates") is not None
        assert rig.scalar("SELECT content FROM messages") == "Hello"
        assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0
        await rig.stop()


@pytest.mark.anyio
async def test_one_sign_is_none(world: World, clock: SteeredClock, tmp_path: Path) -> None:
    """A name that went while the interview is still served scrubs nothing, nor does an interview that went alone."""
    with Simulator(world) as sim:
        rig = Rig(sim, tmp_path / "syncd.db", clock)
        await rig.start()
        await rig.quiet()
        world.rename(candidate_id(world), "Freelancer")
        for _ in range(3):
            await rig.quiet(full=True)
            await rig.poll(after=3700)
        assert transcript(rig)
        world.rename(candidate_id(world), "Maria G.")
        world.interview_erased(next(iter(world.proposals)))
        for _ in range(3):
            await rig.quiet(full=True)
            await rig.poll(after=3700)
        assert transcript(rig)
        assert rig.scalar("SELECT erased_at FROM candidates") is None
        await rig.stop()


@pytest.mark.anyio
async def test_name_that_comes_back(world: World, clock: SteeredClock, tmp_path: Path) -> None:
    """Between the looks the name came back: nothing is scrubbed, and the suspicion is over."""
    with Simulator(world) as sim:
        rig = Rig(sim, tmp_path / "syncd.db", clock)
        await rig.start()
        await rig.quiet()
        world.rename(candidate_id(world), "Freelancer")
        world.interview_erased(next(iter(world.proposals)))
        await rig.quiet(full=True)
        assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 2
        world.rename(candidate_id(world), "Maria G.")
        await rig.poll(after=3700)
        await rig.quiet()
        assert transcript(rig)
        assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0
        await rig.stop()
