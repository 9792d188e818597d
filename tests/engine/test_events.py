"""Events: each kind once, in the poll that sees it, with the contract's data; and history makes no noise."""

from datetime import timedelta
from typing import Any

import pytest

from rig import Rig, Row, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio
UNREAD, NEEDS = "conversation.unread", "conversation.needs_reply"


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """Three quiet threads."""
    return settled_world(clock, (4, 130, 2))


def kinds(events: list[Row]) -> list[str]:
    """Their kinds, sorted."""
    return sorted(event["kind"] for event in events)


def first(rig: Rig) -> str:
    """A short thread."""
    return next(iter(rig.sim.world.conversations))


def newest(rig: Rig, conversation_id: str) -> Row:
    """Its newest message, as the server shows it."""
    message: Row = rig.sim.world.truth()["messages"][conversation_id][-1]
    return message


async def test_quiet_history(rig: Rig) -> None:
    """A first pass over read history writes no event at all."""
    await rig.poll()
    assert rig.events() == []


async def test_history_that_waits(rig: Rig) -> None:
    """Unread history is one baseline event a count, for its newest inbound message, and one for a turn too long."""
    id_ = rig.sim.world.burst(first(rig), 3)[-1]
    await rig.poll(after=8 * 3600)
    assert kinds(rig.events()) == [NEEDS, "conversation.overdue", UNREAD]
    for event in rig.events(UNREAD, NEEDS):
        assert (event["baseline"], event["message_id"]) == (1, id_)
    assert rig.events(UNREAD)[0]["unread_count"] == 3
    assert rig.events(NEEDS)[0]["needs_reply_count"] == 3
    assert rig.events("conversation.overdue")[0]["baseline"] == 1


async def test_new_message(rig: Rig) -> None:
    """An inbound message is one message.new, one unread and one needs_reply, all of them its own."""
    await rig.poll()
    id_ = rig.sim.world.add_message(first(rig), "hello")
    sent_at = newest(rig, first(rig))["createdAt"]
    await rig.poll()
    assert kinds(rig.new_events()) == [NEEDS, UNREAD, "message.new"]
    for event in rig.new_events():
        assert (event["message_id"], event["conversation_id"], event["baseline"]) == (id_, first(rig), 0)
        assert event["occurred_at"] == sent_at
    (unread,) = rig.new_events(UNREAD)
    assert (unread["unread_count"], unread["previous"]) == (1, 0)
    (new,) = rig.new_events("message.new")
    assert (new["is_from_viewer"], new["is_system"]) == (False, False)
    await rig.poll()
    assert rig.new_events() == []


async def test_burst_is_one_rise(rig: Rig) -> None:
    """A burst is one unread event for its newest message, and a message.new each."""
    await rig.poll()
    ids = rig.sim.world.burst(rig.sim.world.longest(), 120)
    await rig.poll()
    assert {event["message_id"] for event in rig.new_events("message.new")} == set(ids)
    assert len(rig.new_events("message.new")) == 120
    assert [event["message_id"] for event in rig.new_events(UNREAD, NEEDS)] == [ids[-1]] * 2


async def test_ours_and_system(rig: Rig) -> None:
    """What we write, or the system, raises no count: message.new only."""
    await rig.poll()
    rig.sim.world.add_message(first(rig), "ours", from_viewer=True)
    rig.sim.world.add_message(first(rig), "system", system=True)
    await rig.poll()
    assert kinds(rig.new_events()) == ["message.new", "message.new"]
    assert {(e["is_from_viewer"], e["is_system"]) for e in rig.new_events()} == {(True, False), (False, True)}


async def test_message_while_the_count_stays(rig: Rig) -> None:
    """Read and written to again between two polls: the count is 1 as before, and the new message has its events."""
    await rig.poll()
    rig.sim.world.add_message(first(rig), "one")
    await rig.poll()
    rig.sim.world.read_conversation(first(rig))
    rig.sim.world.dismiss_needs_reply(first(rig))
    id_ = rig.sim.world.add_message(first(rig), "two")
    await rig.poll()
    assert kinds(rig.new_events()) == [NEEDS, UNREAD, "message.new"]
    assert {event["message_id"] for event in rig.new_events()} == {id_}
    assert rig.new_events(UNREAD)[0]["previous"] == 1


