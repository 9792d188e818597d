import json
import os
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from homes import Home, Running
from syncd.simulator import Simulator

NOBODY = 65534
ASK = """
import os, sys
from pathlib import Path
from syncd.ops.door import ask_holder
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(65534)
try:
    print(ask_holder(Path(sys.argv[1]), "sync", {})["accounts"][0]["state"])
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def daemon(home: Home, sim: Simulator) -> Running:
    """A daemon that is idle for a long time once it has the inbox."""
    home.configure({"acme": {"base_url": sim.url, "poll_seconds": 60, "idle_seconds": 60}}, log={"level": "debug"})
    running = home.start("run")
    running.wait_for("poll")
    return running


def say(home: Home, text: bytes, *, leave: bool = False) -> Any:
    """What the door answers, the progress left out; `leave`: go away without waiting for it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(home.db) + ".sock")
        connection.sendall(text)
        if leave:
            return None
        with connection.makefile("rb") as lines:
            return next(answer for line in lines if "progress" not in (answer := json.loads(line)))


def test_sync_beside_a_daemon_asks_it(home: Home, sim: Simulator, daemon: Running) -> None:
    """`sync` ends with the summary and the exit code of the pass that the daemon makes for it; nobody else gets in."""
    assert stat.S_IMODE((home.db.with_name("syncd.db.sock")).stat().st_mode) == 0o600
    sim.world.add_message(sim.world.longest(), "Here I am again, with a question.")
    first = home.run("sync", "--json")
    assert (first.code, first.data["accounts"][0]["state"]) == (0, "ok")
    assert daemon.log("message.new")
    assert "message.new" not in first.err
    assert home.run("accept", "typo").code == 2
    sim.faults.rate_limit(3600, listing=True)
    limited = home.run("sync", OT_API_TOKEN="", OT_API_BASE_URL="")
    assert limited.code == 75
    assert home.value("SELECT retry_at FROM accounts") in limited.err
    assert daemon.process.poll() is None


def test_the_door_stands_fast(home: Home, sim: Simulator, daemon: Running) -> None:
    """Garbage is refused, half a request harms nobody, who leaves is not missed, and ten at once are all served."""
    for garbage in (
        b"\n",
        b"GET / HTTP/1.1\r\n",
        b'{"command": 5}\n',
        b"\xff\xfe\n",
        b"[]\n",
        b"x" * (1 << 21) + b"\n",
    ):
        try:
            assert say(home, garbage)["exit_code"] == 2
        except ConnectionError:
            assert len(garbage) > 1 << 20  # its rest was never read
    assert say(home, b'{"command": "dance"}\n')["exit_code"] == 2
    assert say(home, b'{"command": "sync", "arguments": {"accounts": 5}}\n')["exit_code"] == 2
    sim.faults.delay(1, listing=True)
    say(home, b'{"command": "sy', leave=True)
    say(home, b'{"command": "sync"}\n', leave=True)
    with ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(lambda _: say(home, b'{"command": "sync"}\n'), range(10)))
    assert [answer["result"]["accounts"][0]["exit_code"] for answer in answers] == [0] * 10
    assert daemon.stop()[0] == 0
    assert not daemon.log("library")  # no complaint of asyncio about those who left
    assert len(daemon.log("poll")) == 12


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_group_may_be_let_in(home: Home, sim: Simulator) -> None:
    """With group_read all is there for the group: who is in it may ask, a stranger is told why not."""
    home.configure({"acme": {"base_url": sim.url}}, store={"group_read": True}, log={"level": "debug"})
    with TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        home.db = Path(public) / "new" / "syncd.db"
        daemon = home.start("run", "--db", home.db)
        daemon.wait_for("poll")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.db.parent.iterdir()}
        assert {name: modes[name] for name in ("syncd.db", "syncd.db.sock")} == {
            "syncd.db": 0o640,
            "syncd.db.sock": 0o660,
        }
        said = [ask_as_nobody(home.db, group) for group in (os.getgid(), NOBODY)]
        assert daemon.stop()[0] == 0
    assert said[0] == "ok"
    assert said[1].startswith("DatabaseError")
    assert "ask its owner to let your group in" in said[1]


def ask_as_nobody(database: Path, group: int) -> str:
    """What a user of that group is told."""
    words = [sys.executable, "-c", ASK, str(database), str(group)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_two_syncs_share_one_database(home: Home, sim: Simulator) -> None:
    """A `sync` beside another one asks it, and that one stays until it has answered."""
    fault = sim.faults.delay(1.5, listing=True, times=2)
    first = home.start("sync")
    home.wait_until(lambda: fault.hits)
    second = home.run("sync", "--json")
    assert (first.end().code, second.code) == (0, 0)
    assert second.data["accounts"][0]["state"] == "ok"
    assert "account.degraded" not in second.err


def test_a_killed_daemon_is_a_clear_error(home: Home, sim: Simulator, daemon: Running) -> None:
    """A caller whose daemon dies in the middle is told to ask again: 1, on one line."""
    fault = sim.faults.stall(listing=True)
    caller = home.start("sync")
    home.wait_until(lambda: fault.hits)
    daemon.process.kill()
    ended = caller.end()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "syncd: the daemon stopped before it was done; ask again\n"
