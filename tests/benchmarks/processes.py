"""Run commands as processes and measure them: seconds, processor seconds, memory."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]

Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class Measured:
    """How a process went; `told` is the JSON object that it printed last, if any."""

    seconds: float
    cpu: float
    peak_mb: float
    told: dict[str, Any]


def module(name: str, *words: str) -> Command:
    """A module of the benchmarks as a command, with its environment."""
    return [sys.executable, "-m", name, *words], os.environ | {"PYTHONPATH": str(_TESTS)}


def syncd(home: Path, *words: str | Path) -> Command:
    """A command of syncd's in a home of its own, where nothing of the machine has a say."""
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "OT_API_TOKEN": "ot_pat_bench_0123456789abcdef"}
    return [sys.executable, "-m", "syncd.cli.main", *map(str, words)], environ


def configure(home: Path, url: str, **settings: Any) -> Path:
    """Write a configuration with one account named `bench`; the path of the database it leads to."""
    path = home / ".config" / "syncd" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    account = {"source": "opentrain", "base_url": url, "token_env": "OT_API_TOKEN"} | settings
    lines = [f"{name} = {json.dumps(value)}" for name, value in account.items()]
    path.write_text("\n".join(["[accounts.bench]", *lines, ""]), encoding="utf-8")
    return home / ".local" / "state" / "syncd" / "syncd.db"


def measure(command: Sequence[str], environ: Mapping[str, str], *, codes: Container[int] = (0,)) -> Measured:
    """Run to the end; RuntimeError with the last of what it said when its exit code is none of these."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=err, stdin=subprocess.DEVNULL)  # noqa: S603 - ours
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said, complained = _read(out), _read(err)
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {complained[-2000:]}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, _told(said))


@contextmanager
def running(command: Sequence[str], environ: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that runs while the body does, and is then asked to end; RuntimeError if it failed meanwhile."""
    with tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=err)  # noqa: S603 - ours
        try:
            yield process
        finally:
            process.terminate()
            code = process.wait()
        if code not in (0, -signal.SIGTERM):
            raise RuntimeError(f"{' '.join(command)} ended with {code}: {_read(err)[-2000:]}")


def cpu_of(pid: int) -> float:
    """Processor seconds that a running process has used, all of its threads together (Linux)."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of it


def resident_mb(pid: int) -> float | None:
    """Megabytes of memory that a process has now; None when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) / 1024 if found else None


def _read(file: Any) -> str:
    file.seek(0)
    text: str = file.read()
    return text


def _told(text: str) -> dict[str, Any]:
    """The last line, or the whole, read as a JSON object."""
    for candidate in (text, text.strip().rpartition("\n")[2]):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}