async def test_read_and_answered(rig: Rig) -> None:
    """A read in the app is one conversation.read at the next poll; our answer is one conversation.answered."""
    await rig.poll()
    rig.sim.world.burst(first(rig), 2)
    await rig.poll()
    rig.sim.world.read_conversation(first(rig))
    await rig.poll()
    assert [(e["kind"], e["previous"]) for e in rig.new_events()] == [("conversation.read", 2)]
    rig.sim.world.add_message(first(rig), "answer", from_viewer=True)
    await rig.poll()
    assert kinds(rig.new_events()) == ["conversation.answered", "message.new"]
    assert rig.new_events("conversation.answered")[0]["previous"] == 2
    await rig.poll(full=True)
    assert rig.new_events() == []


async def test_rise_that_nothing_explains(rig: Rig) -> None:
    """A count that rises without a message carries the newest inbound message held, once."""
    await rig.poll()
    world, id_ = rig.sim.world, first(rig)
    world.conversations[id_].unread = 2
    world.touch(id_)
    await rig.poll()
    assert kinds(rig.new_events()) == [UNREAD]
    inbound = [m["id"] for m in world.truth()["messages"][id_] if not m["isFromViewer"]]
    assert rig.new_events()[0]["message_id"] == inbound[-1]
    world.conversations[id_].unread = 5
    rig.clock.advance(1)
    world.touch(id_)
    await rig.poll()
    assert rig.new_events() == []
    assert rig.scalar("SELECT unread_count FROM conversations WHERE id = ?", id_) == 5


async def test_message_ahead_of_the_list(rig: Rig) -> None:
    """A message that comes between the list and its thread is stored at once, and counted at the next entry, once."""
    await rig.poll()
    world, id_ = rig.sim.world, first(rig)
    early = world.add_message(id_, "early")
    late: list[str] = []

    def write_behind(record: Any) -> None:
        if record.conversation_id == id_ and not late:
            late.append(world.add_message(id_, "late"))

    rig.sim.on_request = write_behind
    await rig.poll()
    rig.sim.on_request = None
    assert {e["message_id"] for e in rig.new_events("message.new")} == {early, *late}
    assert [e["message_id"] for e in rig.new_events(UNREAD, NEEDS)] == [early, early]
    await rig.poll()
    assert kinds(rig.new_events()) == [NEEDS, UNREAD]
    assert [e["message_id"] for e in rig.new_events()] == late * 2
    await rig.poll()
    assert rig.new_events() == []


async def test_edit(rig: Rig) -> None:
    """An edit on the newest page that touches `updatedAt` is one message.edited at once; the old text is kept."""
    await rig.poll()
    message = newest(rig, rig.sim.world.longest())
    rig.sim.world.edit_message(rig.sim.world.longest(), message["id"], "better")
    await rig.poll()
    assert [(e["kind"], e["message_id"]) for e in rig.new_events()] == [("message.edited", message["id"])]
    revisions = rig.rows("SELECT message_id, revision, content FROM message_revisions")
    assert revisions == [{"message_id": message["id"], "revision": 1, "content": message["content"]}]
    await rig.poll()
    assert rig.new_events() == []


async def test_late_arrival(rig: Rig) -> None:
    """A message with an old timestamp in a known conversation is an ordinary event."""
    await rig.poll()
    long = rig.sim.world.longest()
    id_ = rig.sim.world.add_message(long, "late", created_at=rig.clock.time - timedelta(days=1, hours=2))
    await rig.poll()
    assert [e["message_id"] for e in rig.new_events("message.new")] == [id_]
    assert all(e["message_id"] == id_ and not e["baseline"] for e in rig.new_events(UNREAD, NEEDS))
    assert kinds(rig.new_events()) == [NEEDS, UNREAD, "message.new"]
    assert rig.differences() == []


