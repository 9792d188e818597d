"""A comparison of everything finds what leaves no sign, believes no large loss at once, and costs as a first pass."""

from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import World

pytestmark = pytest.mark.anyio
LENGTHS = (4, 230, 2, 7, 30, 1, 9, 100, 101, 0)


@pytest.fixture
def world(clock: SteeredClock) -> World:
    """Ten threads with a few hundred messages, and an interview."""
    made = settled_world(clock, LENGTHS)
    for proposal in list(made.proposals)[:3]:
        made.interview_appears(proposal)
    clock.advance(3600)
    return made


def gone(rig: Rig) -> int:
    """How many messages are marked gone."""
    return int(rig.scalar("SELECT COUNT(*) FROM messages WHERE gone_at IS NOT NULL"))


async def test_everything_silent(rig: Rig) -> None:
    """Edits, deletions, reactions, left and deleted threads and erased interviews: all as the server says."""
    await rig.poll()
    world = rig.sim.world
    ids = list(world.conversations)
    long = ids[1]
    texts = world.truth()["messages"][long]
    world.edit_message(long, texts[5]["id"], "edited", touch_updated=False)
    world.edit_message(long, texts[150]["id"], "edited", touch_updated=False)
    for message in (texts[0], texts[120], texts[-2]):
        world.delete_message(long, message["id"])
    world.react(ids[4], world.truth()["messages"][ids[4]][3]["id"])
    world.leave_conversation(ids[5])
    world.delete_conversation(ids[2])
    world.interview_erased(next(iter(world.proposals)))
    await rig.poll(full=True)
    assert rig.differences() == []
    kinds = sorted(event["kind"] for event in rig.new_events())
    deleted, edited = ["message.deleted"] * 3, ["message.edited"] * 2
    assert kinds == ["conversation.gone"] * 2 + ["interview.gone"] + deleted + edited
    assert rig.scalar("SELECT COUNT(*) FROM message_revisions") == 2
    await rig.poll(full=True)
    assert rig.new_events() == []


async def test_by_the_clock(rig: Rig) -> None:
    """Every reconcile_hours it happens by itself, spread over polls, and once."""
    await rig.poll()
    world = rig.sim.world
    long = list(world.conversations)[1]
    world.delete_message(long, world.truth()["messages"][long][50]["id"])
    await rig.poll(after=3600)
    assert gone(rig) == 0
    await rig.poll(after=86_400)
    await rig.quiet()
    await rig.poll(after=60)
    assert gone(rig) == 1
    assert rig.differences() == []
    before = rig.account()["last_reconciled_at"]
    await rig.poll(after=60)
    assert rig.account()["last_reconciled_at"] == before
    assert rig.sim.requests.count(path="^/messages") <= 2


async def test_cost(rig: Rig) -> None:
    """Comparing everything costs at most the requests of a first pass, and writes nothing where nothing changed."""
    await rig.poll()
    first_pass = len(rig.sim.requests)
    tables = ("conversations", "messages", "proposals", "interviews", "interview_messages")
    numbers = {table: rig.scalar(f"SELECT MAX(change_id) FROM {table}") for table in tables}  # noqa: S608 - names above
    await rig.poll(full=True)
    assert len(rig.sim.requests) <= first_pass + 1  # the unread list is not part of a first pass
    assert numbers == {table: rig.scalar(f"SELECT MAX(change_id) FROM {table}") for table in tables}  # noqa: S608 - names above
    assert rig.events() == []


async def test_restored(rig: Rig) -> None:
    """A deleted message that returns is restored, as it was."""
    await rig.poll()
    world = rig.sim.world
    long = list(world.conversations)[1]
    id_ = world.truth()["messages"][long][50]["id"]
    world.delete_message(long, id_)
    await rig.poll(full=True)
    world.restore_message(long, id_)
    await rig.poll(full=True)
    assert [(e["kind"], e["message_id"]) for e in rig.new_events()] == [("message.restored", id_)]
    assert rig.differences() == []


async def test_new_messages_meanwhile(rig: Rig) -> None:
    """What arrives while everything is compared is never taken for deleted."""
    await rig.poll()
    world, seen = rig.sim.world, 0

    def write(record: Any) -> None:
        nonlocal seen
        if record.conversation_id in world.conversations and seen < 12:
            seen += 1
            world.add_message(record.conversation_id, f"meanwhile {seen}")

    rig.sim.on_request = write
    await rig.poll(full=True)
    rig.sim.on_request = None
    await rig.quiet()
    assert gone(rig) == 0
    assert rig.differences() == []


