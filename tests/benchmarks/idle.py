"""(c): what a poll costs while nothing happens, at three sizes, by the daemon itself."""

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import configure, cpu_of, measure, running, syncd
from benchmarks.report import Report, Target, say
from benchmarks.serving import IN_FLIGHT, Figures, Server, serving

_WARM_POLLS = 5


@dataclass(frozen=True)
class _Daemon:
    """A daemon with its server; `before`: CPU seconds and the server's figures when the watch began."""

    server: Server
    home: Path
    pid: int

    def look(self) -> tuple[float, Figures]:
        """CPU seconds and what the server has seen."""
        return cpu_of(self.pid), self.server.figures()


def measure_idle(*, quick: bool) -> Report:
    """All daemons at once, a poll a second, so that the machine's other work meets all alike."""
    sizes, polls = ((100, 400), 5) if quick else ((100, 1_000, 10_000), 30)
    report = Report(
        "c",
        "a poll while nothing happens, up to 100 conversations unread",
        ("conversations", "requests", "bytes", "CPU ms", "rows written", "÷ the CPU of the smallest"),
    )
    with ExitStack() as stack:
        daemons = [_start(stack, size) for size in sizes]
        _wait_for_polls(daemons, _WARM_POLLS)
        before = [daemon.look() for daemon in daemons]
        _wait_for_polls(daemons, _WARM_POLLS + polls)
        costs = [_cost(daemon, *begun) for daemon, begun in zip(daemons, before, strict=True)]
    for size, cost in zip(sizes, costs, strict=True):
        ratio = cost["cpu_ms"] / costs[0]["cpu_ms"]
        report.rows.append((size, cost["requests"], round(cost["bytes"]), cost["cpu_ms"], cost["rows"], ratio))
    report.targets.append(Target("requests of a poll", max(cost["requests"] for cost in costs), 3))
    spent = [cost["cpu_ms"] for cost in costs]
    report.targets.append(Target("CPU of the dearest size ÷ the cheapest", max(spent) / min(spent), 1.2))
    report.targets.append(Target("rows written beside the account's own", max(cost["rows"] for cost in costs), 0))
    report.notes.append(f"means of {polls} polls; CPU is the whole daemon's, its scheduler and its heartbeat included")
    report.figures = {"costs": dict(zip(map(str, sizes), costs, strict=True))}
    return report


def _start(stack: ExitStack, size: int) -> _Daemon:
    """A daemon whose first pass is over."""
    server = stack.enter_context(serving(size, 2 * size, lean=True))
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncd-bench-")))
    configure(home, server.url, concurrency=IN_FLIGHT, poll_seconds=1, idle_seconds=1)
    measure(*syncd(home, "sync", "--json"))
    say(f"{size} conversations are mirrored")
    return _Daemon(server, home, stack.enter_context(running(*syncd(home, "run"))).pid)


def _wait_for_polls(daemons: list[_Daemon], polls: int) -> None:
    """Return when each daemon has begun so many polls, between two of them."""
    for daemon in daemons:
        while daemon.server.figures().polls < polls:
            time.sleep(0.05)
    time.sleep(0.4)


def _cost(daemon: _Daemon, cpu: float, figures: Figures) -> dict[str, Any]:
    """What a poll cost on average, seen from outside; the rows as `syncd status` tells them of the last one."""
    cpu_now, figures_now = daemon.look()
    seen = figures_now - figures
    told = measure(*syncd(daemon.home, "status", "--json")).told["accounts"][0]["poll"]
    return {
        "polls": seen.polls,
        "requests": seen.requests / seen.polls,
        "bytes": seen.bytes / seen.polls,
        "cpu_ms": (cpu_now - cpu) / seen.polls * 1000,
        "rows": told["rows"],
        "told_by_status": told,
    }
