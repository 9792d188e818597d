"""Whatever happens to an OpenATS server in whatever order: once it is quiet, the mirror is the truth."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from effort import examples
from rig import SteeredClock
from syncd.simulator import Simulator, Team, World
from team_rig import TeamRig

pytestmark = pytest.mark.slow

CHATS = st.sampled_from([("job", 1), ("job", 2), ("candidate", 1), ("candidate", 2)])
PICK = st.integers(0, 30)


class TeamMachine(RuleBasedStateMachine):
    """Two jobs, two candidates, and a mirror that is polled, stopped and broken off in between."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = SteeredClock()
        self.team = Team(self.clock, seed=3)
        self.reserved: list[tuple[str, int]] = []
        self.deleted: dict[tuple[str, int], Any] = {}
        self.quiet = False

    @initialize()
    def begin(self) -> None:
        """A server with some history, and a first pass over it."""
        for _ in range(2):
            self.team.new_candidate(self.team.new_job())
        for n in range(24):
            self.team.say(("job", "candidate")[n % 2], 1 + n % 4 // 2, f"message {n}")
        self.clock.advance(3600)
        self.sim = Simulator(World(self.clock), team=self.team).start()
        self.rig = TeamRig(self.sim, Path(self.folder.name) / "syncd.db", self.clock)
        self.run(self.rig.start())
        self.run(self.rig.poll())

    def run(self, work: Any) -> Any:
        """Do it to its end."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """Let it become quiet once more, then stop everything."""
        try:
            self.settle()
            self.mirror_is_the_truth_when_quiet()
        finally:
            self.run(self.rig.stop())
            self.sim.stop()
            self.loop.close()
            self.folder.cleanup()

    def shown(self, chat: tuple[str, int]) -> list[int]:
        """The messages of a chat, hidden ones too."""
        found = self.team.subjects[chat[0]].get(chat[1])
        return [] if found is None else sorted(found.messages)

    def is_there(self, chat: tuple[str, int]) -> bool:
        """Whether the job or candidate is."""
        return chat[1] in self.team.subjects[chat[0]]

    @rule(chat=CHATS, backdated=st.booleans())
    def add(self, chat: tuple[str, int], backdated: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        """Somebody says something, perhaps with an old time."""
        if self.is_there(chat):
            self.team.say(*chat, "something", sent_at="2026-06-12T08:00:00Z" if backdated else None)

    @rule(chat=CHATS)
    def add_tied(self, chat: tuple[str, int]) -> None:
        """Two messages bear the same time."""
        if self.is_there(chat):
            for text in ("one", "other"):
                self.team.say(*chat, text, sent_at=self.clock.time)

    @rule(chat=CHATS, pick=PICK, text=st.sampled_from(["", "edited", None, "message 1"]))
    def edit(self, chat: tuple[str, int], pick: int, text: str | None) -> None:
        """A text changes."""
        if numbers := self.shown(chat):
            self.team.edit(*chat, numbers[pick % len(numbers)], text)

    @rule(chat=CHATS, pick=PICK)
    def hide_or_show(self, chat: tuple[str, int], pick: int) -> None:
        """A message is soft-deleted, or comes back."""
        if numbers := self.shown(chat):
            number = numbers[pick % len(numbers)]
            self.team.hide(*chat, number, hidden=not self.team.chat(*chat).messages[number].deleted)

    @rule(chat=CHATS, pick=PICK)
    def erase(self, chat: tuple[str, int], pick: int) -> None:
        """A message is deleted for good."""
        if numbers := self.shown(chat):
            self.team.erase(*chat, numbers[pick % len(numbers)])

    @rule(chat=CHATS)
    def reserve(self, chat: tuple[str, int]) -> None:
        """A slow transaction takes its number."""
        self.reserved.append((chat[0], self.team.reserve(chat[0])))

    @precondition(lambda self: self.reserved)
    @rule(chat=CHATS)
    def commit_late(self, chat: tuple[str, int]) -> None:
        """The slow transaction commits, under a number that others have passed."""
        kind, number = self.reserved.pop(0)
        if self.is_there((kind, chat[1])):
            self.team.say(kind, chat[1], "slow", number=number)

    @rule()
    def shuffle(self) -> None:
        """Ties come in another order."""
        self.team.shuffle_ties()

    @rule(user=st.integers(1, 3), name=st.sampled_from(["Ann", "Bob"]))
    def rename(self, user: int, name: str) -> None:
        """Somebody has another name now."""
        self.team.rename_user(user, name)

    @rule(candidate=st.integers(1, 2))
    def delete_candidate(self, candidate: int) -> None:
        """A candidate is deleted, or restored from a backup."""
        chat = ("candidate", candidate)
        if self.is_there(chat):
            self.deleted[chat] = self.team.chat(*chat)
            self.team.delete(*chat)
        else:
            self.team.restore(*chat, self.deleted[chat])

    @rule(full=st.booleans(), after=st.sampled_from([1.0, 15.0, 61.0, 601.0]))
    def poll(self, full: bool, after: float) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        """The mirror is polled."""
        self.run(self.rig.poll(full=full, after=after))

    @rule(at=st.integers(1, 10))
    def break_off(self, at: int) -> None:
        """The process ends in the middle of a poll, at its nth request, and begins anew."""
        self.run(self._broken_poll(at))

    async def _broken_poll(self, at: int) -> None:
        poll = asyncio.ensure_future(self.rig.poll(after=61))
        loop, asked = asyncio.get_running_loop(), Counter[str]()

        def end(_: object) -> None:
            asked["requests"] += 1
            if asked["requests"] == at:
                loop.call_soon_threadsafe(poll.cancel)

        self.sim.on_request = end
        await asyncio.wait([poll])
        self.sim.on_request = None
        await self.rig.restart()

    @rule()
    def settle(self) -> None:
        """Nothing happens for half an hour."""
        for after in (61.0, 601.0, 601.0):
            self.run(self.rig.poll(after=after))
        self.quiet = True

    @invariant()
    def mirror_is_the_truth_when_quiet(self) -> None:
        """Rows are what the server shows, and no event was told twice."""
        if self.quiet:
            self.quiet = False
            assert self.rig.differences() == []
            told = Counter(e["message_id"] for e in self.rig.events("message.new"))
            assert max(told.values(), default=1) == 1
            assert self._lives() == []

    def _lives(self) -> list[str]:
        """Messages whose last event is not what they are."""
        last = {e["message_id"]: e["kind"] for e in self.rig.events() if e["kind"].startswith("message.")}
        rows = self.rig.rows("SELECT id, gone_at FROM messages")
        return [
            row["id"]
            for row in rows
            if row["id"] in last and (last[row["id"]] == "message.deleted") != (row["gone_at"] is not None)
        ]


TestTeamMachine = TeamMachine.TestCase
TestTeamMachine.settings = settings(
    max_examples=examples(10),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