def lose_messages(world: World) -> str:
    """Delete most of the longest thread, a quarter of all messages; the thread's id."""
    long = world.longest()
    for message in world.truth()["messages"][long][:130]:
        world.delete_message(long, message["id"])
    return long


async def test_large_loss_of_messages(rig: Rig) -> None:
    """A loss of over a fifth is believed only when a second look, at least ten minutes later, agrees."""
    await rig.poll()
    lose_messages(rig.sim.world)
    await rig.poll(full=True)
    await rig.poll(full=True, after=300)
    await rig.poll(after=60)
    assert gone(rig) == 0
    assert rig.new_events() == []
    guard = rig.scalar("SELECT json_extract(state, '$.loss_guard') FROM _accounts")
    assert "130 messages" in guard
    await rig.poll(after=400)
    assert gone(rig) == 130
    assert len(rig.new_events("message.deleted")) == 130
    assert rig.differences() == []
    assert rig.scalar("SELECT json_extract(state, '$.loss_guard') FROM _accounts") is None
    await rig.poll(full=True)
    assert rig.new_events() == []


async def test_large_loss_that_was_none(rig: Rig) -> None:
    """Where the second look finds them again, nothing was ever gone."""
    await rig.poll()
    world = rig.sim.world
    long = lose_messages(world)
    await rig.poll(full=True)
    for id_ in list(world.conversations[long].deleted_messages):
        world.restore_message(long, id_)
    await rig.poll(after=700)
    assert gone(rig) == 0
    assert rig.events("message.deleted") == []
    assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0


async def test_second_look_that_fails(rig: Rig) -> None:
    """A second look that could not be had agrees to nothing: the loss waits until it can."""
    await rig.poll()
    long = lose_messages(rig.sim.world)
    await rig.poll(full=True)
    rig.sim.faults.status(500, conversation=long, times=None)
    await rig.poll(after=700)
    await rig.poll(after=30)
    assert gone(rig) == 0
    rig.sim.faults.clear()
    await rig.poll(after=400)
    await rig.poll(after=700)
    assert gone(rig) == 130
    assert rig.differences() == []


@pytest.mark.parametrize("way", ["leave", "delete"])
async def test_large_loss_of_conversations(rig: Rig, way: str) -> None:
    """The same for conversations."""
    await rig.poll()
    world = rig.sim.world
    for id_ in list(world.conversations)[:7]:
        getattr(world, f"{way}_conversation")(id_)
    await rig.poll(full=True)
    await rig.poll(after=60)
    assert rig.events("conversation.gone") == []
    await rig.poll(after=700)
    assert len(rig.events("conversation.gone")) == 7
    assert gone(rig) == 0
    assert rig.differences() == []


async def test_list_that_shows_nothing(rig: Rig) -> None:
    """An empty list makes nothing gone: each conversation is asked for itself."""
    await rig.poll()
    rig.sim.faults.empty_page(listing=True, times=None)
    await rig.poll(full=True)
    await rig.poll(full=True, after=700)
    assert rig.events() == []
    rig.sim.faults.clear()
    await rig.poll()
    assert rig.differences() == []


async def test_interrupted(rig: Rig) -> None:
    """A comparison that an outage interrupts goes on after a restart, and is whole."""
    await rig.poll()
    world = rig.sim.world
    long = list(world.conversations)[1]
    for number in (3, 140, 200):
        world.delete_message(long, world.truth()["messages"][long][number]["id"])

    def fall_over(record: Any) -> None:
        if record.conversation_id == long and "cursor" in record.query:
            rig.sim.faults.status(500, path="^/messages", times=None)

    rig.sim.on_request = fall_over
    await rig.poll(full=True)
    rig.sim.on_request = None
    rig.sim.faults.clear()
    await rig.restart()
    await rig.quiet()
    await rig.poll(after=400)
    assert gone(rig) == 3
    assert rig.differences() == []


