"""Whatever somebody types: an answer, or one line that says what is wrong; never an error of ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.cli.main import run_command

HUGE = str(10**30)
NO_TEXT = os.fsdecode(b"\xff\xfe")

ARGUMENTS: dict[str, tuple[list[str], list[str]]] = {
    # the options that take a value, and the others
    "inbox": (["--limit", "--account"], ["--unread", "--needs-reply", "--json"]),
    "thread": (["--account"], ["--json"]),
    "search": (["--from", "--since", "--conversation", "--account", "--limit"], ["--rank", "--json"]),
    "sql": ([], ["--csv", "--json"]),
    "status": ([], ["--json"]),
    "check": (["--max-age", "--max-waiting"], ["--json"]),
    "events": (["--after", "--kind", "--account", "--consumer"], ["--from-start", "--json"]),
    "outbox": (["--limit", "--account"], ["--json"]),
    "open-conversation": (["--account"], ["--json"]),
    "export": (["--format", "--since"], ["--spreadsheet", "--json"]),
    "backup": (["--keep"], ["--json"]),
    "purge": (["--candidate", "--conversation", "--account"], ["--dry-run", "--json"]),
}
NUMBERS = st.sampled_from(
    [
        "0", "1", "-1", "7", "2147483648", str(2**63 - 1), str(2**63), HUGE, "-" + HUGE, "nan", "inf", "1e400", "1.5",
        "٣", "0x10", "1_000",
    ]
)  # fmt: skip
TIMES = st.sampled_from(
    [
        "0", "0s", "10m", "3650d", "3651d", "999999999d", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59+14:00",
        "0001-01-01T00:00:00+14:00", "2026-02-30", "now", "1h30m",
    ]
)  # fmt: skip
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["c-new", "c-both", "acme", "message.new", "csv", "jsonl", "cancel", "retry", "SELECT 1", "SELECT", "ATTACH", "",
     "*", '"', "a*", "''", "%", "--", "-", ".", "..", "/", NO_TEXT, "x" + NO_TEXT]
)  # fmt: skip
VALUES = NUMBERS | TIMES | WORDS


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command, some of its options with any values, and some words."""
    name = draw(st.sampled_from(sorted(ARGUMENTS)))
    taking, flags = ARGUMENTS[name]
    line = [name]
    for option in draw(st.lists(st.sampled_from(taking), max_size=3)) if taking else []:
        line += [option, draw(VALUES)]
    line += draw(st.lists(st.sampled_from(flags), max_size=2, unique=True))
    return line + draw(st.lists(VALUES, max_size=2))


def run_quietly(line: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and what is told on standard error."""
    capfd.readouterr()
    code = run_command(line)
    return code, capfd.readouterr().err


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=command_lines())
def test_no_command_line_is_an_error_of_ours(
    inbox: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: list[str]
) -> None:
    """Every command line ends with a code of the contract and at most one line, which is none of ours to mend."""
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    code, told = run_quietly(["--db", str(inbox.path), *line], capfd)
    assert code in {0, 1, 2, 77, 78}, told
    assert "internal error" not in told
    assert "Traceback" not in told
    if code:
        assert told.count("\n") <= 1, told


@pytest.mark.parametrize(
    "line",
    [
        ["inbox", "--limit", HUGE], ["search", "there", "--limit", HUGE], ["outbox", "--limit", HUGE],
        ["events", "--after", HUGE], ["outbox", "cancel", HUGE], ["outbox", "retry", HUGE],
    ],
    ids=lambda line: " ".join(line[:2]),
)  # fmt: skip
def test_a_number_that_no_database_holds_is_wrong_usage(run: Any, inbox: Any, line: list[str]) -> None:
    """A number beyond 2**63 - 1 ends with 2, and the range is named."""
    ended = run("--db", inbox.path, *line)
    assert (ended.code, ended.out, ended.err.count("\n"), "9223372036854775807" in ended.err) == (2, "", 1, True)


@pytest.mark.parametrize(
    "line",
    [
        ["thread", NO_TEXT], ["inbox", "--account", NO_TEXT], ["search", NO_TEXT], ["send", "c-new", NO_TEXT],
        ["sql", f"SELECT '{NO_TEXT}'"], ["purge", "--candidate", NO_TEXT], ["open-conversation", NO_TEXT],
        ["events", "--consumer", NO_TEXT], [NO_TEXT], ["inbox", f"--{NO_TEXT}"],
    ],
    ids=lambda line: line[0] if line[0] != NO_TEXT else "command",
)  # fmt: skip
def test_words_that_are_no_text_are_wrong_usage(inbox: Any, line: list[str]) -> None:
    """Bytes that are no UTF-8 end with 2 and say which word it is."""
    words = [sys.executable, "-m", "syncd.cli.main", "--db", str(inbox.path), *line]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own words
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert "no UTF-8" in ended.stderr


@pytest.mark.parametrize("command", ["inbox", "sync", "run", "status", "send"])
@pytest.mark.parametrize("option", ["--db", "--config"])
def test_an_empty_name_is_wrong_usage(launch: Any, command: str, option: str) -> None:
    """`--db ''`, as of a variable that is not set, ends with 2 and names the option, on either side of the command."""
    words = ["c-new"] if command == "send" else []
    for line in ([option, "", command, *words], [command, *words, option, ""]):
        process = launch(*line)
        _, told = process.communicate(timeout=30)
        assert (process.returncode, told.count("\n"), option in told) == (2, 1, True), told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_somebody_who_may_not_read_is_told_so(inbox: Any, mode: int) -> None:
    """`doctor` and the reading commands name the file, whether its folder is closed or only the file is."""
    script = (
        "import contextlib, io, os, sys\nfrom syncd.cli.main import run_command\n"
        # what it imports may lie where only root may read, so it runs once before
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "    run_command(sys.argv[1:])\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\nsys.exit(run_command(sys.argv[1:]))"
    )
    with TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        folder = Path(public) / "state"
        folder.mkdir()
        for file in inbox.path.parent.glob("syncd.db*"):
            shutil.copy2(file, folder / file.name)
        folder.chmod(mode)
        for command in ("doctor", "status", "inbox", "check"):
            words = [sys.executable, "-c", script, "--db", str(folder / "syncd.db"), command]
            ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own words
            told = ended.stdout if command == "doctor" else ended.stderr
            assert ended.returncode == (1 if command == "doctor" else 78), (command, told + ended.stderr)
            assert "internal error" not in ended.stdout + ended.stderr
            assert str(folder / "syncd.db") in told
            assert "can't be" in told
