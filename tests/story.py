"""A story of a mirror and its server: what happens there, and what goes wrong, as rules of a state machine."""

import asyncio
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace

from rig import Rig, SteeredClock
from syncd.simulator import Quirks, Simulator, World

_Happen = TypeVar("_Happen", bound=Callable[..., None])

DAY = 86_400.0
_LENGTHS = (0, 1, 7, 100, 130, 260)
_LYING = ("null_cursor", "empty_page")
_BROKEN = (
    "reset",
    "reset_midway",
    "truncate",
    "cut_json",
    "html",
    "empty_object",
    "gateway",
    "dead_cursor",
    "repeat_cursor",
    "cycle_cursor",
)
_QUIRKS = (
    ("newer_without_cursor", "oldest"),
    ("newer_without_cursor", "newest"),
    ("page_order", "oldest"),
    ("page_order", "newest"),
    ("page_order", "walk"),
    ("cursor_inclusive", True),
    ("cursor_inclusive", False),
    ("last_page_cursor", True),
    ("last_page_cursor", False),
    ("list_last_page_cursor", True),
    ("list_cursor", "offset"),
    ("updates_available", False),
    ("updates_available", True),
    ("cursor_lifetime_requests", 6),
    ("cursor_lifetime_seconds", 600.0),
    ("filters_late", True),
    ("filters_late", False),
    ("page_cap", 2),  # with less, cursors that repeat their own message lead nowhere
    ("page_cap", 30),
    ("page_cap", None),
)

_POISON = ("null", "{}", '{"id":""}', '{"id":5.0}', '{"id":18446744073709551616}', '{"id":"odd","x":1e400}')
_SPOILED = ('"{id}","x":NaN', r'"{id}\u0000"', r'"\u0000{id}"', "[]")
"""What an id and what follows it become, for an entry that can't be read."""

picks = st.integers(0, 30)


def counted(**choices: Any) -> Callable[[_Happen], _Happen]:
    """A rule whose runs, and what was chosen by name, are counted: `--hypothesis-show-statistics` prints them."""

    def decorate(happen: _Happen) -> _Happen:
        @wraps(happen)
        def run(self: "Story", **chosen: Any) -> None:
            named = [text for text in chosen.values() if isinstance(text, str | tuple)]
            event(" ".join(map(str, (happen.__name__, *named))))
            happen(self, **chosen)

        as_rule: Callable[[Any], Any] = rule(**choices)
        return cast("_Happen", as_rule(run))

    return decorate


class LocalClock(SteeredClock):
    """The mirror's clock: it runs with the server's, and its wall time may be set wrong."""

    def __init__(self, server: SteeredClock) -> None:
        super().__init__()
        self.server = server
        self.skew = 0.0
        self._passed = 0.0

    def now(self) -> str:
        """The wall clock's time."""
        wrong = self.server.time + timedelta(seconds=self.skew)
        return wrong.isoformat(timespec="milliseconds")[:-6] + "Z"

    def monotonic(self) -> float:
        """Seconds that only grow, whatever the wall clock does."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, here and there."""
        self._passed += seconds
        self.server.advance(seconds)


