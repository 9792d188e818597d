"""A mirrored inbox and a target that it is published into, by real processes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from homes import Ended, Home
from publish.pair import TABLES, Pair
from syncd.simulator import Simulator, World


class Station:
    """One machine: its home with a mirror of the account `name`, and where it publishes."""

    def __init__(self, home: Home, sim: Simulator, url: str, name: str = "acme") -> None:
        self.home, self.sim, self.url, self.name = home, sim, url, name
        home.environ |= {"OT_API_BASE_URL": sim.url, "OT_API_TOKEN": sim.token}
        self.configure()

    def configure(self, *, publish: dict[str, Any] | None = None, **settings: Any) -> None:
        """Mirror the account, with these settings, and publish so if at all."""
        tables = {} if publish is None else {"publish": publish}
        usual = {"base_url": self.sim.url, "poll_seconds": 0.1, "idle_seconds": 0.2}
        self.home.configure({self.name: usual | settings}, **tables)

    def sync(self, *words: str) -> None:
        """Mirror what there is."""
        ended = self.home.run("sync", *words)
        assert ended.code == 0, ended.err

    def publish(self, *words: str, **environ: str) -> Ended:
        """Publish once."""
        return self.home.run("publish", self.url, "--json", *words, **environ)

    def publish_well(self, *words: str) -> dict[str, Any]:
        """Publish once, which must do; what it says it did."""
        ended = self.publish(*words)
        assert ended.code == 0, ended.err
        data: dict[str, Any] = ended.data
        return data

    @contextmanager
    def pair(self) -> Iterator[Pair]:
        """The mirror and its target, side by side."""
        address = f"file:{self.home.db}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True)) as mirror,
            psycopg.connect(self.url, autocommit=True, options="-c search_path=syncd") as target,
        ):
            yield Pair(mirror, target)

    def differences(self) -> list[str]:
        """Each row that the target lacks, or has and should not."""
        with self.pair() as pair:
            return list(pair.differences())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """What the target answers."""
        with psycopg.connect(self.url, autocommit=True, options="-c search_path=syncd") as target:
            return target.execute(query.encode()).fetchall()

    def marks(self) -> set[tuple[Any, ...]]:
        """Which transaction wrote each row that the target holds, and where it lies."""
        return {
            (table, *row)
            for table in TABLES
            for row in self.ask(f"SELECT xmin::text, ctid::text FROM {table}")  # noqa: S608 - our own names
        }

    def status(self) -> dict[str, Any]:
        """How the mirror sees its target."""
        (target,) = self.home.run("status", "--json").data["publish"]
        found: dict[str, Any] = target
        return found


@pytest.fixture
def world() -> World:
    """A small inbox with a history."""
    return World.generate(3, conversations=12, messages=150)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """Its server."""
    with Simulator(world) as running:
        yield running


def build_home(path: Path) -> Home:
    """A machine with nothing on it."""
    path.mkdir()
    return Home(path)


@pytest.fixture
def station(tmp_path: Path, sim: Simulator, target: str) -> Iterator[Station]:
    """A machine that has mirrored the inbox once; its processes tell no secrets."""
    made = Station(build_home(tmp_path / "home"), sim, target)
    made.sync()
    yield made
    made.home.close()
    made.home.check_silence(sim.world)


@pytest.fixture
def other(tmp_path: Path, target: str) -> Iterator[Station]:
    """Another machine, another inbox, the same target; not mirrored yet."""
    with Simulator(World.generate(8, conversations=6, messages=60)) as sim:
        made = Station(build_home(tmp_path / "other"), sim, target, name="beta")
        yield made
        made.home.close()
        made.home.check_silence(sim.world)