async def test_late_arrival_behind_a_change(rig: Rig) -> None:
    """A late arrival is found though a flag on the newest page changed too."""
    await rig.poll()
    long = rig.sim.world.longest()
    id_ = rig.sim.world.add_message(long, "late", created_at=rig.clock.time - timedelta(days=1, hours=2))
    rig.sim.world.react(long, newest(rig, long)["id"])
    await rig.poll()
    assert [e["message_id"] for e in rig.new_events("message.new")] == [id_]


async def test_reply_in_a_long_first_pass(rig: Rig) -> None:
    """A reply that arrives while the first pass runs is an event; the history around it is not."""
    world, long = rig.sim.world, rig.sim.world.longest()
    made: list[str] = []

    def reply(record: Any) -> None:
        if record.conversation_id == long and not made:
            rig.clock.advance(5)
            made.append(world.add_message(long, "reply"))
            made.append(world.new_conversation())
            made.append(world.add_message(made[1], "first words"))

    rig.sim.on_request = reply
    await rig.poll()
    rig.sim.on_request = None
    await rig.poll()
    news = rig.events("message.new")
    assert sorted(e["message_id"] for e in news) == sorted([made[0], made[2]])
    assert [e["conversation_id"] for e in rig.events("conversation.new")] == [made[1]]
    assert all(not e["baseline"] for e in rig.events(UNREAD))
    assert len(rig.events(UNREAD)) == 2


async def test_conversation_discovered_later(rig: Rig) -> None:
    """An old thread that appears is new, but its old messages are history; one written since the poll before is not."""
    world = rig.sim.world
    old = world.new_conversation()
    world.burst(old, 3)
    world.leave_conversation(old)
    await rig.poll(after=3600)
    world.rejoin(old)
    id_ = world.add_message(old, "fresh")
    await rig.poll()
    assert kinds(rig.new_events("conversation.new", "message.new")) == ["conversation.new", "message.new"]
    assert rig.new_events("message.new")[0]["message_id"] == id_
    assert [(e["message_id"], e["baseline"]) for e in rig.new_events(UNREAD)] == [(id_, 0)]


async def test_old_conversation_discovered_unread(rig: Rig) -> None:
    """An unread old thread that appears later has baseline events only."""
    world = rig.sim.world
    old = world.new_conversation()
    world.burst(old, 3)
    world.leave_conversation(old)
    await rig.poll(after=600)
    world.rejoin(old)
    await rig.poll()
    assert rig.new_events("message.new") == []
    assert [e["baseline"] for e in rig.new_events(UNREAD, NEEDS)] == [1, 1]


async def test_overdue_once_a_turn(rig: Rig) -> None:
    """A turn that waits too long is told of once, when it has; an answer and a new question make another turn."""
    await rig.poll()
    id_ = rig.sim.world.add_message(first(rig), "question")
    rig.sim.world.add_message(first(rig), "hello?")
    await rig.poll()
    await rig.poll(after=4 * 3600 - 60)
    assert rig.events("conversation.overdue") == []
    await rig.poll(after=120)
    (event,) = rig.new_events("conversation.overdue")
    assert (event["message_id"], event["baseline"]) == (id_, 0)
    assert event["waiting_seconds"] >= 4 * 3600
    await rig.poll(after=3600)
    rig.sim.world.add_message(first(rig), "one more")
    await rig.poll(after=5 * 3600)
    await rig.poll(after=5 * 3600)
    assert len(rig.events("conversation.overdue")) == 1
    rig.sim.world.add_message(first(rig), "answer", from_viewer=True)
    again = rig.sim.world.add_message(first(rig), "and now?")
    await rig.poll()
    await rig.poll(after=5 * 3600)
    assert [e["message_id"] for e in rig.events("conversation.overdue")] == [id_, again]


async def test_dismissed_turn_is_not_overdue(rig: Rig) -> None:
    """Where the owner says that no reply is needed, nobody waits."""
    await rig.poll()
    rig.sim.world.add_message(first(rig), "thanks")
    await rig.poll()
    rig.sim.world.dismiss_needs_reply(first(rig))
    await rig.poll(full=True)
    assert kinds(rig.new_events()) == ["conversation.answered"]
    await rig.poll(after=5 * 3600)
    assert rig.events("conversation.overdue") == []


