"""What the daemon is doing when it is killed: a world, what has happened in it since, and how the story goes on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from syncd.simulator import Quirks, Simulator, World

BASE = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""When the victim starts; all that it finds in its database happened before."""

MIGRATION = """
CREATE TABLE _crash_notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO _crash_notes (text) SELECT id FROM messages ORDER BY id;
ALTER TABLE _counters ADD COLUMN note TEXT;
UPDATE _counters SET value = value + 1000;
CREATE INDEX crash_notes_text ON _crash_notes (text);
INSERT INTO _crash_notes (text) VALUES ('the end');
"""
"""A migration that shows whether it was done half or twice."""

LETTER = "When can you start?"


class Time:
    """The server's clock: it stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """The time."""
        return self.at

    def tick(self, seconds: float = 60) -> None:
        """Let so many seconds pass."""
        self.at += timedelta(seconds=seconds)


@dataclass
class Inbox:
    """Five conversations, one of three pages, one with an interview, one empty; and a proposal without one."""

    time: Time
    world: World
    long: str
    interviewed: str
    room: str
    channel: str
    silent: str

    def proposal(self, conversation_id: str) -> str:
        """The proposal that a conversation is about."""
        return str(self.world.conversations[conversation_id].proposal_id)

    def ids(self, conversation_id: str) -> list[str]:
        """A conversation's messages, oldest first."""
        return [message.id for message in self.world.conversations[conversation_id].messages]

    def about_letter(self) -> set[str]:
        """What is about the letter, which may have left or not."""
        sent = {m.id for m in self.world.conversations[self.interviewed].messages if m.content == LETTER}
        return {self.interviewed, self.proposal(self.interviewed), *sent}


def build_inbox() -> Inbox:
    """Make the inbox; it is the same each time, ids and times included."""
    time = Time(BASE - timedelta(days=2))
    world = World(time, seed=3)
    job = world.new_job("Label short videos")
    long, interviewed, empty = (world.new_conversation(job_id=job) for _ in range(3))
    room = world.new_conversation(kind="job", job_id=job)
    channel = world.new_conversation(kind="channel", job_id=job, channel_name="general")
    inbox = Inbox(time, world, long, interviewed, room, channel, world.new_proposal(job, name="Zoe Z."))
    world.interview_appears(inbox.proposal(interviewed))
    for number in range(255):
        time.tick()
        world.add_message(long, f"Line {number}", from_viewer=number % 3 == 1)
    for conversation_id, count in ((interviewed, 5), (room, 4), (channel, 2)):
        for number in range(count):
            time.tick()
            world.add_message(conversation_id, f"Word {number}", from_viewer=number == 1, system=number == 2)
    time.tick()
    world.add_message(room, "Thanks", from_viewer=True)
    for conversation_id in (long, room, channel, empty):
        world.read_conversation(conversation_id)
    return inbox


def leave_a_message(inbox: Inbox) -> None:
    """What the event is about that was committed and never logged."""
    inbox.time.at = BASE - timedelta(minutes=30)
    inbox.world.add_message(inbox.room, "Is anybody there?")


@dataclass(frozen=True)
class Step:
    """A part of the story: when it begins, counted from BASE, and what happens on the server just before."""

    at: timedelta
    happens: Callable[[Simulator, Inbox], Any] = lambda *_: None


@dataclass(frozen=True)
class Scene:
    """One scenario; the victim dies in the first step, the restarted daemon lives through all of them.

    `mirrored`: the victim finds a database in which everything but the happenings is, with an event that was committed
    but never logged. `silent`: while the account waits, a restart may send nothing. `sends`: LETTER waits in the
    outbox, for the candidate who was interviewed.
    """

    name: str
    steps: tuple[Step, ...]
    mirrored: bool = True
    concurrency: int = 1
    quirks: dict[str, Any] = field(default_factory=dict)
    migration: str | None = None
    silent: bool = False
    sends: bool = False

    def make_quirks(self) -> Quirks:
        """The server's ways."""
        return Quirks(**self.quirks)


_NOW = timedelta()


