"""Publishing into PostgreSQL: a first publish beside row-wise upserts, and what `--follow` adds."""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.million_world import make_world
from benchmarks.processes import Command, Measured, measure, module, syncd
from benchmarks.report import Report, Target, middle, say
from postgres import MISSING, PostgresServer, find_programs, postgres_server
from publish.pair import TABLES, create_schema

_MESSAGES_A_CONVERSATION = 100
_PATIENCE = 60.0
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def measure_first_publish(messages: int, rounds: int) -> Report:
    """All ways in turn, each into an empty database of one PostgreSQL with its default settings; needs one."""
    report = Report(
        "publish",
        f"a first publish of {messages:,} messages into PostgreSQL on the same machine",
        (
            "way",
            "rows",
            "seconds",
            "rows a second",
            "client's CPU µs a row",
            "PostgreSQL's",
            "peak MB",
            "syncd's pace ÷",
        ),
    )
    if find_programs() is None:
        report.notes.append(f"NOT MEASURED: {MISSING}")
        return report
    runs = _contest(messages, rounds)
    pace = {way: middle(run.rows / run.measured.seconds for run in found) for way, found in runs.items()}
    for way, found in runs.items():
        report.rows.append((way, *_describe(found), pace[_SYNCD] / pace[way]))
    report.targets += [
        Target(f"pace of {_SYNCD} ÷ {way}", pace[_SYNCD] / pace[way], 5, at_least=True)
        for way in _WAYS
        if way != _SYNCD
    ]
    report.notes.append(
        "`execute` waits for each row's answer; `executemany` is psycopg's pipeline; 1,000 rows a commit"
    )
    report.figures = {way: [run.measured.seconds for run in found] for way, found in runs.items()}
    return report


def _contest(messages: int, rounds: int) -> "dict[str, list[_Run]]":
    """The runs of each way; RuntimeError where one made a wrong copy."""
    runs: dict[str, list[_Run]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "syncd.db"
        make_world(path, messages=messages, conversations=max(1, messages // _MESSAGES_A_CONVERSATION))
        say(f"{messages:,} messages are made")
        with postgres_server(folder / "server", fsync=True) as server:
            for number in range(rounds):
                for place, (way, command) in enumerate(_WAYS.items()):
                    url = server.url(f"bench_{number}_{place}")
                    runs[way].append(_run(server, command(folder, path, url)))
                    _check(path, url, runs[way][-1].rows)
                    say(f"{way}: {runs[way][-1].measured.seconds:.1f} s")
    return runs


def _describe(found: "list[_Run]") -> tuple[object, ...]:
    """The figures of a way, medians of its runs."""
    rows = found[0].rows
    seconds = middle(run.measured.seconds for run in found)
    client, server = middle(run.measured.cpu for run in found), middle(run.server_cpu for run in found)
    peak = max(run.measured.peak_mb for run in found)
    return rows, seconds, round(rows / seconds), client / rows * 1e6, server / rows * 1e6, peak


def _publish(folder: Path, path: Path, url: str) -> Command:
    return syncd(folder, "--db", path, "publish", url, "--json")


def _upsert(way: str, share: int = 1) -> Callable[[Path, Path, str], Command]:
    def prepare(_: Path, path: Path, url: str) -> Command:
        with psycopg.connect(url, autocommit=True) as connection:
            create_schema(connection)
        return module("benchmarks.upserting", str(path), url, way, str(share))

    return prepare


_SYNCD = "syncd publish"
_WAYS: dict[str, Callable[[Path, Path, str], Command]] = {
    _SYNCD: _publish,
    "upserts by executemany": _upsert("executemany"),
    "upserts by execute, a tenth": _upsert("execute", 10),
}


@dataclass(frozen=True)
class _Run:
    """How one way went; `server_cpu`: processor seconds that PostgreSQL spent meanwhile."""

    measured: Measured
    rows: int
    server_cpu: float


def _run(server: PostgresServer, command: Command) -> _Run:
    before = _cpu_of_children(server.pid)
    measured = measure(*command)
    return _Run(measured, int(measured.told["rows"]), _cpu_of_children(server.pid) - before)


def _cpu_of_children(pid: int) -> float:
    """Processor seconds of everything that a postmaster has started, ended or not."""

    def fields(one: int) -> list[str]:
        return Path(f"/proc/{one}/stat").read_text("ascii").rpartition(")")[2].split()

    ended = sum(int(ticks) for ticks in fields(pid)[13:15])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return _TICK * (ended + sum(int(ticks) for child in children for ticks in fields(int(child))[11:13]))


def _check(path: Path, url: str, rows: int) -> None:
    """RuntimeError where a table has not the mirror's rows, or all together not those that were told."""
    total = 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as mirror, psycopg.connect(url) as target:
        for table in TABLES:
            (held,) = mirror.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own names
            (found,) = target.execute(f"SELECT count(*) FROM syncd.{table}".encode()).fetchone() or (0,)  # noqa: S608 - our own names
            if found > held:
                raise RuntimeError(f"{table} has {found} of {held} rows: a wrong copy is no result")
            total += found
    if total != rows:
        raise RuntimeError(f"{total} rows arrived of {rows}: a wrong copy is no result")