@pytest.mark.parametrize("way", ["leave", "delete"])
async def test_gone_and_returned(rig: Rig, way: str) -> None:
    """A conversation that we left (403) or that was deleted (404) is gone once, keeps its messages, and may return."""
    await rig.poll()
    world, id_ = rig.sim.world, first(rig)
    world.add_message(id_, "last words")
    getattr(world, f"{way}_conversation")(id_)
    await rig.poll(full=True)
    assert [(e["kind"], e["conversation_id"]) for e in rig.new_events()] == [("conversation.gone", id_)]
    assert rig.scalar("SELECT COUNT(*) FROM messages WHERE gone_at IS NOT NULL") == 0
    await rig.poll(full=True)
    assert rig.new_events() == []
    world.rejoin(id_) if way == "leave" else world.restore_conversation(id_)
    await rig.poll()
    assert kinds(rig.new_events()) == ["conversation.needs_reply", "conversation.returned", UNREAD, "message.new"]
    assert rig.differences() == []


async def test_proposals(rig: Rig) -> None:
    """A proposal's appearance and its change of status are told once, with the status before."""
    await rig.poll()
    world = rig.sim.world
    id_ = world.new_conversation()
    proposal = str(world.conversations[id_].proposal_id)
    await rig.poll()
    (new,) = rig.new_events("proposal.new")
    assert (new["proposal_id"], new["status"]) == (proposal, "SUBMITTED")
    world.set_proposal_status(proposal, "HIRED")
    await rig.quiet()
    (changed,) = rig.events("proposal.status_changed")
    assert (changed["proposal_id"], changed["status"], changed["previous"]) == (proposal, "HIRED", "SUBMITTED")
    await rig.poll(full=True)
    assert rig.new_events() == []


async def test_interviews(rig: Rig) -> None:
    """An interview is recorded, updated and gone, each told once with its score."""
    await rig.poll()
    world = rig.sim.world
    proposal = str(world.conversations[world.new_conversation()].proposal_id)
    await rig.poll()
    world.interview_appears(proposal, score=71)
    await rig.poll(after=3700)
    assert [(e["kind"], e["score"]) for e in rig.new_events()] == [("interview.recorded", 71)]
    world.interview_appears(proposal, score=93)
    await rig.poll(full=True)
    assert [(e["kind"], e["score"]) for e in rig.new_events()] == [("interview.updated", 93)]
    assert rig.differences() == []
    world.interview_erased(proposal)
    await rig.poll(full=True)
    assert [(e["kind"], e["score"]) for e in rig.new_events()] == [("interview.gone", 93)]
    assert rig.differences() == []


async def test_interview_that_is_not_ready(rig: Rig) -> None:
    """A transcript that is announced and not there yet is a failure, asked for again later."""
    world = rig.sim.world
    proposal = next(iter(world.proposals))
    world.interview_appears(proposal, ready=False)
    await rig.poll()
    assert rig.failures()["interview", proposal]["reason"] == "interview_not_ready"
    world.interview_ready(proposal)
    await rig.poll(after=90)
    assert rig.failures() == {}
    assert rig.differences() == []


async def test_trouble_once_an_episode(rig: Rig) -> None:
    """An outage is one account.degraded and one account.recovered, however many polls it lasts."""
    await rig.poll()
    rig.sim.pause()
    for _ in range(3):
        outcome = await rig.poll()
        assert outcome.account_state.state == "unreachable"
    (event,) = rig.events("account.degraded", "account.recovered")
    assert (event["kind"], event["state"]) == ("account.degraded", "unreachable")
    rig.sim.resume()
    for _ in range(2):
        await rig.poll()
    assert [e["kind"] for e in rig.events()] == ["account.degraded", "account.recovered"]
    assert rig.events("account.recovered")[0]["state"] == "ok"
