"""A reply was lost: what has arrived is found, what has not is said to be unconfirmed, and nothing is sent twice."""

from datetime import timedelta
from typing import Any

import pytest

from syncd.core.outbox import LATER_SECONDS, Attempted
from writer import Writer

pytestmark = pytest.mark.anyio

LOST = {
    "lose_reply": {},
    "reset_midway": {},
    "truncate": {},
    "cut_json": {},
    "stall": {},
    "reset": {},
    "gateway": {},
    "status": {"code": 500},
    "html": {},
    "empty_object": {},
}
"""Faults of a POST, whether or not the message was taken."""
_STRIDE = 9  # bytes; every single one takes a minute
TAKEN = ("lose_reply", "reset_midway", "truncate", "cut_json")


@pytest.mark.parametrize("fault", LOST)
async def test_every_way_to_lose_a_reply(writer: Writer, fault: str) -> None:
    """Found in the conversation, the message is sent; not found in two looks a minute apart, it is unconfirmed."""
    getattr(writer.sim.faults, fault)(method="POST", **LOST[fault])
    answer = await writer.send("Hello")
    taken = fault in TAKEN
    assert (answer["state"], answer["exit_code"]) == (("sent", 0) if taken else ("unconfirmed", 1))
    assert writer.arrived() == ({"Hello": 1} if taken else {})
    assert (writer.row(1)["content"] is None) == taken
    assert sum(writer.clock.slept) >= (0 if taken else 60)
    assert len(writer.rig.events("message.new")) == taken
    await writer.poll()
    assert writer.rig.differences() == []
    assert len(writer.rig.events("message.new")) == taken


async def test_reply_lost_on_its_way(writer: Writer) -> None:
    """Wherever in the reply the connection ends, each message is sent once, and is one row with one event."""
    lengths = [1]
    cuts = {0, 1}
    for count in sorted(cuts):
        await _send_and_cut(writer, count, lengths)
    cuts |= {*range(0, lengths[-1], _STRIDE), lengths[-1] - 1, lengths[-1]}
    for count in sorted(cuts - {0, 1}):
        await _send_and_cut(writer, count, lengths)
    assert lengths[-1] > 300
    assert (set(writer.arrived().values()), len(writer.arrived())) == ({1}, len(cuts))
    await writer.poll()
    assert len(writer.rig.events("message.new")) == len(cuts)
    assert writer.rig.scalar("SELECT COUNT(*) FROM messages WHERE is_from_viewer = 1") == len(cuts)


async def _send_and_cut(writer: Writer, count: int, lengths: list[int]) -> None:
    writer.sim.faults.add("cut", cut_after(count, lengths), method="POST")
    answer = await writer.send(f"Cut after {count:04}")
    assert answer["state"] == "sent", count


def cut_after(count: int, lengths: list[int]) -> Any:
    """A fault that does what was asked and sends so many bytes of the reply; it notes how many there were."""

    async def cut(exchange: Any) -> None:
        answer = await exchange.ask()
        head = f"HTTP/1.1 {answer.status} Created\r\ncontent-type: application/json\r\n"
        reply = f"{head}content-length: {len(answer.body)}\r\n\r\n".encode() + answer.body
        lengths.append(len(reply))
        exchange._transport.write(reply[:count])
        await exchange.close()

    return cut


async def test_visible_only_later(writer: Writer) -> None:
    """A message that no page shows for half a minute is found by a later look."""
    writer.sim.quirks.sent_visible_after = 30
    writer.sim.faults.lose_reply(method="POST")
    answer = await writer.send("Hello")
    assert (answer["state"], writer.arrived()) == ("sent", {"Hello": 1})
    assert 30 <= sum(writer.clock.slept) < 60
    await writer.poll()
    assert len(writer.rig.events("message.new")) == 1


async def test_visible_only_after_it_was_given_up(writer: Writer) -> None:
    """An unconfirmed message that a poll meets after all is joined to its row, with one event."""
    writer.sim.quirks.sent_visible_after = 300
    writer.sim.faults.lose_reply(method="POST")
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"]) == ("unconfirmed", 1)
    await writer.poll(after=300)
    row = writer.row(1)
    assert (row["state"], row["content"], row["error"]) == ("sent", None, None)
    assert [event["message_id"] for event in writer.rig.events("message.new")] == [row["message_id"]]


async def test_retry_looks_first(writer: Writer) -> None:
    """Who sends an unconfirmed message again sends nothing where it has arrived meanwhile."""
    writer.sim.quirks.sent_visible_after = 300
    writer.sim.faults.lose_reply(method="POST")
    await writer.send("Hello")
    writer.clock.advance(300)
    assert (await writer.ask("outbox_retry", id=1))["state"] == "sent"
    assert (writer.arrived(), writer.posts()) == ({"Hello": 1}, 1)


async def test_retry_of_what_never_arrived(writer: Writer) -> None:
    """Only on demand an unconfirmed message is sent again; polls never do."""
    writer.sim.faults.stall(method="POST")
    assert (await writer.send("Hello"))["state"] == "unconfirmed"
    for _ in range(3):
        await writer.poll(after=100)
    assert writer.arrived() == {}
    assert (await writer.ask("outbox_retry", id=1))["state"] == "sent"
    assert writer.arrived() == {"Hello": 1}


async def test_trimmed_by_the_server(writer: Writer) -> None:
    """A text that the server trims is found all the same, and stored as the server has it."""
    writer.sim.quirks.trims_content = True
    writer.sim.faults.lose_reply(method="POST")
    answer = await writer.send("  Hello\r\nthere \n")
    assert (answer["state"], writer.arrived()) == ("sent", {"Hello\r\nthere": 1})
    await writer.poll()
    assert writer.rig.differences() == []


