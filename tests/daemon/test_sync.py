import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from homes import Home
from oracle import differences
from syncd.simulator import Simulator

SUMMARY = {
    "account",
    "state",
    "error",
    "retry_at",
    "exit_code",
    "requests",
    "bytes",
    "rows_written",
    "seconds",
    "failures",
}


def test_an_empty_machine_needs_two_variables(home: Home, sim: Simulator) -> None:
    """With a token and an address alone, `sync` makes a private database that is the inbox, field by field."""
    ended = home.run("sync")
    assert (ended.code, home.states()) == (0, {"opentrain": "ok"})
    assert differences(home.db, sim.world.truth(), account="opentrain") == []
    assert stat.S_IMODE(home.db.stat().st_mode) == 0o600
    assert ended.out.startswith("opentrain: ok, ")
    assert home.run("check", "--max-waiting", "0").code == 0


def test_a_mistyped_account_makes_nothing(home: Home) -> None:
    """On an empty machine a name that is no account's is wrong usage, and leaves no database behind."""
    ended = home.run("sync", "opentrian")
    assert (ended.code, "opentrain" in ended.err, home.db.parent.exists()) == (2, True, False)


def test_waits_and_poison_leave_it_done(home: Home, sim: Simulator) -> None:
    """A short 429 is sat out, an unreadable page becomes a failure, and neither keeps `sync` from ending with 0."""
    deep = home.path / ("a folder whose name is long " * 6) / "elsewhere.db"  # longer than a socket's address
    sim.faults.rate_limit(1, listing=True)
    sim.faults.body({"messages": "none"}, conversation=sim.world.longest(), times=None)
    ended = home.run("sync", "--json", "--db", deep)
    home.db = deep
    (account,) = ended.data["accounts"]
    assert (ended.code, set(account)) == (0, SUMMARY)
    assert account["seconds"] >= 1
    assert (account["state"], account["error"], account["retry_at"]) == ("ok", None, None)
    assert account["failures"] == 1
    assert home.rows("SELECT kind, subject_id FROM failures") == [
        {"kind": "conversation", "subject_id": sim.world.longest()}
    ]
    said = home.run("sync", "--db", deep)  # at once, though the next try is a minute away
    assert "1 failure" in said.out
    assert home.rows("SELECT tries FROM failures") == [{"tries": 2}]
    sim.faults.clear()
    again = home.run("sync", "--json", "--db", deep)
    assert (again.code, again.data["accounts"][0]["failures"]) == (0, 0)
    home.environ["SYNCD_CONFIG"] = str(home.path / "named.toml")
    (home.path / "named.toml").write_text('[accounts.opentrain]\nsource = "opentrain"\n', encoding="utf-8")
    assert home.run("sync", "--full", "--db", home.db).code == 0
    assert home.value("SELECT COUNT(*) FROM sync_runs WHERE kind = 'reconcile' AND error IS NULL") == 1
    assert differences(home.db, sim.world.truth(), account="opentrain") == []


TROUBLES = {
    "fine": ("ok", 0),
    "limited": ("rate_limited", 75),
    "away": ("unreachable", 69),
    "babel": ("protocol_error", 69),
    "refused": ("auth_failed", 77),
    "bare": ("forbidden", 77),
    "broken": ("paused", 1),
}


@pytest.fixture
def troubled(home: Home, sim: Simulator) -> Home:
    """A machine with an account for each trouble that there is, each with a token of its own."""
    world = sim.world
    tokens = {name: world.add_token(scopes=["messages:read", "proposals:read", "jobs:read"]) for name in TROUBLES}
    tokens["bare"] = world.add_token(scopes=["jobs:read"])
    world.revoke_token(tokens["refused"])
    sim.faults.rate_limit(3600, token=tokens["limited"], times=None)
    sim.faults.html(token=tokens["babel"], times=None)
    home.environ |= {f"TOKEN_{name}": token for name, token in tokens.items()}
    accounts: dict[str, dict[str, Any]] = {
        name: {"base_url": sim.url, "token_env": f"TOKEN_{name}", "concurrency": 2} for name in TROUBLES
    }
    accounts["away"]["base_url"] = "http://127.0.0.1:9"
    home.configure(accounts)
    return home


@contextmanager
def spoiled(home: Home, account: str) -> Iterator[None]:
    """A database that refuses what is written for one account."""
    with closing(sqlite3.connect(home.db)) as connection:
        connection.execute(
            f"CREATE TRIGGER spoil BEFORE INSERT ON messages WHEN NEW.account = '{account}'"
            " BEGIN SELECT RAISE(ABORT, 'spoiled'); END"
        )
        connection.commit()
        yield
        connection.execute("DROP TRIGGER spoil")
        connection.commit()


def test_each_account_has_its_own_trouble(troubled: Home, sim: Simulator) -> None:
    """Every account is served whatever the others meet, and the most lasting trouble is what it ends with."""
    home = troubled
    assert home.run("sync", "fine", "typo").code == 2
    assert home.run("sync", "away").code == 69
    with spoiled(home, "broken"):
        ended = home.run("sync", "--json")
        assert {one["account"]: (one["state"], one["exit_code"]) for one in ended.data["accounts"]} == TROUBLES
        assert [set(one) for one in ended.data["accounts"]] == [SUMMARY] * len(TROUBLES)
        assert ended.code == 77
        asked = sim.requests.count(status=429)
        codes = {
            names: home.run("sync", *names).code
            for names in (("broken", "limited", "away"), ("broken", "limited", "fine"), ("broken", "fine"))
        }
    assert list(codes.values()) == [69, 75, 1]
    assert sim.requests.count(status=429) == asked
    assert home.value("SELECT COUNT(*) FROM messages WHERE account = 'fine'") == 150
    assert home.states() == {name: state for name, (state, _) in TROUBLES.items()}


def test_a_long_wait_ends_it_at_once(home: Home, sim: Simulator) -> None:
    """`sync` ends with 75 and says until when; until then another one sends nothing, and says the same."""
    sim.faults.rate_limit(3600, listing=True)
    ended = home.run("sync")
    retry_at = home.value("SELECT retry_at FROM accounts")
    assert ended.code == 75
    assert retry_at in ended.err.splitlines()[-1]
    sim.requests.clear()
    again = home.run("sync")
    assert (again.code, len(sim.requests)) == (75, 0)
    assert home.value("SELECT retry_at FROM accounts")[:16] in again.err.splitlines()[-1]
    assert home.run("check").code == 1


def test_without_a_token_it_names_the_four_ways(home: Home) -> None:
    """Nothing was given: 77, and how to give it, on one line."""
    del home.environ["OT_API_TOKEN"]
    ended = home.run("sync")
    assert (ended.code, ended.out) == (77, "")
    for way in ("token_env", "token_file", "token_command", "token_credential"):
        assert way in ended.err.splitlines()[-1]
