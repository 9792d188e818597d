"""Anything may happen, in any order, on any server the documents allow: once all is quiet the mirror is the truth."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from effort import examples, shrinks
from event_laws import broken_laws
from story import DAY, Story
from syncd.engine.poll import poll
from syncd.simulator import RequestRecord

pytestmark = pytest.mark.slow

_BUSY_STEPS = 15

seconds = st.sampled_from([0.0, 1.0, 15.0, 700.0, 3700.0, 90_000.0])


class MirrorMachine(Story):
    """One account against everything that may happen."""

    # What the mirror does

    @rule(after=seconds)
    def poll(self, after: float) -> None:
        """An ordinary poll."""
        self.runner.run(self.rig.poll(after=after))

    @rule()
    def reconcile(self) -> None:
        """Everything is compared again."""
        self.runner.run(self.rig.poll(full=True))

    @rule()
    def restart(self) -> None:
        """A clean stop and a start."""
        self.runner.run(self.rig.restart())

    @rule(requests=st.integers(1, 12))
    def crash(self, requests: int) -> None:
        """The poll breaks off at some request, and what was in memory is lost; real kills are the crash matrix's."""
        self.runner.run(self._crash(requests))

    async def _crash(self, requests: int) -> None:
        loop, task, left = asyncio.get_running_loop(), asyncio.create_task(poll(self.rig.mirror)), [requests]

        def count(_: RequestRecord) -> None:
            left[0] -= 1
            if left[0] == 0:
                loop.call_soon_threadsafe(task.cancel)

        self.sim.on_request = count
        await asyncio.wait([task])
        self.sim.on_request = None
        self.rig.store._logged.clear()
        await self.rig.restart()

    # What must hold

    @invariant()
    def count(self) -> None:
        """Count the steps, so that quiet comes seldom: much is to have happened by then."""
        self.steps += 1

    @rule()
    @precondition(lambda self: not self.has_failed and self.steps > _BUSY_STEPS)
    def quiet(self) -> None:
        """Once nothing happens any more and everything was compared, the mirror is the truth, no event is doubled."""
        self.has_failed, self.steps = True, 0
        self.sim.faults.clear()
        self.sim.quirks.endless_lists = False
        self.end_impossible_pages()
        self.end_quarrels()
        self.runner.run(self._settle())
        assert {row["reason"] for row in self.rig.failures().values()} <= {"interview_not_ready"}
        assert self.rig.differences() == []
        assert self.find_kept() == []
        assert self.rig.rows("SELECT * FROM _unreadable") == []
        assert broken_laws(self.rig.events(), self.rig.announced, self.news) == []
        self.has_failed = False

    def end_impossible_pages(self) -> None:
        """A thread whose every page has a fresh cursor, or the cursor's own message alone, has no way to its end."""
        quirks = self.sim.quirks
        if quirks.expires_cursors():
            quirks.last_page_cursor = False
        if quirks.cursor_inclusive and quirks.page_cap == 1:
            quirks.page_cap = None

    def find_kept(self) -> list[str]:
        """What is still held of people who have left, and was to be scrubbed."""
        held = "SELECT id, slug, title FROM candidates WHERE account = 'acme'"
        said = (
            "SELECT count(*) FROM interview_messages JOIN proposals ON proposals.id = proposal_id"
            " WHERE candidate_id = ? AND content IS NOT NULL"
        )
        return [
            f"{row}, {self.rig.scalar(said, row['id'])} answers"
            for row in self.rig.rows(held)
            if self.is_erased(row["id"]) and (row["slug"] or row["title"] or self.rig.scalar(said, row["id"]))
        ]

    async def _settle(self) -> None:
        """Past every wait and every backoff; then two comparisons: a large loss and an erasure want a second look."""
        self.clock.advance(4 * DAY)
        await self.rig.quiet(12)
        await self.rig.quiet(30, full=True)
        self.clock.advance(3700)
        await self.rig.quiet(30, full=True)

    def teardown(self) -> None:
        """Every story ends in quiet."""
        try:
            if not self.has_failed:
                self.quiet()
        finally:
            self.runner.run(self.rig.stop())
            self.sim.stop()
            self.runner.close()
            self.folder.cleanup()


TestMirrorMachine = MirrorMachine.TestCase
TestMirrorMachine.settings = settings(
    max_examples=examples(15),
    stateful_step_count=40,
    phases=[Phase.generate, *([Phase.shrink] if shrinks() else [])],
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
