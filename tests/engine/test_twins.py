"""A message belongs to one conversation: a move is one change, a quarrel is a failure that names both."""

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """Two threads, and a third."""
    return settled_world(clock, (5, 7, 3), kind="job")


def owner(rig: Rig, message_id: str) -> str:
    """The conversation that the message is held in."""
    return str(rig.scalar("SELECT conversation_id FROM messages WHERE id = ?", message_id))


def revisions(rig: Rig) -> int:
    """How many texts were replaced."""
    return int(rig.scalar("SELECT COUNT(*) FROM message_revisions"))


@pytest.mark.parametrize("before", [True, False])
async def test_a_quarrel_is_a_failure_that_names_both(rig: Rig, *, before: bool) -> None:
    """Two conversations that keep showing the same id: one row, no events, and a failure until one of them is right."""
    world = rig.sim.world
    first, second, _ = world.conversations
    ids = [message.id for message in world.conversations[first].messages[1:3]]
    if not before:
        await rig.poll()
    for id_ in ids:
        world.show_elsewhere(first, id_, second)
    world.edit_message(second, ids[0], "and another text there", touch_updated=False)
    if before:
        await rig.poll()
    await rig.quiet()
    told = len(rig.events())
    numbers = [rig.scalar("SELECT change_id FROM messages WHERE id = ?", id_) for id_ in ids]
    for _ in range(3):
        await rig.quiet(full=True)
    failures = rig.failures()
    assert set(failures) == {("message", id_) for id_ in ids}
    assert all(first in row["reason"] and second in row["reason"] for row in failures.values())
    assert (len(rig.events()), revisions(rig)) == (told, 0)
    assert [rig.scalar("SELECT change_id FROM messages WHERE id = ?", id_) for id_ in ids] == numbers
    loser = second if owner(rig, ids[0]) == first else first
    for id_ in ids:
        world.delete_message(loser, id_)
    await rig.quiet(full=True)
    await rig.quiet(full=True)
    assert (rig.failures(), rig.differences()) == ({}, [])
    assert rig.events("message.deleted") == []


async def test_the_other_one_keeps_what_its_owner_lost(rig: Rig) -> None:
    """Where the quarrel ends because the conversation that held the message loses it, it moves to the other."""
    world = rig.sim.world
    first, second, _ = world.conversations
    id_ = world.conversations[first].messages[1].id
    await rig.poll()
    world.show_elsewhere(first, id_, second)
    await rig.quiet()
    assert set(rig.failures()) == {("message", id_)}
    world.conversations[first].messages[:] = [m for m in world.conversations[first].messages if m.id != id_]
    await rig.quiet(full=True)
    await rig.quiet()
    assert (owner(rig, id_), rig.failures(), rig.differences()) == (second, {}, [])
    assert rig.events("message.deleted", "message.restored") == []


async def test_a_move_is_one_change(rig: Rig) -> None:
    """A message that is shown in another conversation from now on is moved: neither deleted, nor new, nor edited."""
    world = rig.sim.world
    first, second, _ = world.conversations
    await rig.poll()
    id_ = world.conversations[first].messages[2].id
    world.show_elsewhere(first, id_, second, moved=True)
    await rig.quiet()
    await rig.quiet(full=True)
    assert (owner(rig, id_), rig.failures(), rig.differences()) == (second, {}, [])
    assert [e["kind"] for e in rig.events() if e["kind"].startswith("message.")] == []
    assert revisions(rig) == 0


async def test_a_move_out_of_a_conversation_that_is_gone(rig: Rig) -> None:
    """What moved, and its conversation went, is moved too."""
    world = rig.sim.world
    first, second, _ = world.conversations
    await rig.poll()
    id_ = world.conversations[first].messages[2].id
    world.show_elsewhere(first, id_, second, moved=True)
    world.delete_conversation(first)
    await rig.quiet(full=True)
    await rig.quiet(full=True)
    assert (owner(rig, id_), rig.failures(), rig.differences()) == (second, {}, [])
    assert [e["kind"] for e in rig.events() if e["kind"].startswith("message.")] == []


@pytest.mark.parametrize("gone", ["owner", "claimant"])
async def test_a_quarrel_ends_with_one_of_the_two_conversations(rig: Rig, gone: str) -> None:
    """Where one of the two is left, the message is the other's, and the failure is over."""
    world = rig.sim.world
    first, second, _ = world.conversations
    id_ = world.conversations[first].messages[1].id
    await rig.poll()
    world.show_elsewhere(first, id_, second)
    await rig.quiet()
    assert set(rig.failures()) == {("message", id_)}
    world.leave_conversation(first if gone == "owner" else second)
    await rig.quiet(full=True)
    await rig.quiet(full=True)
    await rig.poll(after=6 * 3600)
    await rig.quiet()
    await rig.poll(after=6 * 3600)
    assert (owner(rig, id_), rig.failures(), rig.differences()) == (second if gone == "owner" else first, {}, [])
