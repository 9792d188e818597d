"""What reading commands cost on a small mirror."""

import sys
import tempfile
from pathlib import Path

from benchmarks.processes import configure, measure, syncd
from benchmarks.report import Report, Target, middle
from benchmarks.serving import serving

_COMMANDS = ("inbox", "status", "check")
_MOST_SECONDS = 0.3


def measure_commands(*, quick: bool) -> Report:
    """Each in turn, again and again; beside them what Python itself takes to start."""
    rounds = 3 if quick else 11
    report = Report("commands", "reading a small mirror: 100 conversations, 2,000 messages", ("command", "s", "CPU s"))
    with serving(100, 2_000) as server, tempfile.TemporaryDirectory(prefix="syncd-bench-") as folder:
        home = Path(folder)
        configure(home, server.url)
        measure(*syncd(home, "sync", "--json"))
        commands = {f"syncd {word}": syncd(home, word) for word in _COMMANDS}
        commands["python -c pass"] = ([sys.executable, "-c", "pass"], {})
        runs = [
            (name, measure(*command, codes=(0, 1)))  # `check` ends with 1 as somebody waits
            for _ in range(rounds)
            for name, command in commands.items()
        ]
    for name in commands:
        taken = [measured for other, measured in runs if other == name]
        cpu = middle(measured.cpu for measured in taken)
        report.rows.append((name, middle(measured.seconds for measured in taken), cpu))
        if name.startswith("syncd"):
            report.targets.append(Target(f"CPU of {name}, in seconds", cpu, _MOST_SECONDS))
    return report
