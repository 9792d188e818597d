"""(d): how long a live message takes from the server to the database."""

import random
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from benchmarks.processes import configure, running, syncd
from benchmarks.report import Report, Target, middle
from syncd.simulator import Simulator, World

_PATIENCE = 60.0


def measure_delay(*, quick: bool) -> Report:
    """Both intervals at once, each with a daemon and a simulator of its own; messages at random moments."""
    counts = {5.0: 4, 1.0: 8} if quick else {5.0: 30, 1.0: 100}
    with ThreadPoolExecutor(len(counts)) as threads:
        waits = dict(zip(counts, threads.map(_watch, counts, counts.values()), strict=True))
    report = Report(
        "d",
        "from the moment a message is on the server to the moment a reader of the database sees it",
        ("interval", "messages", "median s", "longest s", "median ÷ half the interval"),
    )
    for interval, found in waits.items():
        usual, longest = middle(found), max(found)
        report.rows.append((f"{interval:g} s", len(found), usual, longest, usual / (interval / 2)))
        report.targets.append(Target(f"median at {interval:g} s, in seconds", usual, interval / 2 + 0.1))
        report.targets.append(Target(f"longest at {interval:g} s, in seconds", longest, interval + 0.3))
    report.figures = {"waits": {str(interval): found for interval, found in waits.items()}}
    return report


def _watch(interval: float, count: int) -> list[float]:
    """The delays of `count` messages, as many early as late in the interval between two polls, in no order."""
    rng = random.Random(int(interval))  # noqa: S311 - moments need no secrecy
    pauses = rng.sample([interval * (number + 0.5) / count for number in range(count)], count)
    world = World.generate(3, conversations=100, messages=2_000)
    rooms = sorted(world.conversations)
    with Simulator(world) as sim, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        home = Path(folder)
        path = configure(home, sim.url, poll_seconds=interval, idle_seconds=interval)
        command, environ = syncd(home, "run")
        with running(command, environ | {"OT_API_TOKEN": sim.token}):
            _wait_until_whole(path)
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                return [_send(world, rng.choice(rooms), database, pause) for pause in pauses]


def _send(world: World, conversation_id: str, database: sqlite3.Connection, pause: float) -> float:
    """Seconds from a new message to its row."""
    time.sleep(pause)
    began = time.monotonic()
    id_ = world.add_message(conversation_id, "Are you there?")
    while time.monotonic() - began < _PATIENCE:
        if database.execute("SELECT 1 FROM messages WHERE id = ?", (id_,)).fetchone():
            return time.monotonic() - began
        time.sleep(0.002)
    raise RuntimeError(f"a message did not arrive within {_PATIENCE:.0f} s")


def _wait_until_whole(path: Path) -> None:
    """Return when the first pass is over."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if path.exists():
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                if database.execute("SELECT count(complete_since) FROM accounts").fetchone()[0]:
                    return
        time.sleep(0.1)
    raise RuntimeError("the first pass did not end")
