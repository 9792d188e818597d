"""Opening a proposal's conversation: once, and in the mirror at once."""

import pytest

from syncd.engine.outbox import RefusedError
from writer import Writer

pytestmark = pytest.mark.anyio


async def test_opened_at_once(writer: Writer) -> None:
    """A new conversation is in the mirror when its id is told, and can be written to; the polls agree."""
    proposal_id = writer.sim.world.new_proposal()
    answer = await writer.ask("open_conversation", proposal_id=proposal_id)
    (row,) = writer.rig.rows("SELECT * FROM conversations WHERE proposal_id = ?", proposal_id)
    assert (row["id"], row["gone_at"]) == (answer["conversation_id"], None)
    assert (await writer.send("Welcome!", to=row["id"]))["state"] == "sent"
    await writer.poll()
    await writer.rig.quiet(full=True)
    assert writer.rig.differences() == []
    assert [event["message_id"] is not None for event in writer.rig.events("message.new")] == [True]


async def test_opened_twice_is_found(writer: Writer) -> None:
    """Opening again gives the same conversation and changes nothing in the mirror."""
    proposal_id = writer.sim.world.new_proposal()
    first = await writer.ask("open_conversation", proposal_id=proposal_id)
    await writer.poll()
    before = writer.rig.rows("SELECT * FROM conversations")
    assert await writer.ask("open_conversation", proposal_id=proposal_id) == first | {"created": False}
    assert first["created"] is True
    assert writer.rig.rows("SELECT * FROM conversations") == before


@pytest.mark.parametrize("fault", ["lose_reply", "reset_midway", "gateway", "truncate"])
async def test_opened_though_the_reply_was_lost(writer: Writer, fault: str) -> None:
    """Opening is asked for again where its answer was lost: that opens none twice."""
    proposal_id = writer.sim.world.new_proposal()
    getattr(writer.sim.faults, fault)(method="POST", times=2)
    answer = await writer.ask("open_conversation", proposal_id=proposal_id)
    assert writer.sim.world.proposals[proposal_id].conversation_id == answer["conversation_id"]


async def test_not_listed_yet(writer: Writer) -> None:
    """A conversation that the list does not show yet is held as far as it is known; the list completes it later."""
    proposal_id = writer.sim.world.new_proposal()
    writer.sim.faults.empty_page(listing=True)
    answer = await writer.ask("open_conversation", proposal_id=proposal_id)
    (row,) = writer.rig.rows("SELECT * FROM conversations WHERE id = ?", answer["conversation_id"])
    assert (row["proposal_id"], row["type"]) == (proposal_id, None)
    writer.sim.world.add_message(answer["conversation_id"], "Hello?")
    await writer.poll()
    await writer.rig.quiet(full=True)
    assert writer.rig.differences() == []


async def test_not_listed_and_known(writer: Writer) -> None:
    """A known conversation that a page of the list lacks is left as it is."""
    proposal_id = writer.sim.world.new_proposal()
    await writer.ask("open_conversation", proposal_id=proposal_id)
    await writer.poll()
    before = writer.rig.rows("SELECT * FROM conversations")
    writer.sim.faults.empty_page(listing=True)
    await writer.ask("open_conversation", proposal_id=proposal_id)
    assert writer.rig.rows("SELECT * FROM conversations") == before


async def test_refused(writer: Writer) -> None:
    """A refusal says what to do, and ends with 1; a missing scope with 77; a proposal that is unknown is named so."""
    writer.sim.faults.status(403, "employer_first_message_required", method="POST")
    proposal_id = writer.sim.world.new_proposal()
    with pytest.raises(RefusedError, match="employer has to write first") as caught:
        await writer.ask("open_conversation", proposal_id=proposal_id)
    assert caught.value.exit_code == 1
    with pytest.raises(RefusedError, match="no such conversation or proposal"):
        await writer.ask("open_conversation", proposal_id="p404")
    writer.rig.token = writer.sim.world.add_token(scopes=["messages:read"])
    await writer.restart()
    with pytest.raises(RefusedError, match="messages:write") as caught:
        await writer.ask("open_conversation", proposal_id=proposal_id)
    assert caught.value.exit_code == 77
