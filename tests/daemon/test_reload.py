import signal
from typing import Any

from homes import Home
from syncd.simulator import Simulator


def test_a_changed_configuration_is_taken_up(home: Home, sim: Simulator) -> None:
    """SIGHUP: a broken file changes nothing and says what is wrong; accounts come, change and go, the others go on."""
    usual: dict[str, Any] = {"base_url": sim.url, "poll_seconds": 60, "idle_seconds": 60}
    debug = {"log": {"level": "debug"}}
    home.configure({"acme": usual, "beta": usual}, **debug)
    daemon = home.start("run")
    for name in ("acme", "beta"):
        daemon.wait_for("poll", account=name)

    home.configure({"acme": {**usual, "poll_secs": 1}}, **debug)
    daemon.process.send_signal(signal.SIGHUP)
    assert "poll_secs" in daemon.wait_for("config.refused")["error"]
    home.configure({"acme": usual}, store={"path": str(home.path / "other.db")}, **debug)
    daemon.process.send_signal(signal.SIGHUP)
    assert "restart" in daemon.wait_for("config.refused", count=2)["error"]
    assert home.run("sync", "beta", "--db", home.db).code == 0  # both are still there

    stall = sim.faults.stall(listing=True)
    home.configure({"acme": usual, "gamma": usual}, **debug)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("config.reloaded", accounts=2)
    home.wait_until(lambda: stall.hits)
    removed = {row["account"]: row["removed_at"] is not None for row in home.rows("SELECT * FROM accounts")}
    assert removed == {"acme": False, "beta": True, "gamma": False}

    home.configure({"acme": usual, "beta": usual, "gamma": {**usual, "concurrency": 2}}, log={"level": "info"})
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("config.reloaded", accounts=3)
    home.wait_until(lambda: home.states() == {"acme": "ok", "beta": "ok", "gamma": "ok"})
    home.wait_until(lambda: not home.value("SELECT COUNT(*) FROM accounts WHERE removed_at IS NOT NULL"))
    assert daemon.stop()[0] == 0
    assert len(daemon.log("poll", account="acme")) == 1
    assert len(daemon.log("poll", account="beta")) == 2  # its first one, and that of `sync`
    assert not daemon.log("poll", account="gamma")  # what was broken off is no poll, and the next one is told to nobody
    assert not daemon.log(level="error")[2:]
