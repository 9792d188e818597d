"""Sending against a real server: stored at once, refused with a reason, held back while the account waits."""

import pytest

from syncd.core.times import after
from syncd.errors import StoreTroubleError, UsageError
from writer import Writer

pytestmark = pytest.mark.anyio


async def test_sent_at_once(writer: Writer) -> None:
    """When its sender is told, a message is on the server and in the mirror, with one event, its text only there."""
    answer = await writer.send("Yes, I am.")
    assert (answer["state"], answer["exit_code"]) == ("sent", 0)
    (stored,) = writer.rig.rows("SELECT * FROM messages WHERE id = ?", answer["message_id"])
    assert (stored["content"], stored["is_from_viewer"]) == ("Yes, I am.", 1)
    assert [event["message_id"] for event in writer.rig.events("message.new")] == [answer["message_id"]]
    row = writer.row(answer["id"])
    assert (row["state"], row["content"], row["message_id"]) == ("sent", None, answer["message_id"])
    assert writer.arrived() == {"Yes, I am.": 1}


async def test_the_poll_meets_the_same_row(writer: Writer) -> None:
    """When the poll meets a sent message it is the same row, without a second event, and the mirror is the truth."""
    await writer.send("Yes, I am.")
    first = writer.rig.rows("SELECT * FROM messages WHERE content = 'Yes, I am.'")
    await writer.poll()
    assert writer.rig.rows("SELECT * FROM messages WHERE content = 'Yes, I am.'") == first
    assert len(writer.rig.events("message.new")) == 1
    assert writer.rig.differences() == []


async def test_nothing_below_a_sent_message_is_missed(writer: Writer) -> None:
    """What was said before our answer, and not mirrored yet, is found below it by the next poll."""
    writer.sim.world.burst(writer.conversation_id, 130, text="And {n}?")
    await writer.send("One after the other.")
    writer.sim.world.add_message(writer.conversation_id, "Fine.")
    await writer.poll()
    assert writer.rig.differences() == []
    assert len(writer.rig.events("message.new")) == 132


async def test_a_turn_ends(writer: Writer) -> None:
    """Our answer ends the turn at once, and the next poll says that nobody waits."""
    await writer.send("Yes, I am.")
    assert writer.rig.scalar("SELECT seconds IS NOT NULL FROM response_times") == 1
    await writer.poll()
    assert writer.rig.scalar("SELECT COUNT(*) FROM needs_reply") == 0


async def test_two_equal_texts_are_two_messages(writer: Writer) -> None:
    """Who says the same thing twice on purpose has said it twice."""
    answers = [await writer.send("ok"), await writer.send("ok")]
    assert len({answer["message_id"] for answer in answers}) == 2
    assert writer.arrived() == {"ok": 2}


async def test_the_same_wish_twice_is_one_message(writer: Writer) -> None:
    """A request that is repeated under its key, because its answer was lost on the way, sends nothing again."""
    answers = [await writer.send("ok", key="k1"), await writer.send("ok", key="k1")]
    assert answers[0] == answers[1]
    assert writer.arrived() == {"ok": 1}


async def test_later(writer: Writer) -> None:
    """A message for later is only queued; the first poll after its minute takes it along, and older ones go first."""
    for text in ("first", "second"):
        assert (await writer.send(text, later=True))["state"] == "queued"
    assert writer.posts() == 0
    await writer.poll(after=60)
    assert writer.states() == ["sent", "sent"]
    assert list(writer.arrived()) == ["first", "second"]


async def test_expires(writer: Writer) -> None:
    """A queued message that could not leave within an hour is not sent late, says so, and keeps its text."""
    answer = await writer.send("Lunch?", later=True)
    writer.sim.pause()
    await writer.poll(after=3590)
    assert writer.states() == ["queued"]
    await writer.poll(after=11)
    assert writer.states() == ["expired"], "even while the server is away"
    writer.sim.resume()
    await writer.poll(after=400)
    row = writer.row(answer["id"])
    assert (row["state"], row["content"], writer.arrived()) == ("expired", "Lunch?", {})
    assert "syncd outbox retry 1" in row["error"]
    assert ("outbox.expired", 1) in [(event, fields.get("outbox_id")) for event, fields in writer.rig.log]
    assert (await writer.ask("outbox_retry", id=1))["state"] == "sent"


async def test_cancel(writer: Writer) -> None:
    """A cancelled message never leaves, and can be taken up again."""
    await writer.send("Lunch?", later=True)
    assert (await writer.ask("outbox_cancel", id=1))["state"] == "cancelled"
    await writer.poll()
    assert writer.arrived() == {}
    with pytest.raises(UsageError, match="is cancelled"):
        await writer.ask("outbox_cancel", id=1)
    await writer.ask("outbox_retry", id=1)
    assert writer.arrived() == {"Lunch?": 1}


@pytest.mark.parametrize("verb", ["outbox_cancel", "outbox_retry"])
async def test_no_such_message(writer: Writer, verb: str) -> None:
    """A number that is not in the outbox is a mistake of whoever gave it."""
    with pytest.raises(UsageError, match="no message 9"):
        await writer.ask(verb, id=9)


REFUSALS = {
    "account_claim_required": "claim the account first (Account claim required; account_claim_required; https://",
    "message_policy_blocked": "the server's policy forbids this text",
    "employer_first_message_required": "the employer has to write first",
    "read_only_conversation": "takes no messages any more",
    "message_blocked": "the server takes no messages to this person",
    "feature_disabled": "switched off for this account",
    "scope": "the token lacks the scope messages:write",
    "stranger": "the token may not write here",
    "deleted": "the server knows no such conversation",
}