def _reply_during_first_pass(_: Simulator, inbox: Inbox) -> None:
    inbox.world.add_message(inbox.room, "While you were reading", created_at=BASE + timedelta(seconds=30))


def _messages_come(_: Simulator, inbox: Inbox) -> None:
    world = inbox.world
    world.burst(inbox.long, 60)
    inbox.time.tick(1)
    world.add_message(inbox.interviewed, "Answered", from_viewer=True)
    inbox.time.tick(1)
    world.add_message(world.new_conversation(proposal_id=inbox.silent), "Hello, I am new")
    world.read_conversation(inbox.channel)


def _somebody_writes(_: Simulator, inbox: Inbox) -> None:
    inbox.world.add_message(inbox.long, "And you?")


def _messages_are_edited(_: Simulator, inbox: Inbox) -> None:
    inbox.world.edit_message(inbox.long, inbox.ids(inbox.long)[-3], "What I meant")
    inbox.time.tick(1)
    inbox.world.edit_message(inbox.interviewed, inbox.ids(inbox.interviewed)[-1], "Word, corrected")


def _messages_are_deleted(_: Simulator, inbox: Inbox) -> None:
    for at in (-2, 130, 7):
        inbox.world.delete_message(inbox.long, inbox.ids(inbox.long)[at])
    inbox.world.delete_message(inbox.room, inbox.ids(inbox.room)[1])


def _a_day_of_everything(sim: Simulator, inbox: Inbox) -> None:
    world = inbox.world
    _messages_are_deleted(sim, inbox)
    for at in (3, 120, -5):
        world.edit_message(inbox.long, inbox.ids(inbox.long)[at], f"Edited at {at}", touch_updated=False)
    world.react(inbox.long, inbox.ids(inbox.long)[50])
    world.dismiss_needs_reply(inbox.interviewed)
    world.leave_conversation(inbox.channel)
    world.rename(world.proposals[inbox.proposal(inbox.long)].candidate.id, "Yan Y.")
    world.interview_appears(inbox.proposal(inbox.interviewed), score=9.1)
    inbox.time.tick(1)
    world.add_message(inbox.room, "From long ago", created_at=BASE - timedelta(days=1, hours=20))


def _an_interview_comes(_: Simulator, inbox: Inbox) -> None:
    inbox.world.interview_appears(inbox.proposal(inbox.long), score=77)
    inbox.world.set_proposal_status(inbox.proposal(inbox.long), "SHORTLISTED")
    inbox.world.add_message(inbox.long, "I am done with the interview")


def _the_server_limits(sim: Simulator, inbox: Inbox) -> None:
    _messages_come(sim, inbox)
    sim.faults.rate_limit(0.2, "header")
    sim.faults.rate_limit(120, path="/messages", skip=4, times=None)


def _the_limit_ends(sim: Simulator, _: Inbox) -> None:
    sim.faults.clear()


SCENES = (
    Scene("first pass", (Step(_NOW, _reply_during_first_pass),), mirrored=False),
    Scene("first pass, eight at once", (Step(_NOW, _reply_during_first_pass),), mirrored=False, concurrency=8),
    Scene("tail", (Step(_NOW, _messages_come),)),
    Scene("edit found", (Step(_NOW, _messages_are_edited),)),
    Scene("deletion found", (Step(timedelta(hours=25), _messages_are_deleted),)),
    Scene("reconcile", (Step(timedelta(hours=25), _a_day_of_everything),)),
    Scene("interview arriving", (Step(timedelta(hours=2), _an_interview_comes),)),
    Scene("429 wait", (Step(_NOW, _the_server_limits), Step(timedelta(minutes=5), _the_limit_ends)), silent=True),
    Scene("cursor dying", (Step(timedelta(hours=3), _messages_come),), quirks={"cursor_lifetime_seconds": 3600}),
    Scene("send", (Step(_NOW, _somebody_writes), Step(timedelta(minutes=3))), sends=True),
    Scene("migration", (Step(_NOW, _messages_are_edited),), migration=MIGRATION),
)
"""Every scenario of the matrix."""
