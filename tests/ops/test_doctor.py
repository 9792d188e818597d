import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncd.ops import doctor
from syncd.ops.doctor import judge_permissions
from syncd.ops.door import find_readers
from syncd.simulator.api import SPECIFICATION
from syncd.sources.specification import find_differences

EVERY_CHECK = (
    *("configuration", "permissions", "disk", "integrity", "schema", "readers", "failures", "losses"),
    *("reachability", "token", "scopes", "clock", "specification"),
)


def examine(place: Any, capfd: pytest.CaptureFixture[str]) -> tuple[int, Mapping[str, Any]]:
    """The doctor's exit code, and its findings by check."""
    capfd.readouterr()
    code = place.run("doctor", "--json")
    told = json.loads(capfd.readouterr().out)
    assert told["ok"] is (code == 0)
    return code, {finding["check"]: finding for finding in told["findings"]}


def test_a_healthy_installation_passes_every_check(place: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Every check of the contract is made, and each is fine; the first names the accounts."""
    code, findings = examine(place, capfd)
    assert code == 0
    told = {check: finding["verdict"] for check, finding in findings.items()}
    assert told == dict.fromkeys(EVERY_CHECK, "ok")
    assert findings["configuration"]["text"] == f"{place.config}: acme"


def test_nothing_at_all_is_diagnosed_too(place: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With a broken configuration, no database and no network it still says what it can, and ends with 1."""
    place.config.write_text("[accounts.acme]\nsorce = 1\n", encoding="utf-8")
    place.database = tmp_path / "nowhere.db"
    place.sim.pause()
    code, findings = examine(place, capfd)
    assert (code, findings["configuration"]["verdict"]) == (1, "problem")
    assert "sorce" in findings["configuration"]["text"]
    assert findings["database"]["verdict"] == "warning"


def test_a_server_that_is_away_is_told_from_a_bad_token(
    place: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No answer is a matter of reachability; a refusal is one of the token; no token at all, too."""
    place.sim.pause()
    assert examine(place, capfd)[1]["reachability"]["verdict"] == "problem"
    place.sim.resume()
    monkeypatch.setenv("SYNCD_TEST_TOKEN", "ot_pat_wrong_00000000")
    code, findings = examine(place, capfd)
    assert (code, findings["token"]["verdict"], "reachability" in findings) == (1, "problem", False)
    monkeypatch.delenv("SYNCD_TEST_TOKEN")
    assert "token_file" in examine(place, capfd)[1]["token"]["text"]


def test_missing_scopes_are_a_warning(
    place: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without the two optional scopes the doctor names them and what is not mirrored, and ends with 0."""
    monkeypatch.setenv("SYNCD_TEST_TOKEN", place.sim.world.add_token(scopes=["messages:read"]))
    code, findings = examine(place, capfd)
    assert (code, findings["scopes"]["verdict"]) == (0, "warning")
    assert "proposals:read" in findings["scopes"]["text"]
    assert "jobs:read" in findings["scopes"]["text"]


def test_a_server_without_users_is_examined_for_the_ids_that_are_named(
    place: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of an OpenATS account it says that the server answers, its clock, and which configured ids it does not have."""
    table = f'[accounts.ats]\nsource = "openats"\nbase_url = "{place.sim.openats_url}"\n'
    place.config.write_text(f"{table}jobs = [2]\ncandidates = [404]\n", encoding="utf-8")
    code, findings = examine(place, capfd)
    assert {check for check, finding in findings.items() if finding["account"] == "ats"} == {
        *("reachability", "clock", "ids")
    }
    assert (code, findings["ids"]["verdict"]) == (1, "problem")
    assert "no 404" in findings["ids"]["text"]
    place.config.write_text(f"{table}jobs = [2]\n", encoding="utf-8")
    code, findings = examine(place, capfd)
    assert (code, findings["ids"]["verdict"]) == (0, "ok")


def test_damage_is_found(place: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Bytes overwritten in the middle of the file are a problem, with what to do."""
    with place.database.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"damage" * 3000)
    code, findings = examine(place, capfd)
    assert (code, findings["integrity"]["verdict"]) == (1, "problem")
    assert "backup" in findings["integrity"]["advice"]


def test_wide_permissions_are_found(place: Any) -> None:
    """A database that everybody reads is wider than promised, and the advice is the command that mends it."""
    place.database.chmod(0o644)
    finding = judge_permissions(place.database, group_read=False)
    assert (finding.verdict, finding.advice) == ("warning", f"chmod 600 {place.database}")
    place.database.chmod(0o640)
    assert judge_permissions(place.database, group_read=True).verdict == "ok"


def test_a_reader_in_a_transaction_is_named(place: Any, tmp_path: Path) -> None:
    """A process that holds the write-ahead log is found by its lock, and named once the log is long."""
    with closing(sqlite3.connect(place.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        inode = place.database.with_name("syncd.db-shm").stat().st_ino
        locks = tmp_path / "locks"  # as the kernel writes it for another process; our own locks don't conflict with us
        locks.write_text(
            f"1: POSIX  ADVISORY  READ 1 fe:00:{inode} 124 124\n"
            f"2: POSIX  ADVISORY  READ 2 fe:00:{inode} 128 128\n"
            "3: POSIX  ADVISORY  READ 3 fe:00:1 124 124\n",
            encoding="ascii",
        )
        assert list(find_readers(place.database, locks)) == [1]
        assert find_readers(place.database)  # the kernel's own list has this very process
    long = doctor.judge_readers(100 << 20, {41: "sqlite3", 42: "syncd"}, writer=42)
    assert (long.verdict, "process 41 (sqlite3)" in long.text, "42" in long.text) == ("warning", True, False)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ("09:15:59", "ok"),
        ("09:17:00", "problem"),
        ("09:10:00", "problem"),
    ],
)
def test_a_clock_is_judged_by_the_servers(ours: str, verdict: str) -> None:
    """More than a minute ahead or behind is a problem."""
    assert doctor.judge_clock("acme", f"2026-06-12T{ours}.000Z", "2026-06-12T09:15:00.000Z").verdict == verdict


@pytest.mark.parametrize(
    ("free", "database", "verdict"),
    [(1 << 20, 0, "problem"), (100 << 20, 0, "warning"), (1 << 30, 1 << 30, "warning"), (1 << 30, 1 << 20, "ok")],
)
def test_room_is_judged_by_what_needs_it(free: int, database: int, verdict: str) -> None:
    """Below the floor it is a problem, below what a backup takes a warning."""
    assert doctor.judge_disk(free, database).verdict == verdict


def test_a_specification_that_lost_a_field_or_a_call_is_noticed() -> None:
    """Whatever its schemas are called, what syncd reads and the server no longer describes is named."""
    assert find_differences(SPECIFICATION) == []
    schemas = {f"X{number}": schema for number, schema in enumerate(SPECIFICATION["components"]["schemas"].values())}
    renamed = SPECIFICATION | {"components": {"schemas": schemas}}
    assert find_differences(renamed) == []
    text = json.dumps(SPECIFICATION).replace('"needsReplyCount"', '"replies"').replace("/jobs/mine", "/my/jobs")
    assert find_differences(json.loads(text)) == ["no call /jobs/mine", "a conversation has no needsReplyCount"]
    assert find_differences(["no"]) == ["it is no OpenAPI document"]