def refuse(writer: Writer, reason: str) -> None:
    """Have the server refuse what is sent, for that reason."""
    world = writer.sim.world
    conversation = world.conversations[writer.conversation_id]
    if reason == "account_claim_required":
        writer.rig.token = world.add_token(claimed=False)
    elif reason == "scope":
        writer.rig.token = world.add_token(scopes=["messages:read", "proposals:read"])
    elif reason == "feature_disabled":
        writer.sim.quirks.writes_enabled = False
    elif reason == "read_only_conversation":
        conversation.read_only = True
    elif reason == "message_blocked":
        conversation.blocked = True
    elif reason == "employer_first_message_required":
        writer.sim.faults.status(409, reason, method="POST")
    elif reason == "stranger":
        world.leave_conversation(writer.conversation_id)
    elif reason == "deleted":
        world.delete_conversation(writer.conversation_id)


@pytest.mark.parametrize("reason", REFUSALS)
async def test_refusals(writer: Writer, reason: str) -> None:
    """A refusal says what to do, and why; the message has failed, keeps its text, and is not tried again by itself."""
    refuse(writer, reason)
    if reason in ("account_claim_required", "scope"):
        await writer.restart()
    text = "BLOCKED-BY-POLICY" if reason == "message_policy_blocked" else "Hello"
    answer = await writer.send(text)
    assert (answer["state"], answer["exit_code"]) == ("failed", 77 if reason == "scope" else 1)
    assert REFUSALS[reason] in answer["error"]
    assert "req_" in answer["error"]
    row = writer.row(answer["id"])
    assert (row["content"], row["error"]) == (text, answer["error"])
    await writer.poll()
    assert writer.posts() == 0, "the poll does not try it again"


async def test_short_wait_is_sat_out(writer: Writer) -> None:
    """A limit of up to a minute is waited out, and nothing is asked meanwhile."""
    writer.sim.faults.rate_limit(retry_after=40, method="POST")
    answer = await writer.send("Hello")
    assert (answer["state"], writer.clock.slept) == ("sent", [40.0])
    assert [progress["state"] for progress in writer.progress] == ["queued", "queued"]
    assert writer.arrived() == {"Hello": 1}


async def test_long_wait_leaves_it_queued(writer: Writer) -> None:
    """A longer limit leaves the message queued and says until when; the wait is the account's, and then it leaves."""
    writer.sim.faults.rate_limit(retry_after=300, method="POST")
    first = await writer.send("Hello")
    assert (first["state"], first["exit_code"]) == ("queued", 75)
    assert first["retry_at"] == after(writer.clock.now(), 300)
    writer.sim.requests.clear()
    second = await writer.send("again")
    assert (second["state"], second["exit_code"], len(writer.sim.requests)) == ("queued", 75, 0)
    await writer.restart()
    assert (await writer.send("and again"))["exit_code"] == 75
    assert len(writer.sim.requests) == 0, "another process keeps the wait"
    await writer.poll(after=301)
    assert writer.arrived() == {"Hello": 1, "again": 1, "and again": 1}


async def test_the_polls_wait_holds_it_back(writer: Writer) -> None:
    """While the account is told to wait, by whatever request, nothing is sent."""
    writer.sim.faults.rate_limit(retry_after=600, method="GET")
    await writer.poll()
    writer.sim.requests.clear()
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"], len(writer.sim.requests)) == ("queued", 75, 0)


async def test_unreachable(writer: Writer) -> None:
    """What surely never left stays queued, and leaves with the first poll that works."""
    writer.sim.pause()
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"]) == ("queued", 69)
    writer.sim.resume()
    await writer.poll()
    assert (writer.states(), writer.arrived()) == (["sent"], {"Hello": 1})


async def test_refused_token(writer: Writer) -> None:
    """A refused token is the account's trouble: the message waits for a better one."""
    writer.sim.world.revoke_token(writer.rig.token)
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"]) == ("queued", 77)
    writer.rig.token = writer.sim.world.add_token()
    await writer.poll()
    assert writer.states() == ["sent"]


async def test_wrong_account(writer: Writer) -> None:
    """Nothing is sent in another user's name."""
    other = writer.sim.world.new_id("u")
    writer.sim.world.conversations[writer.conversation_id].participants.add(other)
    writer.rig.token = writer.sim.world.add_token(user_id=other)
    await writer.restart()
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"], writer.posts()) == ("queued", 77, 0)
    assert "syncd accept acme" in answer["error"]


async def test_no_room(writer: Writer) -> None:
    """Where what comes could not be stored, nothing is sent."""

    def full() -> None:
        raise StoreTroubleError("the disk is full")

    writer.rig.mirror.check_room = full
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"], writer.posts()) == ("queued", 1, 0)


async def test_text_is_checked_before_it_is_queued(writer: Writer) -> None:
    """A text that is too long is refused, and nothing is left of it."""
    with pytest.raises(UsageError, match="10,001"):
        await writer.send("x" * 10_001)
    assert (writer.states(), writer.posts()) == ([], 0)


async def test_no_text_in_the_log(writer: Writer) -> None:
    """Neither a message nor an error of its sending repeats its text."""
    secret = "the password is tulip"
    await writer.send(secret)
    writer.sim.faults.lose_reply(method="POST")
    await writer.send(secret)
    writer.sim.faults.status(400, secret, method="POST")
    await writer.send(secret)
    assert writer.states() == ["sent", "sent", "failed"]
    assert secret not in repr(writer.rig.log) + repr(writer.rig.rows("SELECT error FROM outbox"))
