import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.logs import redact

SETUP = "import logging, sys, threading, warnings\nfrom syncd.logs import *\n"
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python code in a process of its own and returns what it wrote to standard error."""

    def start(code: str, **environ: str) -> str:
        file = tmp_path / "stderr"
        with file.open("wb") as stream:
            command = [sys.executable, "-c", SETUP + code]
            done = subprocess.run(  # noqa: S603 - the code above
                command, stderr=stream, stdout=subprocess.PIPE, env={**os.environ, **environ}, check=False
            )
        written = file.read_text(encoding="utf-8")
        assert (done.returncode, done.stdout) == (0, b""), written
        return written

    return start


def _lines(written: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.splitlines()]


def test_a_line_is_one_json_object(run: Run) -> None:
    """Where the output is no terminal, a line is JSON with the time in UTC, the level, the event and its fields."""
    written = run(
        'configure(clock=lambda: 1704067200.0456); get_logger(account="acme").info("message.new", event_id=7)'
    )
    line = {
        "timestamp": "2024-01-01T00:00:00.045Z",
        "level": "info",
        "event": "message.new",
        "account": "acme",
        "event_id": 7,
    }
    assert _lines(written) == [line]


@pytest.mark.parametrize(("level", "logged"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_decides(run: Run, level: str, logged: int) -> None:
    """Lines below the level are left out."""
    code = f'configure("{level}"); log = get_logger(); log.debug("a"); log.info("b"); log.warning("c"); log.error("d")'
    assert len(_lines(run(code))) == logged


def test_a_new_level_reaches_old_loggers(run: Run) -> None:
    """Configuring again, as SIGHUP does, changes loggers that were given out before."""
    assert (
        len(_lines(run('configure("error"); log = get_logger(); log.info("a"); configure("info"); log.info("b")'))) == 1
    )


def test_the_run_is_named_on_every_line(run: Run) -> None:
    """The process's run_id is on all lines, of threads too."""
    code = """
configure(run_id="r1")
get_logger(account="acme").info("main")
thread = threading.Thread(target=lambda: get_logger().info("thread")); thread.start(); thread.join()
"""
    found = [(line["run_id"], line.get("account")) for line in _lines(run(code))]
    assert found == [("r1", "acme"), ("r1", None)]


def test_secrets_never_reach_a_line(run: Run) -> None:
    """Tokens, registered secrets and passwords in addresses are blotted out of keys, values and library lines."""
    code = """
configure(); register_secret("hunter2"); log = get_logger()
log.info("ot_pat_abc_S3CR3T", a="x ot_pat_abc_S3CR3T y", b={"ot_pat_S3CR3T": ["hunter2", ("Bearer S3CR3T",)]})
log.info("x", url="postgresql://u:S3CR3T@db/r", e=ValueError("ot_pat_abc_S3CR3T"), h=b"hunter2")
logging.getLogger("httpx").warning("sent %s", "Authorization: Bearer S3CR3T")
"""
    written = run(code)
    assert len(_lines(written)) == 3
    assert "S3CR3T" not in written
    assert "hunter2" not in written


def test_no_traceback_is_logged(run: Run) -> None:
    """An exception is one line with its type and words, by our loggers and by libraries."""
    code = """
configure()
try:
    raise ValueError("two\\nlines")
except ValueError as error:
    get_logger().exception("a")
    get_logger().error("b", exc_info=error, stack_info=True)
    logging.getLogger("apscheduler").exception("c")
"""
    written = run(code)
    assert [line["error"] for line in _lines(written)] == ["ValueError: two lines"] * 3
    assert "Traceback" not in written


def test_libraries_are_heard_from_warning_on(run: Run) -> None:
    """What libraries log at WARNING or above, at whatever number, and Python's own warnings become JSON lines."""
    code = """
configure(); configure()
log = logging.getLogger("apscheduler"); log.info("quiet"); log.warning("late by %d s", 5); log.log(35, "odd")
log.warning("broken %d", "format")
warnings.warn("old")
"""
    lines = _lines(run(code, PYTHONWARNINGS="default"))
    assert [line["level"] for line in lines] == ["warning"] * 4
    assert (lines[0]["event"], lines[0]["logger"], lines[0]["message"]) == ("library", "apscheduler", "late by 5 s")
    assert "broken %d" in lines[2]["message"]
    assert "old" in lines[3]["message"]


