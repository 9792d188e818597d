"""The simulated world: a whole inbox with years behind it, and what goes on in it, from one seed."""

import random
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from syncd.simulator import texts
from syncd.simulator.openats import Team
from syncd.simulator.records import DAY_MS, Conversation, Interview, Json, Message, Proposal, iso, to_ms
from syncd.simulator.world import Clock, HiringHappenings

# Lengths at which paging goes wrong: nothing, one, a page, a page and one, several pages.
_TELLING_LENGTHS = (0, 1, 350, 101, 100, 99, 420, 20, 21, 200, 201, 640, 19, 300)
_FEED_MESSAGES = 2_000
_MOST_UNREAD = 100
# Of every ten conversations; and which of every 67, 89 and 41 is rare in some way.
_PROPOSAL_THREADS, _CHANNEL = 6, 9
_ODD_TYPE, _ODD_BUCKET, _TERSE = 11, 17, 5
# Shares of messages: those that tie with the one before, system ones (half of them without a sender), and ours.
_TIES, _SENDERLESS, _SYSTEM, _OURS, _RARE = 0.01, 0.03, 0.06, 0.5, 0.02
_ROOM_TYPES = ("DIRECT_MESSAGE", "JOB_DM", "JOB_DM")
_STATUSES = (("SUBMITTED", "Submitted"), ("SHORTLISTED", "Shortlisted"), ("HIRED", "Hired"), ("DECLINED", "Declined"))


