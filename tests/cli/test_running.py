import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from syncd.simulator import Simulator, World


def watch_on_a_terminal(words: list[str], environ: dict[str, str], columns: int = 80) -> tuple[int, str]:
    """Run a command on a terminal so wide; its exit code and all that it drew."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "syncd.cli.main", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed
            break
    os.close(ours)
    return process.wait(20), drawn.decode()


def plain(drawn: str) -> list[str]:
    """The lines as they were drawn, without colours and movements."""
    return [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)) if line.strip()]


def test_a_first_pass_is_watched_on_a_terminal() -> None:
    """The bar fits the terminal, counts conversations and messages up, and leaves one line that sums it up."""
    with Simulator(World.generate(2, conversations=40, messages=2000)) as sim:
        environ = dict(os.environ) | {"OT_API_TOKEN": sim.token, "OT_API_BASE_URL": sim.url, "COLUMNS": ""}
        sim.faults.delay(0.15, conversation=None, listing=False, path="/messages$", times=None)
        sim.faults.rate_limit(1, path="/proposals/", skip=5)
        code, drawn = watch_on_a_terminal(["sync"], environ)
    lines = plain(drawn)
    assert code == 0
    assert max(map(len, lines)) <= 80
    seen = [re.search(r" (\d+)/40 conversations, (\d+) messages, \d+/s", line) for line in lines]
    counts = [(int(found[1]), int(found[2])) for found in seen if found]
    assert counts == sorted(counts)
    assert len(set(counts)) >= 3
    assert any("account.waiting" in line for line in lines)
    assert re.match(r"opentrain: ok, \d+ requests, \d+ rows in \d+\.\d s", lines[-1])
    assert "\x1b[?25h" in drawn  # the cursor is there again


def test_what_the_first_page_promises(launch: Any, run: Any, monkeypatch: Any, tmp_path: Path) -> None:
    """`simulate` in one terminal; what it prints makes `sync` and `inbox` work in another."""
    server = launch("simulate", "--conversations", "5", "--messages", "40", "--still")
    exported: dict[str, str] = {}
    while len(exported) < 2:
        found = re.search(r"export (\w+)=(\S+)", server.stdout.readline())
        exported |= {found[1]: found[2]} if found else {}
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    summary = run("sync", "--json")
    assert (summary.code, summary.data["accounts"][0]["state"]) == (0, "ok")
    inbox = run("inbox", "--json")
    assert (inbox.code, len(inbox.data)) == (0, 5)
    assert run("thread", inbox.data[0]["conversation_id"]).code == 0
    assert json.loads(run("sql", "SELECT COUNT(*) AS n FROM messages", "--json").out) == [{"n": 40}]
    assert (tmp_path / "home/.local/state/syncd/syncd.db").exists()
    server.terminate()
    assert server.communicate(timeout=20)[1] == ""
