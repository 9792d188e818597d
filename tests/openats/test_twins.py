"""A message belongs to one chat, also where a server shows its number in two."""

import pytest

from syncd.simulator.records import Subject
from team_rig import TeamRig

pytestmark = pytest.mark.anyio


def show_elsewhere(rig: TeamRig, number: int) -> Subject:
    """Show a message of the first job's chat in the second's, too; that chat."""
    first, second = rig.team.chat("job", 1), rig.team.chat("job", 2)
    second.messages[number] = first.messages[number]
    second.version += 1
    return second


def owner(rig: TeamRig, number: int) -> str:
    """The chat that the message is held in."""
    return str(rig.scalar("SELECT conversation_id FROM messages WHERE id = ?", f"job:{number}"))


async def test_a_quarrel_is_a_failure_that_names_both(rig: TeamRig) -> None:
    """Two chats that show the same number: one row that stays where it is, no events, one failure until it is over."""
    await rig.poll()
    number = max(rig.team.chat("job", 1).messages)
    second = show_elsewhere(rig, number)
    for _ in range(3):
        await rig.poll(full=True, after=700)
        await rig.poll(after=61)
    ((key, failure),) = rig.failures().items()
    assert key == ("message", f"job:{number}")
    assert "job:1" in failure["reason"]
    assert "job:2" in failure["reason"]
    assert (owner(rig, number), rig.events()) == ("job:1", [])
    del second.messages[number]
    second.version += 1
    await rig.poll(full=True, after=700)
    assert (rig.failures(), rig.events(), rig.differences()) == ({}, [], [])


@pytest.mark.parametrize("order", ["at once", "later"])
async def test_a_move_is_one_change(rig: TeamRig, order: str) -> None:
    """A message that its chat loses and another shows has moved: it is neither deleted nor new."""
    await rig.poll()
    number = max(rig.team.chat("job", 1).messages)
    show_elsewhere(rig, number)
    if order == "later":
        await rig.poll(full=True, after=700)
    first = rig.team.chat("job", 1)
    del first.messages[number]
    first.version += 1
    await rig.poll(full=True, after=700)
    await rig.poll(full=True, after=700)
    assert (owner(rig, number), rig.failures(), rig.differences()) == ("job:2", {}, [])
    assert rig.events() == []
