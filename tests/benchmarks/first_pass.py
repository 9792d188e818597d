"""(a) and (b): a first pass, beside the limits, a plain script and dlt."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import Measured
from benchmarks.report import Report, Target, middle, say
from benchmarks.serving import IN_FLIGHT, Figures, Server, serving
from benchmarks.tools import (
    DLT,
    HTTPX,
    LIMITS,
    MIRRORS,
    PLAIN,
    STORE,
    SYNCD,
    TOGETHER,
    Tool,
    has_dlt,
    run_tool,
)

Runs = dict[str, list[tuple[Measured, Figures]]]
_COLUMNS = ("", "seconds", "÷ syncd's", "CPU s", "÷ syncd's", "peak MB", "requests", "server's CPU s")


def measure_without_latency(rounds: int, *, quick: bool, with_dlt: bool = True) -> Report:
    """(a): no latency, so that nothing hides the program's own cost."""
    conversations, messages = (100, 10_000) if quick else (1_000, 100_000)
    with serving(conversations, messages) as server:
        runs = _contest(server, rounds, _tools(with_dlt=with_dlt))
    report = _report("a", f"first pass, {conversations:,} conversations, {messages:,} messages, no latency", runs)
    limit = _inner(runs, HTTPX) + _inner(runs, STORE)
    report.targets.append(Target("the pass ÷ (httpx's fetch limit + store limit)", _own(runs) / limit, 1.25))
    report.targets += _lead(runs, {PLAIN: 2, DLT: 4})
    together = _inner(runs, TOGETHER)
    report.notes.append(
        f"one process that fetches and stores the same, and proves nothing, takes {together / limit:.2f} times both"
        f" limits; the pass takes {_own(runs) / together:.2f} times as long as that"
    )
    report.figures |= {"pass_seconds": _own(runs), "limit_seconds": limit, "together_seconds": together}
    return report


def measure_with_latency(rounds: int, *, quick: bool, with_dlt: bool = True) -> Report:
    """(b): 30 ms before each answer, so that round trips are what counts."""
    conversations, messages, latency = (100, 5_000, 0.03) if quick else (300, 20_000, 0.03)
    with serving(conversations, messages, latency=latency) as server:
        round_trip = server.measure_round_trip()
        longest = -(-max(server.lengths) // 100)
        least = max(server.least_requests / IN_FLIGHT, longest / 2) * round_trip
        runs = _contest(server, rounds, _tools(with_dlt=with_dlt))
    title = f"first pass, {conversations:,} conversations, {messages:,} messages, 30 ms latency, {IN_FLIGHT} in flight"
    report = _report("b", title, runs)
    report.targets.append(
        Target("the pass ÷ (round trips that can't be saved, times their length)", _own(runs) / least, 1.5)
    )
    report.targets += _lead(runs, {PLAIN: 6, DLT: 3})
    report.notes.append(
        f"round trip {round_trip * 1000:.1f} ms; at least {server.least_requests} requests, the longest thread has "
        f"{longest} pages: {least:.2f} s at least, {_own(runs):.2f} s taken by the pass"
    )
    report.figures |= {"pass_seconds": _own(runs), "limit_seconds": least, "round_trip": round_trip}
    return report


def _tools(*, with_dlt: bool) -> list[Tool]:
    """Who takes part; syncd comes first, as the store limit writes its rows."""
    others = [tool for tool in MIRRORS[1:] if tool.name != DLT or (with_dlt and has_dlt())]
    return [MIRRORS[0], *LIMITS, *others]


def _contest(server: Server, rounds: int, tools: Sequence[Tool]) -> Runs:
    """One after the other, round after round, so that a busy moment of the machine meets all alike."""
    runs: Runs = {tool.name: [] for tool in tools}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
            for tool in tools:
                before = server.figures()
                measured = run_tool(tool, server, Path(folder))
                runs[tool.name].append((measured, server.figures() - before))
                say(f"round {number + 1} of {rounds}: {tool.name}: {measured.seconds:.2f} s")
    return runs


def _report(name: str, title: str, runs: Runs) -> Report:
    report = Report(name, title, _COLUMNS)
    seconds, cpu = _median(runs, SYNCD), _median(runs, SYNCD, "cpu")
    for tool, results in runs.items():
        theirs, theirs_cpu = _shown(runs, tool), _shown(runs, tool, "cpu")
        report.rows.append(
            (
                *(tool, theirs, theirs / seconds, theirs_cpu, theirs_cpu / cpu),
                round(middle(measured.peak_mb for measured, _ in results)),
                round(middle(figures.requests for _, figures in results)),
                middle(figures.cpu for _, figures in results),
            )
        )
    report.figures["runs"] = {tool: [_raw(*one) for one in results] for tool, results in runs.items()}
    report.notes.append(
        f"limits are without the interpreter's start; of syncd's {seconds:.2f} s the pass took {_own(runs):.2f} s"
    )
    report.notes.append("the token has `messages:read` alone: all store the same conversations and messages")
    if DLT not in runs:
        report.notes.append("dlt was left out")
    return report


def _raw(measured: Measured, figures: Figures) -> dict[str, Any]:
    return {
        "seconds": measured.seconds,
        "cpu": measured.cpu,
        "peak_mb": measured.peak_mb,
        "told": measured.told,
        "requests": figures.requests,
        "bytes": figures.bytes,
        "server_cpu": figures.cpu,
    }


def _lead(runs: Runs, wanted: dict[str, float]) -> list[Target]:
    """How many times as long each other takes, whole processes both."""
    ours = _median(runs, SYNCD)
    return [
        Target(f"{tool} ÷ syncd", _median(runs, tool) / ours, bound, at_least=True)
        for tool, bound in wanted.items()
        if tool in runs
    ]


def _median(runs: Runs, tool: str, what: str = "seconds") -> float:
    return middle(getattr(measured, what) for measured, _ in runs[tool])


def _inner(runs: Runs, tool: str, what: str = "seconds") -> float:
    """What a limit told of itself."""
    return middle(measured.told[what] for measured, _ in runs[tool])


def _own(runs: Runs) -> float:
    """Seconds of syncd's pass alone, as the limits are told."""
    return middle(measured.told["accounts"][0]["seconds"] for measured, _ in runs[SYNCD])


def _shown(runs: Runs, tool: str, what: str = "seconds") -> float:
    is_limit = any(tool == limit.name for limit in LIMITS)
    return _inner(runs, tool, what) if is_limit else _median(runs, tool, what)
