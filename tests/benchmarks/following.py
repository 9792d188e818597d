"""What publishing adds to a running daemon: delay, and processor time of its polls."""

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.processes import configure, cpu_of, running, syncd
from benchmarks.report import Report, Target, middle, say
from postgres import MISSING, find_programs, postgres_server
from syncd.simulator import Simulator, World

_PATIENCE = 60.0
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class _Mirror:
    """A daemon, its server and its database."""

    world: World
    sim: Simulator
    path: Path
    pid: int

    def cpu(self) -> tuple[float, float]:
        """Processor seconds of the daemon, and of the process that publishes for it."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        return cpu_of(self.pid), sum(cpu_of(int(child)) for child in children)


def measure_follow(polls: int) -> Report:
    """Two daemons with inboxes alike, one of which publishes: half of the time idle, half with a message a poll."""
    report = Report(
        "follow",
        f"a daemon that publishes beside one that does not, a poll every {_POLL_SECONDS:g} s",
        ("meanwhile", "CPU of a poll ms", "with [publish] ms", "÷", "its publisher ms a poll"),
    )
    if find_programs() is None:
        report.notes.append(f"NOT MEASURED: {MISSING}")
        return report
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncd-bench-")))
        folder.chmod(0o755)
        server = stack.enter_context(postgres_server(folder / "server", fsync=True))
        url = server.url("reports")
        plain = stack.enter_context(_mirroring(folder / "plain", None))
        publishing = stack.enter_context(_mirroring(folder / "publishing", url))
        target = stack.enter_context(closing(psycopg.connect(url, autocommit=True)))
        _watch(report, polls, plain, publishing, target)
    return report


def _watch(report: Report, polls: int, plain: "_Mirror", publishing: "_Mirror", target: psycopg.Connection) -> None:
    delays: list[float] = []
    ratios: list[float] = []
    for name, busy in (("nothing happens", False), ("a message a poll", True)):
        before = plain.cpu(), publishing.cpu()
        for _ in range(polls):
            delays += _live_through_a_poll(plain, publishing, target, busy=busy)
        row = _compare(name, polls, before, (plain.cpu(), publishing.cpu()))
        report.rows.append(row)
        ratios.append(row[3])
        say(name)
    report.targets.append(Target("from the mirror's commit to PostgreSQL, median s", middle(delays), 1))
    report.targets.append(Target("the longest, s", max(delays), 1))
    report.targets.append(Target("CPU of a poll with [publish] ÷ without", max(ratios), 1.05))
    report.figures = {"delays": delays}


@contextmanager
def _mirroring(home: Path, url: str | None) -> Iterator[_Mirror]:
    """A daemon whose first pass is over, and published where it is to be."""
    home.mkdir()
    world = World.generate(3, conversations=100, messages=2_000)
    with Simulator(world) as sim:
        path = configure(home, sim.url, poll_seconds=_POLL_SECONDS, idle_seconds=_POLL_SECONDS)
        if url is not None:
            with (home / ".config" / "syncd" / "config.toml").open("a", encoding="utf-8") as file:
                file.write(f'[publish]\nurl = "{url}"\n')
        command, environ = syncd(home, "run")
        with running(command, environ | {"OT_API_TOKEN": sim.token}) as process:
            _wait_until_whole(path, url)
            yield _Mirror(world, sim, path, process.pid)


def _wait_until_whole(path: Path, url: str | None) -> None:
    """Return when the first pass is over, and its last change is published."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if path.exists() and (place := _place_of(path)) and (url is None or _is_published(url, place)):
            return
        time.sleep(0.1)
    raise RuntimeError("the first pass did not end")


def _place_of(path: Path) -> int | None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        if database.execute("SELECT count(complete_since) FROM accounts").fetchone()[0] == 0:
            return None
        return int(database.execute("SELECT max(change_id) FROM messages").fetchone()[0])


def _is_published(url: str, place: int) -> bool:
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('syncd._publish')").fetchone() == (None,):
            return False
        found = connection.execute("SELECT max(place) FROM syncd._publish").fetchone()
    return found is not None and (found[0] or 0) >= place


def _live_through_a_poll(plain: _Mirror, publishing: _Mirror, target: psycopg.Connection, *, busy: bool) -> list[float]:
    """Let a poll's time pass, and a message arrive in both inboxes; the delay until PostgreSQL has it, if any."""
    end = time.monotonic() + _POLL_SECONDS
    delays = []
    if busy:
        room = random.choice(sorted(publishing.world.conversations))  # noqa: S311 - needs no secrecy
        plain.world.add_message(room, "Are you there?")
        delays.append(_delay_of(publishing.world.add_message(room, "Are you there?"), publishing.path, target))
    time.sleep(max(0.0, end - time.monotonic()))
    return delays


def _delay_of(message_id: str, path: Path, target: psycopg.Connection) -> float:
    """Seconds from when a reader of the mirror sees a message to when a reader of PostgreSQL does."""
    deadline = time.monotonic() + _PATIENCE
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        while not database.execute("SELECT 1 FROM messages WHERE id = ?", (message_id,)).fetchone():
            if time.monotonic() > deadline:
                raise RuntimeError("a message did not arrive in the mirror")
            time.sleep(0.005)
    began = time.monotonic()
    while not target.execute("SELECT 1 FROM syncd.messages WHERE id = %s", [message_id]).fetchone():
        if time.monotonic() > deadline:
            raise RuntimeError("a message did not arrive in PostgreSQL")
        time.sleep(0.005)
    return time.monotonic() - began


_Cpu = tuple[tuple[float, float], tuple[float, float]]


def _compare(name: str, polls: int, before: _Cpu, after: _Cpu) -> tuple[str, float, float, float, float]:
    """A line of the table: means of so many polls."""
    alone = (after[0][0] - before[0][0]) / polls * 1000
    beside, publisher = ((end - begun) / polls * 1000 for begun, end in zip(before[1], after[1], strict=True))
    return name, alone, beside, beside / alone, publisher
