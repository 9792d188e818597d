"""(f): readers querying `inbox` all the while, and who waits for whom."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Measured, configure, measure, module, syncd
from benchmarks.report import Report, Target, middle, say
from benchmarks.serving import IN_FLIGHT, Server, serving

_READERS = 2
_MOST_SECONDS = 0.05


@dataclass
class _Observed:
    """Seconds, by the run: the writer's BEGINs, COMMITs and emptyings of the log; the readers' waits and queries."""

    begins: list[float] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    empties: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    queries: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure_readers(rounds: int, *, quick: bool) -> Report:
    """A first pass without readers and one with them, in turn."""
    conversations, messages = (100, 10_000) if quick else (1_000, 100_000)
    alone, beside = _Observed(), _Observed()
    with serving(conversations, messages) as server:
        for _ in range(rounds):
            _observe(server, 0, alone)
            _observe(server, _READERS, beside)
            say(f"alone {alone.seconds[-1]:.1f} s, with readers {beside.seconds[-1]:.1f} s")
    report = Report(
        "f",
        f"first pass of {messages:,} messages while {_READERS} readers query `inbox` without a pause",
        ("milliseconds", "alone: median", "longest", "with readers: median", "longest"),
    )
    for name, one, other in (
        ("writer: until BEGIN IMMEDIATE has the lock", alone.begins, beside.begins),
        ("writer: COMMIT, its fsync included", alone.commits, beside.commits),
        ("writer: emptying a log of 64 MiB, readers let go of it first", alone.empties, beside.empties),
        ("reader: waiting for a lock", [], beside.waits),
        ("reader: SELECT * FROM inbox, whole", [], beside.queries),
    ):
        report.rows.append((name, *_milliseconds(one), *_milliseconds(other)))
    report.targets.append(Target("a reader's longest wait, in seconds", max(beside.waits), _MOST_SECONDS))
    report.targets.append(Target("the writer's longest wait, in seconds", max(beside.begins), _MOST_SECONDS))
    report.notes.append(
        f"{len(beside.queries):,} queries, {len(beside.begins):,} transactions; the pass took "
        f"{middle(alone.seconds):.1f} s alone, {middle(beside.seconds):.1f} s with readers on the same cores"
    )
    report.figures = {"alone": vars(alone), "with_readers": vars(beside)}
    return report


def _observe(server: Server, readers: int, into: _Observed) -> None:
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        home = Path(folder)
        path = configure(home, server.url, concurrency=IN_FLIGHT)
        started = [_start_reader(path) for _ in range(readers)]
        try:
            into.seconds.append(_sync(home, into).seconds)
        finally:
            told = [_end_reader(reader) for reader in started]
    for one in told:
        noted = json.loads(one)
        into.waits += noted["waits"]
        into.queries += noted["queries"]


def _sync(home: Path, into: _Observed) -> Measured:
    """A first pass by a process whose transactions are watched."""
    waits = home / "waits.json"
    command, environ = module("benchmarks.traced_sync", str(waits))
    measured = measure(command, environ | syncd(home)[1])
    noted = json.loads(waits.read_text("utf-8"))
    into.begins += noted["BEGIN"]
    into.commits += noted["COMMIT"]
    into.empties += noted["EMPTY"]
    return measured


def _start_reader(path: Path) -> "subprocess.Popen[str]":
    command, environ = module("benchmarks.inbox_reader", str(path))
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours


def _end_reader(reader: "subprocess.Popen[str]") -> str:
    reader.terminate()
    return reader.communicate()[0]


def _milliseconds(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and longest."""
    return middle(seconds) * 1000, max(seconds, default=float("nan")) * 1000
