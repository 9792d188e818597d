import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from homes import Home
from syncd.simulator import Simulator

IN_TIME = 5.0


def check_whole(home: Home) -> None:
    """The database is sound, and nobody holds it."""
    with closing(sqlite3.connect(home.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not home.db.with_name("syncd.db.sock").exists()


def test_it_stops_wherever_it_is(home: Home, sim: Simulator) -> None:
    """SIGTERM ends slow pages, a stall, a wait, an outage, a hanging token command and a caller: 0, in 5 s."""
    names = ("slow", "stalled", "waiting", "away", "asking")
    tokens = {name: sim.world.add_token(scopes=["messages:read"]) for name in names}
    home.environ |= {f"TOKEN_{name}": token for name, token in tokens.items()}
    sim.faults.delay(0.5, token=tokens["slow"], skip=2, times=None)
    sim.faults.stall(token=tokens["stalled"], skip=1, times=None)
    sim.faults.rate_limit(50, token=tokens["waiting"], times=None)
    accounts = {name: {"base_url": sim.url, "token_env": f"TOKEN_{name}"} for name in names}
    accounts["away"]["base_url"] = "http://127.0.0.1:9"
    del accounts["asking"]["token_env"]
    home.configure({**accounts, "asking": {**accounts["asking"], "token_command": ["sleep", "20"]}})
    daemon = home.start("run")
    daemon.wait_for("account.waiting", account="waiting")
    daemon.wait_for("account.degraded", account="away", state="unreachable")
    caller = home.start("sync", "stalled")
    sim.requests.wait_for(4, timeout=60)
    home.wait_until(lambda: _is_served(home))
    code, seconds = daemon.stop()
    assert (code, seconds < IN_TIME) == (0, True)
    ended = caller.end()
    assert (ended.code, ended.out) == (1, "")
    assert "the daemon stopped before it was done" in ended.err
    assert daemon.end().err.count('"daemon.stopped"') == 1
    check_whole(home)


def _is_served(home: Home) -> bool:
    """Whether a caller is connected to the door."""
    table = Path("/proc/net/unix").read_text(encoding="ascii")
    return sum(str(home.db) in line for line in table.splitlines()) > 1


def test_it_stops_when_nothing_is_to_be_done(home: Home) -> None:
    """An idle daemon ends at once with 0, by Ctrl-C too."""
    daemon = home.start("run")
    daemon.wait_for("history")
    home.wait_until(lambda: home.states() == {"opentrain": "ok"})
    code, seconds = daemon.stop(signal.SIGINT)
    assert (code, seconds < IN_TIME) == (0, True)
    check_whole(home)


def test_it_stops_before_it_has_begun(home: Home) -> None:
    """SIGTERM as soon as there is a database ends it with 0; a SIGHUP then does not hurt."""
    daemon = home.start("run")
    home.wait_until(home.db.exists)
    daemon.process.send_signal(signal.SIGHUP)
    code, seconds = daemon.stop()
    assert (code, seconds < IN_TIME) == (0, True)
    check_whole(home)