class Story(RuleBasedStateMachine):
    """One account against everything the issue names."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.news: set[str] = set()
        self.left: set[str] = set()
        self.twins: set[tuple[str, str]] = set()
        self.has_failed = True
        self.steps = 0

    @initialize(
        length=st.sampled_from(_LENGTHS),
        ways=st.sets(st.sampled_from(_QUIRKS), max_size=4),
        polled=st.booleans(),
        every=st.booleans(),
    )
    def begin(self, length: int, ways: set[tuple[str, Any]], *, polled: bool, every: bool) -> None:
        """A small inbox, on a server that turned out some way, mirrored or not yet."""
        server = SteeredClock()
        self.world = World(server, seed=5)
        for count in (length, 3, 0):
            self.world.burst(self.world.new_conversation(), count, from_viewer=count == 3)
        self.world.new_conversation(kind="channel", channel_name="general")
        server.advance(DAY)
        self.sim = Simulator(self.world, quirks=Quirks(**dict(sorted(ways, key=str)))).start()
        for way in sorted(ways, key=str):
            event(f"begin with {way}")
        self.clock = LocalClock(server)
        self.rig = Rig(self.sim, Path(self.folder.name) / "syncd.db", self.clock)
        self.rig.policy = replace(self.rig.policy, every_proposal=every)
        self.runner.run(self.rig.start())
        if polled:
            self.runner.run(self.rig.poll(after=0.0))
        self.has_failed = False

    def pick(self, number: int) -> str:
        """One of the conversations that the viewer sees, or a new one."""
        ids = sorted(c.id for c in self.world.listed(self.world.viewer))
        return ids[number % len(ids)] if ids else self.world.new_conversation()

    def pick_message(self, conversation_id: str, number: int) -> str:
        """One of its messages, the newest ones first, or a new one."""
        ids = [message.id for message in self.world.conversations[conversation_id].messages]
        return ids[-1 - number % len(ids)] if ids else self.add(conversation_id)

    def pick_proposal(self, number: int) -> str | None:
        """The proposal of one of the conversations, if it has one."""
        return self.world.conversations[self.pick(number)].proposal_id

    def add(self, conversation_id: str, **how: Any) -> str:
        """Add a message; in a conversation that is known to be whole it is news."""
        message_id = self.world.add_message(conversation_id, "Hello", **how)
        whole = "SELECT COUNT(*) FROM _threads WHERE conversation_id = ? AND json_extract(state, '$.whole_since') > ''"
        if self.rig.scalar(whole, conversation_id):
            self.news.add(message_id)
        return message_id

    def is_erased(self, candidate_id: str) -> bool:
        """Whether one who was known by name has left, and the server still shows both signs of it."""
        if candidate_id not in self.left:
            return False
        theirs = [p for p in self.world.proposals.values() if p.candidate.id == candidate_id]
        return theirs[0].candidate.name == "Freelancer" and all(p.interview is None for p in theirs)

    # What happens on the server

    @counted(number=picks, from_viewer=st.booleans(), system=st.booleans())
    def new_message(self, number: int, *, from_viewer: bool, system: bool) -> None:
        """A message, of either side or of the system."""
        self.add(self.pick(number), from_viewer=from_viewer, system=system)

    @counted(number=picks, count=st.sampled_from([2, 20, 101, 210]))
    def burst(self, number: int, count: int) -> None:
        """Many messages at once."""
        conversation_id = self.pick(number)
        for _ in range(count):
            self.add(conversation_id)

    @counted(number=picks, hours=st.sampled_from([0.01, 3.0, 23.0, 30.0]))
    def late_arrival(self, number: int, hours: float) -> None:
        """A message with an older time."""
        self.add(self.pick(number), created_at=self.world.now() - timedelta(hours=hours))

    @counted(number=picks, which=st.integers(0, 250), touch=st.booleans())
    def edit(self, number: int, which: int, *, touch: bool) -> None:
        """Another text; the conversation's time may stay."""
        conversation_id = self.pick(number)
        message_id = self.pick_message(conversation_id, which)
        self.world.edit_message(conversation_id, message_id, f"Edited at {self.world.now()}", touch_updated=touch)

    @counted(number=picks, which=st.integers(0, 250), count=st.sampled_from([1, 3, 40]))
    def delete(self, number: int, which: int, count: int) -> None:
        """Some messages vanish."""
        conversation_id = self.pick(number)
        for _ in range(min(count, len(self.world.conversations[conversation_id].messages))):
            message_id = self.pick_message(conversation_id, which)
            self.world.delete_message(conversation_id, message_id)
            self.news.discard(message_id)

    @counted(number=picks, dismissed=st.booleans())
    def read(self, number: int, *, dismissed: bool) -> None:
        """The owner reads in the app, or says that no answer is needed."""
        conversation_id = self.pick(number)
        (self.world.dismiss_needs_reply if dismissed else self.world.read_conversation)(conversation_id)

    @counted(number=picks, which=st.integers(0, 250))
    def react(self, number: int, which: int) -> None:
        """A reaction, which moves no time."""
        conversation_id = self.pick(number)
        self.world.react(conversation_id, self.pick_message(conversation_id, which))

    @counted(
        what=st.lists(st.sampled_from(["edit", "late", "delete", "react", "read"]), min_size=2, max_size=5),
        number=picks,
        which=st.integers(0, 250),
    )
    def busy_hour(self, what: list[str], number: int, which: int) -> None:
        """Several of the things that no list announces, in one conversation or in its neighbours."""
        for step, name in enumerate(what):
            event(f"busy hour {name}")
            if name == "edit":
                self.edit(number=number, which=which + step, touch=step % 2 == 0)
            elif name == "late":
                self.late_arrival(number=number + step % 2, hours=3.0)
            elif name == "delete":
                self.delete(number=number, which=which, count=1)
            elif name == "react":
                self.react(number=number, which=which + step)
            else:
                self.read(number=number, dismissed=False)

    @counted(kind=st.sampled_from(["proposal", "job", "channel"]), count=st.sampled_from([0, 1, 4]))
    def new_conversation(self, kind: str, count: int) -> None:
        """A conversation opens, with or without messages."""
        conversation_id = self.world.new_conversation(kind=kind)
        for _ in range(count):
            self.add(conversation_id)

    @counted(number=picks, deleted=st.booleans())
    def leave(self, number: int, *, deleted: bool) -> None:
        """A conversation is left, or is no more."""
        conversation_id = self.pick(number)
        self.news -= {message.id for message in self.world.conversations[conversation_id].messages}
        (self.world.delete_conversation if deleted else self.world.leave_conversation)(conversation_id)

    @counted()
    def come_back(self) -> None:
        """What was left or deleted is there again."""
        for conversation_id in list(self.world.deleted_conversations):
            self.world.restore_conversation(conversation_id)
        for conversation in list(self.world.conversations.values()):
            if self.world.viewer not in conversation.participants:
                self.world.rejoin(conversation.id)

    @counted(number=picks, what=st.sampled_from(["appears", "announced", "ready", "erased", "status", "renamed"]))
    def hire(self, number: int, what: str) -> None:
        """Something happens to an interview, a proposal or a name."""
        proposal_id = self.pick_proposal(number)
        if proposal_id is None:
            return
        if what in ("appears", "announced"):
            self.world.interview_appears(proposal_id, ready=what == "appears", score=float(number))
        elif what == "status":
            self.world.set_proposal_status(proposal_id, f"STATUS_{number}")
        elif what == "renamed":
            self.world.rename(self.world.proposals[proposal_id].candidate.id, f"Name {number}")
        else:
            (self.world.interview_ready if what == "ready" else self.world.interview_erased)(proposal_id)

    @counted(number=picks)
    def interview_after_leaving(self, number: int) -> None:
        """An interview is recorded, or replaced, whether or not its conversation can still be seen."""
        if self.world.proposals:
            ids = sorted(self.world.proposals)
            self.world.interview_appears(ids[number % len(ids)], score=float(number))

    @counted()
    def apply_unasked(self) -> None:
        """Somebody applies for a job, and nobody writes to them."""
        self.world.new_proposal()

    @counted(number=picks, which=st.integers(0, 250), moved=st.booleans())
    def show_elsewhere(self, number: int, which: int, *, moved: bool) -> None:
        """A message is shown in another conversation: moved, or there too, until all is quiet."""
        here, there = self.pick(number), self.pick(number + 1)
        if here == there or not self.world.conversations[here].messages:
            return
        id_ = self.pick_message(here, which)
        if id_ in {m.id for m in self.world.conversations[there].messages} or any(
            id_ == known for _, known in self.twins
        ):
            return
        self.world.show_elsewhere(here, id_, there, moved=moved)
        self.news.discard(id_)  # where it is now, it may be history
        if not moved:
            self.twins.add((there, id_))

    def end_quarrels(self) -> None:
        """Show each message in one conversation only."""
        for conversation_id, id_ in sorted(self.twins):
            known = {**self.world.conversations, **self.world.deleted_conversations}.get(conversation_id)
            if known is not None:
                known.messages[:] = [message for message in known.messages if message.id != id_]
        self.twins.clear()

    # What goes wrong

    @counted()
    def list_for_ever(self) -> None:
        """Lists whose pages never end, until all is quiet."""
        self.sim.quirks.endless_lists = True

    @counted(
        retry_after=st.sampled_from([0, 1, 0.5, "2", 61, 4000, "soon", None]),
        where=st.sampled_from(["details", "header", "nowhere"]),
        skip=st.integers(0, 6),
        times=st.integers(1, 3),
    )
    def rate_limit(self, retry_after: Any, where: str, skip: int, times: int) -> None:
        """429 in every form."""
        self.sim.faults.rate_limit(retry_after, where, skip=skip, times=times)

    @counted(
        names=st.lists(st.sampled_from(_BROKEN), min_size=1, max_size=3, unique=True),
        skip=st.integers(0, 6),
        times=st.sampled_from([1, 2, 5, 30]),
    )
    def break_answers(self, names: list[str], skip: int, times: int) -> None:
        """Answers that are none, and cursors that lead nowhere."""
        for name in names:
            event(f"break answers {name}")
            getattr(self.sim.faults, name)(skip=skip, times=times)

    @counted(
        name=st.sampled_from(_LYING),
        direction=st.sampled_from(["older", "newer", None]),
        skip=st.integers(0, 3),
        times=st.sampled_from([1, 2]),
    )
    def end_too_early(self, name: str, direction: str | None, skip: int, times: int) -> None:
        """A page that ends a walk, or the list, before its end."""
        where = {"listing": True} if direction is None else {"path": "/messages", "direction": direction}
        getattr(self.sim.faults, name)(skip=skip, times=times, **where)

    @counted(number=picks, interviewed=st.booleans())
    def erase_candidate(self, number: int, *, interviewed: bool) -> None:
        """A person deletes the account: the name becomes "Freelancer", and the interviews answer 404."""
        proposal_id = self.pick_proposal(number)
        if proposal_id is None:
            return
        if interviewed:
            self.world.interview_appears(proposal_id, ready=True, score=7.0)
            self.runner.run(self.rig.quiet(2, full=True))
        candidate_id = self.world.proposals[proposal_id].candidate.id
        named = "SELECT count(*) FROM candidates WHERE id = ? AND name <> 'Freelancer'"
        if self.rig.scalar(named, candidate_id):  # a person who never had a name has not lost it
            self.left.add(candidate_id)
        self.world.erase_candidate(candidate_id)

    @counted(times=st.sampled_from([1, 4, 20]))
    def refuse_token(self, times: int) -> None:
        """The token is refused for a while, then taken again."""
        self.sim.faults.status(401, times=times)

    @counted(
        code=st.sampled_from([500, 503, 404, 403]),
        path=st.sampled_from(["/messages", "/proposals", "/updates", "/jobs"]),
    )
    def refuse(self, code: int, path: str) -> None:
        """An error of the API's own; only the server's own troubles where a thing's own 404 would be believed."""
        self.sim.faults.status(code if path != "/messages" else 500, path=path)

    @counted(quirk=st.sampled_from(_QUIRKS))
    def turn_out_otherwise(self, quirk: tuple[str, Any]) -> None:
        """Each [?] of the API's documents."""
        setattr(self.sim.quirks, *quirk)

    @counted(name=st.sampled_from(["conversations", "messages", "jobs"]), entry=st.sampled_from(_POISON))
    def insert_poison(self, name: str, entry: str) -> None:
        """An entry that can't be read stands at the head of a list, until everything is quiet."""
        self.sim.faults.rewrite(rf'"{name}":\[(?=\{{)', f'"{name}":[{entry},', 1, path="^/", times=None)

    @counted(number=picks, which=st.integers(0, 250), whole=st.booleans(), into=st.sampled_from(_SPOILED))
    def spoil_entry(self, number: int, which: int, *, whole: bool, into: str) -> None:
        """A conversation or a message can't be read any more, or its id has NUL, wherever it is listed."""
        id_ = self.pick(number)
        spoiled = id_ if whole else self.pick_message(id_, which)
        self.sim.faults.rewrite(f'"id":"{spoiled}"', f'"id":{into.replace("{id}", spoiled)}', path="^/", times=None)

    @counted(days=st.sampled_from([400.0, -400.0]), full=st.booleans())
    def leap(self, days: float, *, full: bool) -> None:
        """The mirror's wall clock is 400 days wrong for one poll, and right again."""
        self.clock.skew = days * DAY
        self.runner.run(self.rig.poll(full=full))
        self.clock.skew = 0.0

    @counted(hours=st.sampled_from([-48.0, -1.0, -0.01, 0.5, 26.0]))
    def jump(self, hours: float) -> None:
        """The mirror's wall clock is set, forth or back."""
        self.clock.skew = max(-DAY, min(DAY, self.clock.skew + hours * 3600))
