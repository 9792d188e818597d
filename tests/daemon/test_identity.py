from pathlib import Path
from typing import Any

from homes import Home
from syncd.simulator import Simulator


def token_file(home: Home, name: str, token: str) -> str:
    """Put a token into a file."""
    path = home.path / f"{name}.token"
    path.write_text(token, encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def other_token(sim: Simulator) -> str:
    """A token of somebody else."""
    return sim.world.add_token(scopes=["messages:read", "proposals:read", "jobs:read"], user_id="u_somebody_else")


def test_another_ones_token_changes_nothing(home: Home, sim: Simulator) -> None:
    """Another user's token, or another address, ends `sync` with 77 and applies nothing until `accept`."""
    usual: dict[str, Any] = {"base_url": sim.url}
    mine = {**usual, "token_file": token_file(home, "acme", sim.token)}
    home.configure({"acme": mine, "beta": usual})
    assert home.run("sync").code == 0
    viewer = home.value("SELECT viewer_user_id FROM accounts WHERE account = 'acme'")
    token_file(home, "acme", other_token(sim))
    message_id = sim.world.add_message(sim.world.longest(), "Nobody but me should ever read this.")
    ended = home.run("sync")
    assert ended.code == 77
    assert "syncd accept acme" in ended.err
    assert home.states() == {"acme": "wrong_account", "beta": "ok"}
    assert home.rows("SELECT account FROM messages WHERE id = ?", message_id) == [{"account": "beta"}]
    assert home.run("accept", "acme").code == 0
    assert home.run("sync").code == 0
    assert home.value("SELECT viewer_user_id FROM accounts WHERE account = 'acme'") == "u_somebody_else" != viewer

    with Simulator(sim.world) as moved:
        home.configure({"acme": {**mine, "base_url": moved.url}, "beta": usual})
        daemon = home.start("run")
        daemon.wait_for("daemon.started")
        assert "another address" in daemon.wait_for("account.degraded", account="acme", state="wrong_account")["error"]
        assert len(moved.requests) == 0
        assert home.run("accept", "acme").code == 0
        daemon.wait_for("account.recovered", account="acme")
        assert home.value("SELECT base_url FROM accounts WHERE account = 'acme'") == moved.url


def test_trouble_passes_by_itself(home: Home, sim: Simulator) -> None:
    """The daemon goes on whatever its accounts meet, and each recovers when its cause goes, without a restart."""
    names = ("refused", "away", "babel", "stranger")
    tokens = {name: sim.world.add_token(scopes=["messages:read"]) for name in names}
    with Simulator(sim.world) as other:
        accounts: dict[str, dict[str, Any]] = {
            name: {"base_url": sim.url, "poll_seconds": 1, "token_file": token_file(home, name, token)}
            for name, token in tokens.items()
        }
        accounts["away"]["base_url"] = other.url
        home.configure(accounts)
        assert home.run("sync", "stranger").code == 0
        token_file(home, "stranger", other_token(sim))
        token_file(home, "refused", "ot_pat_nobody_knows_this_one")
        other.pause()
        sim.faults.html(token=tokens["babel"], times=None)
        daemon = home.start("run")
        states = {
            "refused": "auth_failed",
            "away": "unreachable",
            "babel": "protocol_error",
            "stranger": "wrong_account",
        }
        for name, state in states.items():
            daemon.wait_for("account.degraded", account=name, state=state)
        assert home.states() == states
        other.resume()
        sim.faults.clear()
        for name in ("stranger", "refused"):
            token_file(home, name, tokens[name])
        for name in names:
            daemon.wait_for("account.recovered", account=name)
        assert home.states() == dict.fromkeys(names, "ok")
        assert daemon.stop()[0] == 0
        episodes = [line["event"] for line in daemon.log(account="away") if line["event"].startswith("account.")]
        assert episodes == ["account.degraded", "account.recovered"]
        assert Path(home.db).exists()
