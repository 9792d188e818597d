"""(e): how much memory a first pass takes, over time: of a million messages, and of one very long conversation."""

import tempfile
import time
from pathlib import Path

from benchmarks.processes import configure, resident_mb, running, syncd
from benchmarks.report import Report, Target, say
from benchmarks.serving import IN_FLIGHT, Server, serving
from benchmarks.tools import count_messages

_SAMPLE_SECONDS = 0.5
_FIRST_MINUTE = 60.0
_FLAT_MB = 5.0
_MOST_MB = 120

Samples = list[tuple[float, float]]


def measure_memory(*, quick: bool) -> Report:
    """Resident memory twice a second; the server makes its pages as they are asked for."""
    conversations, messages = (200, 20_000) if quick else (10_000, 1_000_000)
    with serving(conversations, messages, lean=True) as server:
        samples = _sample(server)
    longest = messages // 5
    with serving(1, longest, lean=True) as server:
        one_thread = max(mb for _, mb in _sample(server))
    seconds, peak = samples[-1][0], max(mb for _, mb in samples)
    settled = min(_FIRST_MINUTE, seconds / 2)
    growth = max(mb for at, mb in samples if at >= settled) - max(mb for at, mb in samples if at <= settled)
    report = Report("e", f"first pass of {messages:,} messages: resident memory", ("after", "MB"))
    marks = [(f"{share:.0%} of the time", _at(samples, seconds * share)) for share in (0.05, 0.1, 0.25, 0.5, 0.75, 1)]
    report.rows += [*marks, ("highest", peak), (f"highest, one conversation of {longest:,} messages", one_thread)]
    report.targets.append(Target("highest, in MB", peak, _MOST_MB))
    report.targets.append(Target("highest with one conversation, in MB", one_thread, _MOST_MB))
    report.targets.append(Target(f"highest after {settled:.0f} s less the highest before, in MB", growth, _FLAT_MB))
    report.notes.append(f"it took {seconds:.0f} s, {messages / seconds:,.0f} messages a second")
    report.figures = {"samples": samples}
    return report


def _sample(server: Server) -> Samples:
    samples: Samples = []
    with tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        home = Path(folder)
        path = configure(home, server.url, concurrency=IN_FLIGHT)
        with running(*syncd(home, "sync", "--json")) as process:
            began = time.monotonic()
            while process.poll() is None:
                resident = resident_mb(process.pid)
                if resident is not None:
                    samples.append((time.monotonic() - began, resident))
                if len(samples) % 60 == 0:
                    say(f"{samples[-1][0]:.0f} s: {samples[-1][1]:.0f} MB")
                time.sleep(_SAMPLE_SECONDS)
        if (found := count_messages(path)) != server.messages:
            raise RuntimeError(f"{found} of {server.messages} messages are stored: a wrong mirror is no result")
    return samples


def _at(samples: Samples, moment: float) -> float:
    """The last sample up to a moment."""
    return next((mb for at, mb in reversed(samples) if at <= moment), samples[0][1])