async def test_read_while_much_is_owed(rig: Rig) -> None:
    """A read in the app is seen by the next poll, also while a comparison is spread over many polls."""
    await rig.poll()
    first, *others = rig.sim.world.conversations
    for id_ in (first, *others):
        rig.clock.advance(1)
        rig.sim.world.add_message(id_, "question")
    await rig.poll()
    id_ = first
    await rig.poll(after=86_400)
    assert rig.rows("SELECT * FROM _owed WHERE kind = 'conversation' AND subject_id = ?", id_)
    rig.sim.world.read_conversation(id_)
    await rig.poll(after=0.5)
    assert [e["kind"] for e in rig.new_events("conversation.read")] == ["conversation.read"]
    await rig.quiet()
    assert len(rig.events("conversation.read")) == 1
    await rig.poll()
    assert len(rig.events("conversation.unread")) == len(LENGTHS)
    assert len(rig.events("conversation.read")) == 1
    assert rig.scalar("SELECT COUNT(*) FROM _owed WHERE kind = 'conversation'") == 0
    assert rig.scalar("SELECT unread_count FROM conversations WHERE id = ?", id_) == 0


class TestProposals:
    """A comparison asks for every proposal that is held, however it was found."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """Two threads, and proposals to whose candidates nobody ever wrote."""
        made = settled_world(clock, (3, 3))
        for _ in range(4):
            made.new_proposal()
        clock.advance(3600)
        return made

    async def change(self, rig: Rig, ids: list[str]) -> None:
        """An interview appears, one is replaced, another bid is made, and a person leaves."""
        world = rig.sim.world
        world.interview_appears(ids[0])
        world.interview_appears(ids[1], messages=[{"id": "t", "role": "candidate", "content": "Anew.", "sentAt": None}])
        world.proposals[ids[2]].bid = {"amountUsd": 99, "unit": "HOUR", "labelerHourlyRateUsd": 1.0}
        world.erase_candidate(world.proposals[ids[3]].candidate.id)
        await rig.poll(full=True)
        await rig.poll(full=True, after=3700)
        world.erase_candidate(world.proposals[ids[3]].candidate.id)

    def is_whole(self, rig: Rig, erased: str) -> None:
        """Every proposal, interview and candidate is as the server says, and the person who left is scrubbed."""
        assert rig.differences() == []
        assert rig.scalar("SELECT erased_at FROM candidates WHERE id = ?", erased) is not None

    async def test_that_nobody_wrote_to(self, rig: Rig) -> None:
        """What changed at a proposal without a conversation is found."""
        rig.change(every_proposal=True)
        ids = [id_ for id_, proposal in rig.sim.world.proposals.items() if proposal.conversation_id is None]
        rig.sim.world.interview_appears(ids[1])
        await rig.poll()
        await self.change(rig, ids)
        self.is_whole(rig, rig.sim.world.proposals[ids[3]].candidate.id)

    async def test_whose_conversation_is_gone(self, rig: Rig) -> None:
        """The same where the conversation was there once."""
        world = rig.sim.world
        ids = [id_ for id_, proposal in world.proposals.items() if proposal.conversation_id is None]
        for id_ in ids:
            world.add_message(world.open_proposal_thread(id_), "Hello.")
        world.interview_appears(ids[1])
        await rig.poll()
        for id_ in ids:
            world.leave_conversation(str(world.proposals[id_].conversation_id))
        await rig.poll(full=True)
        await rig.poll(after=700)
        rig.clock.advance(10 * 86_400)
        await rig.quiet()
        await self.change(rig, ids)
        self.is_whole(rig, world.proposals[ids[3]].candidate.id)


class TestLossBesideWhatIsGone:
    """What is gone already is no measure."""

    @pytest.fixture
    def world(self, clock: SteeredClock) -> World:
        """A long thread, and a short one."""
        return settled_world(clock, (400, 60))

    async def test_a_loss_is_measured_against_what_is_visible(self, rig: Rig) -> None:
        """A third of the messages that can be seen is a large loss, however many lie in conversations that are gone."""
        await rig.poll()
        world = rig.sim.world
        long = world.longest()
        world.leave_conversation(long)
        world.touch(long)
        await rig.poll(full=True)
        await rig.quiet()
        await rig.poll(full=True, after=700)
        assert len(rig.events("conversation.gone")) == 1
        short = next(id_ for id_ in world.conversations if id_ != long)
        for message in world.truth()["messages"][short][:20]:
            world.delete_message(short, message["id"])
        await rig.poll(full=True)
        assert gone(rig) == 0
        await rig.poll(after=700)
        assert gone(rig) == 20
        assert rig.differences() == []
