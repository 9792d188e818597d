import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from homes import Home
from syncd.simulator import Simulator


def digest(path: Path) -> str:
    """What the file holds, in short."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_daemon_holds_a_database(home: Home) -> None:
    """A second `run` is refused with 78 and told the first one's number; after a kill -9 nothing is in the way."""
    first = home.start("run")
    first.wait_for("daemon.started")
    second = home.run("run")
    assert second.code == 78
    assert f"process {first.process.pid})" in second.err.splitlines()[-1]
    first.process.kill()
    first.end()
    assert home.db.with_name("syncd.db.sock").exists()
    third = home.start("run")
    third.wait_for("daemon.started")
    assert third.stop()[0] == 0


def test_an_event_is_never_lost_between_disk_and_log(home: Home, sim: Simulator) -> None:
    """What was on disk and not in the log when the process died is logged at the next start, by its own number."""
    assert home.run("sync").code == 0
    message_id = sim.world.add_message(sim.world.longest(), "Are you still there? I would like to know.")
    assert home.run("sync").code == 0
    with closing(sqlite3.connect(home.db)) as connection:
        connection.execute("UPDATE events SET logged_at = NULL WHERE message_id = ?", (message_id,))
        connection.commit()
    expected = {row["id"]: row for row in home.rows("SELECT * FROM events WHERE message_id = ?", message_id)}
    daemon = home.start("run")
    daemon.wait_for("daemon.started")
    home.wait_until(lambda: not home.value("SELECT COUNT(*) FROM events WHERE logged_at IS NULL"))
    assert daemon.stop()[0] == 0
    logged = [line for line in daemon.log() if line.get("message_id") == message_id]
    assert [line["event_id"] for line in logged] == list(expected)
    for line in logged:
        row = expected[line["event_id"]]
        assert (line["event"], line["account"], line["level"]) == (row["kind"], "opentrain", "info")
        assert line["conversation_id"] == row["conversation_id"]
        assert line["timestamp"].endswith("Z")
        data = json.loads(row["data"] or "{}")
        assert {name: line[name] for name in data} == data


def test_history_gets_its_line_after_a_crash_too(home: Home) -> None:
    """Events about history that were on disk and not summed up when the process died are, by the next quiet pass."""
    assert home.run("sync").code == 0
    with closing(sqlite3.connect(home.db)) as connection:
        assert connection.execute("UPDATE events SET logged_at = NULL WHERE baseline = 1").rowcount
        connection.commit()
    assert '"event": "history"' in home.run("sync").err
    assert not home.value("SELECT COUNT(*) FROM events WHERE logged_at IS NULL")
    assert '"event": "history"' not in home.run("sync").err


def test_what_is_not_ours_stays_as_it_is(home: Home) -> None:
    """A newer database, another program's, a text and a directory end it with 78, untouched to the byte."""
    home.db.parent.mkdir(parents=True)
    newer, foreign, text = (home.path / name for name in ("newer.db", "foreign.db", "text.db"))
    for path, version in ((newer, 999), (foreign, 0)):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE other (id INTEGER)")
            if version:
                connection.execute("PRAGMA application_id = 0x73796E63")
                connection.execute(f"PRAGMA user_version = {version}")
            connection.commit()
    text.write_text("these are my notes\n" * 200, encoding="utf-8")
    before = {path: (digest(path), path.stat().st_mtime_ns) for path in (newer, foreign, text)}
    ended = {
        path: home.run(*words, "--db", path) for path, words in zip(before, (["run"], ["sync"], ["run"]), strict=True)
    }
    assert [one.code for one in ended.values()] == [78, 78, 78]
    assert all(str(path) in one.err for path, one in ended.items())
    assert {path: (digest(path), path.stat().st_mtime_ns) for path in before} == before
    assert not [path for path in home.path.iterdir() if path.name.endswith(("-wal", "-shm", "-journal"))]
    assert home.run("run", "--db", home.path).code == 78


def test_it_needs_accounts_that_make_sense(home: Home, sim: Simulator) -> None:
    """No account at all, or a broken configuration, ends `run` with 78, every mistake on one line; nothing is made."""
    home.configure({}, log={"level": "info"})
    empty = home.run("run")
    home.configure({"acme": {"base_url": sim.url, "poll_secs": 3}, "beta": {"source": "opentrane"}})
    broken = home.run("run")
    assert (empty.code, broken.code) == (78, 78)
    assert "account" in empty.err
    (line,) = broken.err.splitlines()
    assert "poll_secs" in line
    assert "opentrane" in line
    assert not home.db.exists()
