"""Standard streams that are closed, full, or read by nobody any more."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homes import Home
from syncd.simulator import Simulator, World

READING = (
    ["inbox"], ["inbox", "--json"], ["thread", "c-new"], ["status"], ["status", "--json"], ["check"], ["events"],
    ["sql", "SELECT 1"], ["sql", "SELECT 1", "--csv"], ["search", "there"], ["outbox", "--json"], ["doctor"],
    ["--help"], ["inbox", "--help"], ["--version"],
)  # fmt: skip
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")


@pytest.fixture
def inbox(inbox: Any) -> Any:
    """An inbox in which something has happened."""
    inbox.insert("events", account="acme", kind="message.new", conversation_id="c-new", message_id="m3")
    return inbox


def shell(script: str, *words: str | Path, environ: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run syncd as a shell does: `$S` in the script is the command with its words."""
    line = ["bash", "-o", "pipefail", "-c", script, sys.executable, *map(str, words)]
    known = dict(os.environ) if environ is None else environ
    known |= {"S": "", "PYTHONWARNINGS": "error"}
    text = script.replace("$S", '"$0" -m syncd.cli.main "$@"')
    line[4] = text
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60, env=known)  # noqa: S603 - our own words


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_output_to_a_closed_stream_is_one_line(inbox: Any, words: list[str]) -> None:
    """Whoever closes standard output is told so, with 1."""
    ended = shell("$S >&-", "--db", inbox.path, *words)
    assert (ended.returncode, ended.stderr) == (1, "syncd: standard output is closed; give it a file or a pipe\n")


@FULL
@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_output_to_a_full_device_is_one_line(inbox: Any, words: list[str]) -> None:
    """A disk that is full is named as what it is, with 1."""
    ended = shell("$S >/dev/full", "--db", inbox.path, *words)
    told = "syncd: standard output can't be written: No space left on device; make room, or name another place\n"
    assert (ended.returncode, ended.stderr) == (1, told)


@pytest.mark.parametrize(
    "words",
    [["inbox"], ["status"], ["thread", "c-new"], ["sql", "SELECT 1"], ["outbox"], ["--help"]],
    ids=" ".join,
)
def test_a_reader_that_has_gone_is_silence(inbox: Any, words: list[str]) -> None:
    """Under pipefail a reader that ended is told from a failure: 141, as of SIGPIPE, and no word."""
    ended = shell("$S | true", "--db", inbox.path, *words)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_errors_without_a_stream_change_nothing(inbox: Any) -> None:
    """With standard error closed or full a command does the same, and its errors don't mix with its output."""
    for stream in ("2>&-", "2>/dev/full"):
        fine = shell(f"$S {stream}", "--db", inbox.path, "inbox", "--json")
        assert (fine.returncode, fine.stdout.count("conversation_id")) == (0, 6)
        for words, code in ((["thread", "nope"], 1), (["inbox", "--bogus"], 2), (["--db", inbox.path.parent], 2)):
            ended = shell(f"$S {stream}", "--db", inbox.path, *words)
            assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A server."""
    with Simulator(World.generate(3, conversations=4, messages=40)) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, sim: Simulator) -> Iterator[Home]:
    """A home whose environment names the server."""
    found = Home(tmp_path)
    found.environ |= {"OT_API_BASE_URL": sim.url, "OT_API_TOKEN": sim.token}
    yield found
    found.close()


def test_what_is_done_is_done_all_the_same(home: Home, sim: Simulator) -> None:
    """`sync` and `send` do their work whatever becomes of their words; what was sent ends with 0, with a warning."""
    ended = shell("$S >&-", "sync", environ=home.environ)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        1,
        "syncd: standard output is closed; give it a file or a pipe",
    )
    assert home.states() == {"opentrain": "ok"}
    assert shell("$S 2>&-", "sync", environ=home.environ).returncode == 0
    conversation = next(iter(sim.world.conversations))
    for number, stream in enumerate((">&-", ">/dev/full", "2>&-", "2>/dev/full", ">&- 2>&- <&-"), 1):
        sent = shell(f"$S {stream}", "send", conversation, f"Text {number}", environ=home.environ)
        assert sent.returncode == 0, sent.stderr
        assert home.value("SELECT state FROM outbox WHERE id = ?", number) == "sent"
        if stream in (">&-", ">/dev/full"):
            assert f"message {number} is sent" in sent.stderr
            assert "standard output" in sent.stderr
            assert "internal" not in sent.stderr
    assert sim.requests.count(method="POST") == 5


@pytest.mark.parametrize("words", [["-"], []])
def test_a_closed_standard_input_is_no_text(home: Home, sim: Simulator, words: list[str]) -> None:
    """`send` without a text and without standard input is wrong usage."""
    assert home.run("sync").code == 0
    conversation = next(iter(sim.world.conversations))
    ended = shell("$S <&-", "send", conversation, *words, environ=home.environ)
    assert (ended.returncode, ended.stderr.count("\n"), "no text to send" in ended.stderr) == (2, 1, True)


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
def test_a_daemon_without_streams_mirrors(home: Home, streams: str) -> None:
    """`run` needs none of them; no file of its own takes their numbers, so nothing that is said lands in it."""
    script = f'exec "$0" -m syncd.cli.main run {streams}'
    process = subprocess.Popen(["bash", "-c", script, sys.executable], env=home.environ)  # noqa: S603, S607 - our own words
    try:
        home.wait_until(lambda: home.db.exists() and home.states() == {"opentrain": "ok"})
        places = {number: Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)}
        assert not [place for place in places.values() if "syncd" in str(place)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert home.value("SELECT integrity_check FROM pragma_integrity_check") == "ok"
