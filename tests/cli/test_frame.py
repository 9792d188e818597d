import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncd.cli.main import FAMILIES

COMMANDS = [name for names in FAMILIES.values() for name in names]
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) SELECT i FROM n"

Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Any, command: str) -> None:
    """`--help` ends with 0, names the command and says in a sentence what it does."""
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"Usage: syncd {command}" in ended.out
    assert ended.out.split("\n\n")[1].strip()


def test_the_help_lists_every_command(run: Any) -> None:
    """`syncd --help` names each command, and `-h` is the same."""
    ended = run("--help")
    assert all(f"\n  {command} " in ended.out for command in COMMANDS)
    assert run("-h").out == ended.out


def test_no_command_is_wrong_usage(run: Any) -> None:
    """`syncd` alone prints the help on standard error and ends with 2."""
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: syncd" in ended.err


def test_the_version_is_printed(run: Any) -> None:
    """`--version` ends with 0 and needs no command."""
    ended = run("--version")
    assert ended.code == 0
    assert ended.out.startswith("syncd ")


@pytest.mark.parametrize(
    "words",
    [["bogus"], ["thread"], ["inbox", "--bogus"], ["inbox", "--limit", "x"], ["--db"], ["check", "--max-age", "4"]],
)
def test_wrong_usage_is_one_line_and_2(run: Any, words: list[str]) -> None:
    """A command line that makes no sense ends with 2 and one line that says where the help is."""
    ended = run(*words)
    assert ended.code == 2
    assert ended.err.startswith("syncd: ")
    assert ended.err.count("\n") == 1
    assert "--help)" in ended.err


def test_the_database_is_named_before_or_after_the_command(run: Any, inbox: Any) -> None:
    """`--db` counts on both sides of the command, and the nearer one wins."""
    before = run("--db", inbox.path, "inbox", "--json")
    after = run("inbox", "--json", "--db", inbox.path)
    both = run("--db", "/nowhere.db", "inbox", "--json", "--db", inbox.path)
    assert before.code == after.code == both.code == 0
    assert len(before.data) == len(after.data) == len(both.data) == 6


def test_the_configuration_is_named_before_or_after_the_command(run: Any, inbox: Any, tmp_path: Path) -> None:
    """`--config` leads to its database on both sides of the command."""
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\npath = "{inbox.path}"\n')
    assert run("--config", config, "inbox").out == run("inbox", "--config", config).out != ""


def test_without_a_database_the_places_tried_are_named(run: Any, tmp_path: Path) -> None:
    """A reading command without a database ends with 1, names all places, the service's last, and makes no file."""
    ended = run("inbox")
    assert ended.code == 1
    assert ended.err.index(str(tmp_path / "home/.local/state/syncd/syncd.db")) < ended.err.index(
        "/var/lib/syncd/syncd.db"
    )
    assert not (tmp_path / "home").exists()
    assert run("status", "--db", tmp_path / "none.db").code == 1
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_is_no_database_is_refused(run: Any, tmp_path: Path) -> None:
    """Some other file ends with 78 and one line, and stays as it was."""
    other = tmp_path / "other.db"
    other.write_text("not a database")
    ended = run("inbox", "--db", other)
    assert ended.code == 78
    assert ended.err.count("\n") == 1
    assert other.read_text() == "not a database"


def test_what_nobody_foresaw_is_one_line(run: Any, inbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception ends with 1 and one line; SYNCD_DEBUG=1 shows where it came from."""
    monkeypatch.setattr("syncd.cli.reading.read_now", lambda _database: 1 / 0)
    ended = run("inbox", "--db", inbox.path)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith("syncd: internal error: ZeroDivisionError")
    monkeypatch.setenv("SYNCD_DEBUG", "1")
    assert "Traceback" in run("inbox", "--db", inbox.path).err


def test_ctrl_c_ends_even_a_query_that_never_ends(launch: Launch, inbox: Any) -> None:
    """SIGINT in the midst of a query ends with 130, without a word."""
    process = launch("sql", ENDLESS, "--csv", "--db", inbox.path)
    while _cpu_seconds(process.pid) < 1.5:  # starting takes less: by now the query runs
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_reader_that_goes_away_is_no_error(launch: Launch, inbox: Any) -> None:
    """When the pipe closes, the command ends at once and says nothing."""
    process = launch("sql", MANY, "--csv", "--db", inbox.path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 141


@pytest.mark.parametrize(
    ("module", "spared"),
    [("syncd.app", {"sqlmodel", "sqlalchemy", "pygments", "apscheduler"}), ("syncd.daemon", {"sqlmodel", "pygments"})],
)
def test_what_writes_imports_only_what_it_needs(module: str, spared: set[str]) -> None:
    """A one-shot sync would wait for each import, and a daemon keep it."""
    script = f"import sys, {module}; print(*sys.modules)"
    ended = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not spared & set(ended.stdout.split())


@pytest.mark.parametrize("command", [["inbox"], ["thread", "c-new"], ["status"], ["check"], ["sql", "SELECT 1"]])
def test_reading_imports_nothing_heavy(inbox: Any, command: list[str]) -> None:
    """A reading command loads neither what writes, schedules, logs and fetches, nor what validates a configuration."""
    script = (
        "import sys\nfrom syncd.cli.main import run_command\n"
        f"run_command({[*command, '--db', str(inbox.path)]!r})\nprint(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(ended.stderr.split())
    heavy = {
        "sqlmodel",
        "sqlalchemy",
        "apscheduler",
        "structlog",
        "aiohttp",
        "httpx",
        "tenacity",
        "starlette",
        "uvicorn",
        "asyncio",
    }
    # pydantic itself is no measure: newer typers load it to read the command line.
    assert not loaded & (heavy | {"syncd.config.load", "syncd.config.models", "syncd.app", "syncd.daemon"})