def fill(world: HiringHappenings, *, conversations: int, messages: int, jobs: int, now: int) -> None:
    """Fill an empty world with a history that ends before `now` (milliseconds)."""
    rng = world.random
    _post_jobs(world, jobs, now)
    for number, length in enumerate(_plan_lengths(rng, conversations, messages)):
        conversation = _open(world, number, now)
        _write_history(world, conversation, length, now)
        _settle_counts(world, conversation)
    _read_all_but(world, _MOST_UNREAD)
    for _ in range(conversations // 10):
        _propose(world, now, age_days=rng.uniform(1, 200))
    _add_foreign_proposal(world, now)
    _fill_feed(world)


def _chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _plan_lengths(rng: random.Random, conversations: int, messages: int) -> list[int]:
    """How many messages each conversation gets: the telling lengths first, then a long tail; the sum is exact."""
    telling: list[int] = []
    for length in _TELLING_LENGTHS:
        if len(telling) < conversations // 4 and sum(telling) + length <= messages // 2:
            telling.append(length)
    rest = conversations - len(telling)
    weights = [rng.lognormvariate(0, 1.1) for _ in range(rest)]
    scale = (messages - sum(telling)) / sum(weights) if weights else 0
    lengths = [int(weight * scale) for weight in weights]
    if lengths:
        lengths[0] += messages - sum(telling) - sum(lengths)
    lengths += telling
    rng.shuffle(lengths)
    return lengths


def _post_jobs(world: HiringHappenings, jobs: int, now: int) -> None:
    for number in range(jobs):
        title = texts.JOB_TITLES[number % len(texts.JOB_TITLES)]
        job = world.jobs[world.new_job(title, status=("OPEN", "OPEN", "CLOSED", "PAUSED_BY_ROBOT")[number % 4])]
        job.created = job.updated = now - (400 - number % 300) * DAY_MS


def _propose(world: HiringHappenings, now: int, *, age_days: float) -> Proposal:
    rng = world.random
    job = rng.choice(list(world.jobs.values()))
    created = max(job.created + 1, now - int(age_days * DAY_MS))
    proposal = world.store_proposal(job, world.store_candidate(texts.masked_name(rng)), created)
    proposal.status, proposal.status_label = rng.choice(_STATUSES)
    proposal.match_score = rng.choice((0.91, 87, None, 0.5, 64.5))
    if _chance(rng, 0.01):
        proposal.status, proposal.status_label = "ON_THE_MOON", None
        proposal.extra = {"tier": "gold", "flags": {"rush": True, "notes": [None, 1.5, "ü"]}}
    if _chance(rng, 0.6):
        proposal.interview = _record_interview(world, created)
    return proposal


def _record_interview(world: HiringHappenings, after: int) -> Interview:
    rng = world.random
    score = rng.choice((86, 8.6, 72, 9, 64.25, None))
    start = after + rng.randint(60_000, 600_000)
    if _chance(rng, 0.2):
        lines = [("interviewer", "Interview completed.")]
    else:
        pairs = zip(texts.QUESTIONS, rng.sample(texts.ANSWERS, 4), strict=True)
        lines = [line for q, a in pairs for line in (("interviewer", q), ("candidate", a))]
    exchange: list[Json] = [
        {"id": world.new_id("t"), "role": role, "content": text, "sentAt": iso(start + n * 45_000)}
        for n, (role, text) in enumerate(lines)
    ]
    return Interview(world.new_id("i"), score, rng.choice(texts.SUMMARIES), exchange)


def _open(world: HiringHappenings, number: int, now: int) -> Conversation:
    """A conversation of a kind that its number decides: of ten, six proposal threads, three job threads, a channel."""
    rng = world.random
    age = rng.uniform(2, 300)
    if number % 10 < _PROPOSAL_THREADS:
        proposal = _propose(world, now, age_days=age)
        conversation = world.conversations[world.open_proposal_thread(proposal.id)]
        conversation.updated = proposal.created
    else:
        channel = rng.choice(texts.CHANNELS) if number % 10 == _CHANNEL else None
        kind = "CHANNEL" if channel else rng.choice(_ROOM_TYPES)
        job = rng.choice(list(world.jobs.values()))
        conversation = world.conversations[world.new_room(job_id=job.id, channel_name=channel, type=kind)]
        conversation.updated = max(job.created, now - int(age * DAY_MS))
    _make_odd(conversation, number)
    return conversation


def _make_odd(conversation: Conversation, number: int) -> None:
    if number % 67 == _ODD_TYPE:
        conversation.type = "HOLOGRAM_V2"
        conversation.extra = {"pinned": True, "labels": ["später", None, {"depth": 1}], "muteUntil": None}
    if number % 89 == _ODD_BUCKET:
        conversation.bucket = "archive"
    conversation.terse = number % 41 == _TERSE


def _moments(rng: random.Random, start: int, end: int, count: int) -> Iterator[int]:
    """`count` times between two, rising, with bursts and now and then a tie."""
    step = max(2, (end - start) // max(1, count))
    now = start
    for _ in range(count):
        chance = rng.random()
        now += 0 if chance < _TIES else int(step * chance)
        yield now


def _write_history(world: HiringHappenings, conversation: Conversation, length: int, now: int) -> None:
    rng = world.random
    end = now - int(rng.expovariate(1 / 20) * DAY_MS) - 60_000
    start = min(conversation.updated, end - length * 30_000 - 1)
    others = sorted(conversation.participants - {world.viewer})
    made = [_write(world, conversation, at, rng.choice(others)) for at in _moments(rng, start, end, length)]
    conversation.messages = sorted(made, key=lambda message: message.key)
    if made:
        conversation.updated = conversation.messages[-1].created


def _write(world: HiringHappenings, conversation: Conversation, at: int, other: str) -> Message:
    rng = world.random
    chance = rng.random()
    message = Message(world.new_id("m"), at, at, conversation.id, other, None, job_id=conversation.job_id)
    if chance < _SYSTEM:
        message.system, message.content = True, rng.choice(texts.SYSTEM)
        message.sender = None if chance < _SENDERLESS else world.viewer
        message.message_type = "SYSTEM"
    elif chance < _OURS:
        message.sender, message.content = world.viewer, rng.choice(texts.OUTBOUND)
    else:
        message.content = rng.choice(texts.INBOUND)
    if chance * 1000 % 1 < _RARE:
        _decorate(rng, message)
    return message


def _decorate(rng: random.Random, message: Message) -> None:
    """Make a message one of the rare ones: odd text, attachments, an edit, unknown values and fields."""
    message.content = rng.choice(texts.ODD) if not message.system else message.content
    message.attachments = rng.randint(0, 3)
    message.has_audio = _chance(rng, 0.3)
    message.reactions = rng.randint(0, 4)
    message.terse = _chance(rng, 0.2)
    message.message_type = rng.choice((None, "TEXT", "VOICE_NOTE_3D"))
    if _chance(rng, 0.4):
        message.edited = message.updated = message.created + rng.randint(1_000, 50_000)
    if _chance(rng, 0.3):
        message.extra = {"threadDepth": 2, "mentions": [{"userId": "u1", "at": [0, 5]}], "big": 2**53, "none": None}


def _settle_counts(world: HiringHappenings, conversation: Conversation) -> None:
    """Count what nobody answered; one in three of those was already read, some were dismissed."""
    waiting: list[Message] = []
    for message in reversed(conversation.messages):
        if message.system:
            continue
        if message.sender == world.viewer:
            break
        waiting.append(message)
    conversation.needs_reply = 0 if _chance(world.random, 0.1) else len(waiting)
    if _chance(world.random, 0.66):
        return
    conversation.unread = len(waiting)
    for message in waiting:
        message.unread = True


def _read_all_but(world: HiringHappenings, count: int) -> None:
    """An inbox of any size has a bounded number of unread conversations."""
    unread = [conversation.id for conversation in world.conversations.values() if conversation.unread]
    for conversation_id in unread[count:]:
        world.read_conversation(conversation_id)


def _add_foreign_proposal(world: HiringHappenings, now: int) -> None:
    """A proposal on somebody else's job, which the owner may not read."""
    owner = world.new_id("u")
    job = world.jobs[world.new_job("Somebody else's job", owner=owner)]
    job.created = job.updated = now - DAY_MS
    world.store_proposal(job, world.store_candidate("Nobody N."), now - DAY_MS + 1)


def _fill_feed(world: HiringHappenings) -> None:
    """The feed's past: every proposal of the owner, and the newest inbound messages."""
    inbound = [
        (message.created, message.id, conversation)
        for conversation in world.conversations.values()
        for message in conversation.messages
        if not message.system and message.sender != world.viewer
    ]
    inbound.sort(key=lambda entry: entry[:2])
    entries: list[tuple[int, str, str, Json, str | None]] = [
        (at, "message.received", id_, {"conversationId": c.id, "messageId": id_}, c.job_id)
        for at, id_, c in inbound[-_FEED_MESSAGES:]
    ]
    entries += [
        (p.created, "proposal.received", p.id, {"proposalId": p.id, "jobId": p.job.id}, p.job.id)
        for p in world.proposals.values()
        if p.job.owner == world.viewer
    ]
    for at, type_, resource_id, data, job_id in sorted(entries, key=lambda entry: entry[:3]):
        world.add_event(type_, resource_id, data, job_id=job_id, at=at)


# The simulated world: a seeded inbox and everything that can happen to it.


class World(HiringHappenings):
    """An OpenTrain server's data; empty until filled, the same for the same seed."""

    @classmethod
    def generate(
        cls,
        seed: int = 1,
        *,
        conversations: int = 200,
        messages: int = 20_000,
        jobs: int = 12,
        clock: Clock | None = None,
        now: datetime | None = None,
    ) -> "World":
        """A world with a history that ends before `now` (default: the clock's time)."""
        world = cls(clock, seed)
        fill(
            world,
            conversations=conversations,
            messages=messages,
            jobs=max(1, jobs),
            now=to_ms(now or world.now()),
        )
        return world


# Happenings over time, from a seed: what a live inbox looks like.


if TYPE_CHECKING:
    from collections.abc import Callable


class Scenario:
    """Lets one thing after another happen in a world; `step` by hand, or `start` for a thread."""

    def __init__(self, world: World, *, seed: int = 1, team: Team | None = None) -> None:
        self._world = world
        self._team = team
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._stepped = threading.Condition()
        self._steps = 0
        self._thread: threading.Thread | None = None
        self._happenings: list[tuple[int, Callable[[], object]]] = [
            (50, self._receive),
            (12, self._answer),
            (10, self._read),
            (5, self._receive_burst),
            (5, self._edit),
            (2, self._delete),
            (3, self._react),
            (4, self._open),
            (4, self._propose),
            (3, self._decide),
            (2, self._record),
        ]
        if team is not None:
            self._happenings.append((15, self._discuss))

    def step(self) -> str:
        """Let one thing happen; returns its name."""
        weights = [weight for weight, _ in self._happenings]
        _, happening = self._random.choices(self._happenings, weights)[0]
        with self._world.lock:
            happening()
        with self._stepped:
            self._steps += 1
            self._stepped.notify_all()
        return happening.__name__.strip("_")

    def wait_for(self, steps: int, *, timeout: float = 5.0) -> bool:
        """Block until so many things have happened; False after `timeout` seconds."""
        with self._stepped:
            return self._stepped.wait_for(lambda: self._steps >= steps, timeout)

    def start(self, every: float) -> None:
        """Step in a thread, every so many seconds on average."""
        self._thread = threading.Thread(target=self._run, args=(every,), name="scenario", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _run(self, every: float) -> None:
        while not self._ended.wait(self._random.uniform(0.2, 1.8) * every):
            self.step()

    def _discuss(self) -> None:
        """Somebody of the OpenATS team says something."""
        chats = [(kind, id_) for kind, found in self._team.subjects.items() for id_ in found] if self._team else []
        if self._team and chats:
            self._team.say_something(*self._random.choice(chats))

    def _any(self) -> Conversation:
        """A conversation, mostly one of the recently active."""
        listed = self._world.listed(self._world.viewer)
        if not listed:
            return self._world.conversations[self._world.new_conversation()]
        return listed[min(int(self._random.expovariate(1 / 15)), len(listed) - 1)]

    def _receive(self) -> None:
        self._world.add_message(self._any().id, self._random.choice(texts.INBOUND))

    def _receive_burst(self) -> None:
        self._world.burst(self._any().id, self._random.randint(2, 6), text="And one more thing ({n})")

    def _answer(self) -> None:
        conversation = self._any()
        self._world.read_conversation(conversation.id)
        self._world.add_message(conversation.id, self._random.choice(texts.OUTBOUND), from_viewer=True)

    def _read(self) -> None:
        unread = [c for c in self._world.listed(self._world.viewer) if c.unread]
        if unread:
            self._world.read_conversation(self._random.choice(unread).id)

    def _edit(self) -> None:
        conversation = self._any()
        if conversation.messages:
            last = conversation.messages[-1]
            self._world.edit_message(conversation.id, last.id, f"{last.content} (edited)"[:10_000])

    def _delete(self) -> None:
        conversation = self._any()
        if len(conversation.messages) > 1:
            self._world.delete_message(conversation.id, self._random.choice(conversation.messages[-10:]).id)

    def _react(self) -> None:
        conversation = self._any()
        if conversation.messages:
            self._world.react(conversation.id, conversation.messages[-1].id)

    def _open(self) -> None:
        conversation_id = self._world.new_conversation()
        self._world.add_message(conversation_id, "Hello! I would like to join your project.")

    def _propose(self) -> None:
        self._world.new_proposal()

    def _decide(self) -> None:
        if not self._world.proposals:
            return
        status = self._random.choice(("SHORTLISTED", "HIRED", "DECLINED"))
        self._world.set_proposal_status(self._random.choice(list(self._world.proposals)), status)

    def _record(self) -> None:
        waiting = [p.id for p in self._world.proposals.values() if p.interview is None]
        if waiting:
            self._world.interview_appears(self._random.choice(waiting), score=self._random.randint(40, 99))