def test_any_value_is_logged(run: Run) -> None:
    """Values that JSON can't hold are logged as text or null, never an error."""
    code = 'configure(); get_logger().info("x", a=float("nan"), b={1, }, d="\\ud800 \\xe9", e={2: None}, f=10**30)'
    (line,) = _lines(run(code, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"))
    assert (line["a"], line["b"], line["d"], line["e"], line["f"]) == (None, [1], "\ud800 é", {"2": None}, 10**30)


def test_the_journal_is_given_priorities(tmp_path: Path) -> None:
    """Only a standard error that is the journal's own stream gets a priority in front of each line."""
    file = tmp_path / "journal"
    code = f'{SETUP}configure("debug"); log = get_logger(); log.debug(1); log.info(2); log.warning(3); log.error(4)'
    for shift, starts in ((0, ["<7>{", "<6>{", "<4>{", "<3>{"]), (1, ["{"] * 4)):
        with file.open("wb") as stream:
            status = os.fstat(stream.fileno())
            environ = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + shift}"}
            subprocess.run([sys.executable, "-c", code], stderr=stream, env=environ, check=True)  # noqa: S603 - the code above
        assert [line[: len(start)] for line, start in zip(file.read_text().splitlines(), starts, strict=True)] == starts


def _on_terminal(code: str, **environ: str) -> str:
    """Run code with a terminal as its standard error and return what it shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SETUP + code]
    with subprocess.Popen(command, stderr=theirs, env={**os.environ, **environ}) as child:  # noqa: S603 - the code above
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # Linux's way of saying that the other end of a terminal is closed
            pass
        os.close(ours)
        assert child.wait() == 0
    return shown.decode()


def test_people_get_text_on_a_terminal() -> None:
    """On a terminal a line is coloured text; NO_COLOR takes the colours away, format=json the text."""
    code = 'configure(); get_logger().info("message.new", account="acme")'
    assert "\x1b[" in _on_terminal(code, NO_COLOR="")
    plain = _on_terminal(code, NO_COLOR="1")
    assert "message.new" in plain
    assert "account=acme" in plain
    assert "\x1b[" not in plain
    assert json.loads(_on_terminal(code.replace("configure()", 'configure("info", "json")')))["account"] == "acme"


def test_nothing_in_a_value_steers_a_terminal(run: Run) -> None:
    """Escape sequences, line ends and direction changes are shown, not obeyed; text in any script stays."""
    values = r'a="\x1b]0;x\x07", b="x\ny\x9b", c="\u202egnp", d=["\x1b[2J"], e="née 日本 🙂"'
    written = run(f'configure("info", "console"); get_logger().info("x\\x1b[2J", **{{"k\\x1b": 1}}, {values})')
    assert written.count("\n") == 1
    assert not any(letter in written for letter in "\x1b\x07\x9b\u202e")
    assert "née 日本 🙂" in written


def test_a_stream_that_refuses_does_not_end_the_daemon(tmp_path: Path) -> None:
    """Lines that a full disk or a closed stream refuses are lost, and logging goes on with the next stream."""
    code = """
full = open("/dev/full", "w")
configure(stream=full); get_logger().info("a"); get_logger().info("b")
closed = open("out", "w"); configure(stream=closed); get_logger().info("c"); closed.close(); get_logger().info("d")
import os; os._exit(0)  # the buffer of /dev/full can't be written at the end either
"""
    subprocess.run([sys.executable, "-c", SETUP + code], check=True, cwd=tmp_path)  # noqa: S603 - the code above
    assert json.loads((tmp_path / "out").read_text())["event"] == "c"


@given(st.text(), st.text())
def test_redacting_leaves_the_rest(before: str, after: str) -> None:
    """What stands around a token stays as it is."""
    shown = redact(f"{before} ot_pat_abc_S3CR3T {after}")
    assert "S3CR3T" not in shown
    assert shown.endswith(f" ot_pat_*** {after}")