async def test_equal_texts_are_told_apart(writer: Writer) -> None:
    """Of two equal messages of which one never arrived, one is sent and one unconfirmed."""
    assert (await writer.send("ok"))["state"] == "sent"
    writer.sim.faults.reset(method="POST")
    assert (await writer.send("ok"))["state"] == "unconfirmed"
    writer.sim.faults.lose_reply(method="POST")
    assert (await writer.send("ok"))["state"] == "sent"
    assert writer.arrived() == {"ok": 2}
    for _ in range(3):
        await writer.poll(after=60)
    assert writer.states() == ["sent", "unconfirmed", "sent"]


async def test_what_was_there_before_is_not_it(writer: Writer) -> None:
    """The same words that we said in the app before, mirrored or not, are no proof of an arrival."""
    writer.sim.world.add_message(writer.conversation_id, "Hello", from_viewer=True)
    await writer.poll()
    writer.sim.world.add_message(writer.conversation_id, "Hello", from_viewer=True)
    writer.clock.advance(6)
    writer.sim.faults.reset(method="POST")
    assert (await writer.send("Hello"))["state"] == "unconfirmed"


async def test_others_words_are_not_it(writer: Writer) -> None:
    """What somebody else says meanwhile is no proof either."""
    writer.sim.faults.reset(method="POST")

    def interrupt(_: Any) -> None:
        writer.sim.world.add_message(writer.conversation_id, "Hello")

    writer.sim.on_request = interrupt
    assert (await writer.send("Hello"))["state"] == "unconfirmed"


async def test_found_behind_a_burst(writer: Writer) -> None:
    """A message is found behind hundreds of later ones, and those are left for the poll, which finds them all."""
    world, cid = writer.sim.world, writer.conversation_id

    def answer(record: Any) -> None:
        if record.method == "GET" and writer.posts() == 1 and len(world.conversations[cid].messages) < 50:
            world.burst(cid, 350)

    writer.sim.faults.lose_reply(method="POST")
    writer.sim.on_request = answer
    assert (await writer.send("Hello"))["state"] == "sent"
    writer.sim.on_request = None
    await writer.poll()
    assert writer.rig.differences() == []
    assert len(writer.rig.events("message.new")) == 351


async def test_an_ill_server_settles_nothing(writer: Writer) -> None:
    """Looks that fail, or bring an empty page of a full conversation, don't count: the server has to be well."""
    writer.sim.faults.reset(method="POST")
    fault = writer.sim.faults.gateway(method="GET", times=None, conversation=writer.conversation_id)
    answer = await writer.send("Hello")
    assert (answer["state"], answer["exit_code"]) == ("sending", 69)
    writer.sim.faults.clear()
    assert fault.hits > 3
    writer.sim.faults.empty_page(method="GET", times=None, conversation=writer.conversation_id)
    for _ in range(4):
        await writer.poll(after=60)
    assert writer.states() == ["sending"]
    writer.sim.faults.clear()
    await writer.poll(after=60)
    assert writer.states() == ["sending"]
    await writer.poll(after=60)
    assert writer.states() == ["unconfirmed"]


@pytest.mark.parametrize("taken", [True, False])
async def test_the_next_process_settles(writer: Writer, taken: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """What a process left in `sending` is settled by the next ones, however often they restart, and not sent again."""
    await die_while_sending(writer, taken=taken)
    assert writer.states() == ["sending"]
    for _ in range(5):
        await writer.restart()
        await writer.poll(after=20)
    assert writer.states() == ["sent" if taken else "unconfirmed"]
    assert writer.arrived() == ({"Hello": 1} if taken else {})


async def die_while_sending(writer: Writer, *, taken: bool) -> None:
    """Leave a message as a process does that is killed while its request is under way."""
    await writer.send("Hello", later=True)
    writer.clock.advance(LATER_SECONDS)
    await writer.rig.store.apply(Attempted(account="acme", now=writer.clock.now(), id=1))
    if taken:
        writer.sim.world.add_message(writer.conversation_id, "Hello", from_viewer=True)


async def test_a_vanished_conversation(writer: Writer) -> None:
    """Where the conversation is gone, nothing can be found: a person decides."""
    writer.sim.faults.reset(method="POST")
    writer.sim.on_request = lambda record: (
        writer.sim.world.leave_conversation(writer.conversation_id) if record.method == "POST" else None
    )
    assert (await writer.send("Hello"))["state"] == "unconfirmed"


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
async def test_another_clock(writer: Writer, ahead: float) -> None:
    """An hour between the clocks changes neither what is found nor what is not."""
    clock = writer.clock
    writer.sim.world.clock = lambda: clock() + timedelta(seconds=ahead)
    writer.conversation_id = writer.sim.world.new_conversation()
    writer.sim.world.add_message(writer.conversation_id, "Hello", from_viewer=True)
    clock.advance(10)
    writer.sim.faults.reset(method="POST")
    assert (await writer.send("Hello"))["state"] == "unconfirmed"
    writer.sim.faults.lose_reply(method="POST")
    assert (await writer.send("Hello"))["state"] == "sent"


async def test_a_wait_during_the_looks(writer: Writer) -> None:
    """A limit that a look meets is sat out, and the message is found after it."""
    writer.sim.faults.lose_reply(method="POST")
    writer.sim.faults.rate_limit(retry_after=45, method="GET", conversation=writer.conversation_id)
    answer = await writer.send("Hello")
    assert (answer["state"], sum(writer.clock.slept)) == ("sent", 45.0)
