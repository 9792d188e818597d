"""Any story of several who write at once, polls, deaths and lost replies: nothing is lost, nothing doubled."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from effort import examples
from rig import Rig, SteeredClock
from syncd.core.outbox import LATER_SECONDS, Attempted
from syncd.errors import UsageError
from syncd.simulator import Simulator, World
from writer import Writer

_T = TypeVar("_T")

pytestmark = pytest.mark.slow

TEXTS = st.sampled_from(["ok", " ok ", "Hello", "Grüße"])
TAKEN = ("lose_reply", "reset_midway", "truncate", "cut_json")
FAULTS = st.sampled_from([None, None, *TAKEN, "reset", "gateway", "rate_limit"])
SETTLED = ("sent", "unconfirmed", "failed", "expired", "cancelled")


class Correspondence(RuleBasedStateMachine):
    """A daemon, several senders, and a server that loses replies."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.wanted: Counter[str] = Counter()
        self.in_the_app: Counter[str] = Counter()

    def do(self, story: Coroutine[Any, Any, _T]) -> _T:
        """Let it happen."""
        return self.loop.run_until_complete(story)

    @initialize(trims=st.booleans(), order=st.sampled_from(["oldest", "newest"]))
    def begin(self, *, trims: bool, order: str) -> None:
        """An inbox with one conversation, mirrored."""
        clock = SteeredClock()
        world = World(clock, seed=3)
        cid = world.new_conversation()
        world.add_message(cid, "Are you there?")
        self.sim = Simulator(world)
        self.sim.start()
        self.sim.quirks.trims_content, self.sim.quirks.page_order = trims, order
        rig = Rig(self.sim, Path(self.folder.name) / "syncd.db", clock)
        self.writer = Writer(rig, cid)
        self.do(self.start_first(rig))

    async def start_first(self, rig: Rig) -> None:
        """Mirror the inbox."""
        await rig.start()
        await rig.quiet()
        rig.clock.advance(10)

    @rule(texts=st.lists(TEXTS, min_size=1, max_size=3), faults=st.lists(FAULTS, max_size=3), later=st.booleans())
    def send(self, texts: list[str], faults: list[str | None], *, later: bool) -> None:
        """Several send at once, while the server loses replies."""
        self.fail(faults)

        async def all_of_them() -> None:
            await asyncio.gather(*(self.writer.send(text, later=later) for text in texts))

        self.do(all_of_them())
        self.wanted.update(text.strip() for text in texts)

    def fail(self, faults: list[str | None]) -> None:
        """The next requests that write end so."""
        for number, fault in enumerate(fault for fault in faults if fault is not None):
            more: dict[str, Any] = {"retry_after": 20} if fault == "rate_limit" else {}
            getattr(self.sim.faults, fault)(method="POST", skip=number, **more)

    @rule(faults=st.lists(FAULTS, max_size=2), after=st.sampled_from([1.0, 20.0, 70.0]), reads=st.booleans())
    def poll(self, faults: list[str | None], after: float, *, reads: bool) -> None:
        """The daemon polls, and sends what waits; its own requests may fail as well."""
        self.fail(faults)
        if not reads:
            self.sim.faults.gateway(method="GET", times=2)
        self.do(self.writer.poll(after=after))

    @rule(text=TEXTS, taken=st.booleans())
    def die(self, text: str, *, taken: bool) -> None:
        """A process is killed while its request is under way, and another follows."""
        self.do(self.killed_while_sending(text, taken=taken))
        self.wanted[text.strip()] += 1

    async def killed_while_sending(self, text: str, *, taken: bool) -> None:
        """Leave the database as such a process does."""
        writer = self.writer
        answer = await writer.send(text, later=True)
        writer.clock.advance(LATER_SECONDS)
        await writer.rig.store.apply(Attempted(account="acme", now=writer.clock.now(), id=answer["id"]))
        if taken:
            self.sim.world.add_message(writer.conversation_id, text.strip(), from_viewer=True)
        await writer.restart()

    @rule()
    def restart(self) -> None:
        """The daemon is started anew."""
        self.do(self.writer.restart())

    @rule(text=TEXTS)
    def write_in_the_app(self, text: str) -> None:
        """We say the same words elsewhere, though not those of a message in doubt: nobody could tell the two apart.

        A while passes before the next message, as clocks need a margin.
        """
        self.do(self.settle())
        doubted = "SELECT content FROM outbox JOIN _outbox USING (id) WHERE since IS NOT NULL AND state <> 'sent'"
        if text.strip() in {row["content"].strip() for row in self.writer.rig.rows(doubted)}:
            return
        self.sim.world.add_message(self.writer.conversation_id, text.strip(), from_viewer=True)
        self.in_the_app[text.strip()] += 1
        self.writer.clock.advance(10)

    @rule(number=st.integers(1, 12), again=st.booleans())
    def decide(self, number: int, *, again: bool) -> None:
        """A person sends one again, or cancels it."""
        try:
            self.do(self.writer.ask("outbox_retry" if again else "outbox_cancel", id=number))
        except UsageError:
            return

    @invariant()
    def nothing_is_doubled(self) -> None:
        """The server has no text more often than it was sent on purpose, and no two rows claim the same message."""
        if not hasattr(self, "writer"):
            return
        arrived = Counter[str]()
        for text, count in self.writer.arrived().items():
            arrived[text.strip()] += count
        for text, count in arrived.items():
            assert count <= self.wanted[text] + self.in_the_app[text], text
        sent = self.writer.rig.rows("SELECT message_id FROM outbox WHERE state = 'sent'")
        assert len({row["message_id"] for row in sent}) == len(sent)

    def teardown(self) -> None:
        """In the end each message is on the server as often as its rows say, and the mirror is the truth."""
        try:
            if hasattr(self, "writer"):
                self.do(self.end())
        finally:
            if hasattr(self, "writer"):
                self.do(self.writer.rig.stop())
                self.sim.stop()
            self.loop.close()
            self.folder.cleanup()

    async def settle(self) -> None:
        """Let everything come to its end."""
        self.sim.faults.clear()
        for _ in range(4):
            await self.writer.poll(after=61)

    async def end(self) -> None:
        """Hold the rows against the server."""
        writer = self.writer
        await self.settle()
        rows = writer.rig.rows("SELECT * FROM outbox")
        assert {row["state"] for row in rows} <= set(SETTLED)
        assert all((row["content"] is None) == (row["state"] == "sent") for row in rows)
        sent = writer.rig.rows(
            "SELECT m.content FROM outbox o JOIN messages m ON m.account = o.account AND m.id = o.message_id"
        )
        counts = Counter(row["content"].strip() for row in sent) + self.in_the_app
        assert counts == Counter([text.strip() for text in writer.arrived().elements()])
        told = Counter(event["message_id"] for event in writer.rig.events("message.new"))
        assert set(told.values()) <= {1}
        assert writer.rig.differences() == []


Correspondence.TestCase.settings = settings(
    max_examples=examples(10),
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_correspondence = Correspondence.TestCase
