"""A mirror under test: engine, source and store as the program wires them, on a clock that the test steers."""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oracle import differences
from syncd.core.observations import Opened
from syncd.engine.account import Mirror, Policy, PollResult
from syncd.engine.poll import poll
from syncd.simulator import Simulator, World
from syncd.sources.http import Limits, PoliteClient
from syncd.sources.opentrain import OpenTrain
from syncd.store.apply import Recorded
from syncd.store.migrate import open_writer
from syncd.store.writer import StoreWriter

Row = dict[str, Any]
QUICK = Limits(connect_timeout=2, read_timeout=2, deadline=5)


class SteeredClock:
    """A clock that stands still until somebody waits or the test lets time pass; the server may share it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 6, 12, 9, 15, tzinfo=UTC)
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        """The time, as the simulator asks for it."""
        return self.time

    def now(self) -> str:
        """The wall clock's time."""
        return self.time.isoformat(timespec="milliseconds")[:-6] + "Z"

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self.time.timestamp()

    def cpu(self) -> float:
        """No processor time is reckoned here."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.time += timedelta(seconds=seconds)


class Announcements:
    """Keeps what would be logged."""

    def __init__(self, announced: list[Recorded]) -> None:
        self._announced = announced

    def events(self, events: Sequence[Recorded]) -> None:
        """One entry an event."""
        self._announced.extend(events)

    def history(self, account: str, counts: dict[str, int]) -> None:
        """History makes no noise."""


class Rig:
    """One account `acme`, mirrored from a simulator into a database."""

    def __init__(self, sim: Simulator, path: Path, clock: SteeredClock, policy: Policy | None = None) -> None:
        self.sim, self.path, self.clock = sim, path, clock
        self.policy = policy or Policy()
        self.token = sim.token
        self.log: list[tuple[str, Row]] = []
        self.announced: list[Recorded] = []
        self._before = 0

    async def start(self) -> None:
        """Open the database and begin, as a process does."""
        client = PoliteClient(self.sim.url, clock=self.clock, token=lambda: self.token, limits=QUICK)
        self.store = StoreWriter(open_writer(self.path), self.clock, Announcements(self.announced))
        self.store.start()
        self.mirror = Mirror(
            account="acme",
            source=OpenTrain(client),
            store=self.store,
            clock=self.clock,
            policy=self.policy,
            log=lambda event, **fields: self.log.append((event, fields)),
        )
        opened = Opened(account="acme", now=self.clock.now(), source="opentrain", base_url=self.sim.url)
        await self.store.apply(opened)

    async def stop(self) -> None:
        """Close the connections and the database."""
        await self.mirror.source.close()
        await self.store.close()

    async def restart(self) -> None:
        """Stop, and start on the same database."""
        await self.stop()
        await self.start()

    async def poll(self, *, full: bool = False, manual: bool = False, after: float = 15.0) -> PollResult:
        """One poll, `after` seconds later; the request log and `new_events` begin anew."""
        self.clock.advance(after)
        self.sim.requests.clear()
        self._before = self.scalar("SELECT COALESCE(MAX(id), 0) FROM events")
        return await poll(self.mirror, full=full, manual=manual)

    async def quiet(self, polls: int = 6, *, full: bool = False) -> None:
        """Poll until nothing is owed any more, or so many times."""
        for number in range(polls):
            outcome = await self.poll(full=full and number == 0)
            if outcome.trouble is None and not self.scalar(
                "SELECT COUNT(*) FROM _owed WHERE due_at <= ?", self.clock.now()
            ):
                return

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """What a reader of the database sees."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def scalar(self, sql: str, *parameters: Any) -> Any:
        """The one value of a query."""
        (row,) = self.rows(sql, *parameters)
        (value,) = row.values()
        return value

    def events(self, *kinds: str) -> list[Row]:
        """All events (of these kinds), with their data as columns."""
        return self._events(0, kinds)

    def new_events(self, *kinds: str) -> list[Row]:
        """The events that the last poll wrote."""
        return self._events(self._before, kinds)

    def _events(self, after: int, kinds: Iterable[str]) -> list[Row]:
        wanted = set(kinds)
        found = self.rows("SELECT * FROM events WHERE id > ? ORDER BY id", after)
        return [row | json.loads(row["data"]) for row in found if not wanted or row["kind"] in wanted]

    def failures(self) -> dict[tuple[str, str], Row]:
        """What could not be mirrored, by kind and subject."""
        return {(row["kind"], row["subject_id"]): row for row in self.rows("SELECT * FROM failures")}

    def account(self) -> Row:
        """The account's row."""
        (row,) = self.rows("SELECT * FROM accounts")
        return row

    def differences(self, *, ignore: Iterable[tuple[str, str]] = ()) -> list[str]:
        """How the mirror differs from what the server would tell."""
        truth = self.sim.world.truth()
        return differences(self.path, truth, every_proposal=self.policy.every_proposal, ignore=ignore)

    def change(self, **policy: Any) -> None:
        """Mirror by another policy from now on."""
        self.policy = replace(self.policy, **policy)
        self.mirror.policy = self.policy


def settled_world(clock: SteeredClock, lengths: Iterable[int], *, seed: int = 5, kind: str = "proposal") -> World:
    """A world of read and answered threads so long, a day old."""
    world = World(clock, seed=seed)
    for length in lengths:
        conversation_id = world.new_conversation(kind=kind)
        world.burst(conversation_id, max(0, length - 1))
        world.read_conversation(conversation_id)
        for _ in range(min(1, length)):
            world.add_message(conversation_id, "Thanks.", from_viewer=True)
        clock.advance(60)
    clock.advance(86_400)
    return world
