import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from homes import Running
from postgres import PostgresServer, _free_port
from publish.station import Station, build_home
from syncd.simulator import Simulator

IN_TIME = 5.0
PASSWORD = "s3same-öpen"


@pytest.fixture
def alone(tmp_path: Path, sim: Simulator, own_server: PostgresServer) -> Iterator[Station]:
    """A machine whose target's server the test may stop, and which is let in with a password only."""
    own_server.add_user("writer", PASSWORD)
    url = own_server.url("reports", user="postgres")
    with own_server.connect() as connection:
        connection.execute("GRANT ALL ON DATABASE reports TO writer")
    made = Station(build_home(tmp_path / "home"), sim, url)
    made.home.environ["REPORTS_PASSWORD"] = PASSWORD
    made.configure(publish=settings(url))
    made.sync()
    yield made
    made.home.close()
    made.home.check_silence(sim.world)
    assert PASSWORD not in "".join(running.out + running.err for running in made.home.started)


def settings(url: str, **others: Any) -> dict[str, Any]:
    """[publish] with a password by the environment."""
    return {"url": url.replace("postgres@", "writer@"), "password_env": "REPORTS_PASSWORD", **others}


def say(station: Station, text: str) -> str:
    """A new message, in the server only; its id."""
    world = station.sim.world
    with world.lock:
        conversation_id = next(iter(world.truth()["conversations"]))
        world.add_message(conversation_id, text)
        found = [message["id"] for message in world.truth()["messages"][conversation_id] if message["content"] == text]
    return str(found[0])


def is_there(station: Station, id: str) -> bool:
    """Whether the target has the message."""
    return bool(station.ask(f"SELECT 1 FROM messages WHERE id = '{id}'"))  # noqa: S608 - an id of our own


def children(process: Running) -> list[int]:
    """The processes that it started and that are still there."""
    pid = process.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def is_gone(pid: int) -> bool:
    """Whether the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_daemon_publishes_each_commit(alone: Station) -> None:
    """With [publish] what is mirrored is published; status, metrics and check say so, and a purge follows there."""
    port = _free_port()
    alone.home.configure(
        {"acme": {"base_url": alone.sim.url, "poll_seconds": 0.1, "idle_seconds": 0.2}},
        publish=settings(alone.url),
        metrics={"listen": f"127.0.0.1:{port}"},
    )
    daemon = alone.home.start("run")
    daemon.wait_for("publish.caught_up")
    id = say(alone, "Is anybody there to read this?")
    alone.home.wait_until(lambda: is_there(alone, id))
    alone.home.wait_until(lambda: (alone.status()["follows"], alone.status()["error"]) == (True, None))
    candidate = alone.home.rows("SELECT candidate_id FROM proposals WHERE candidate_id IS NOT NULL")[0]["candidate_id"]
    ended = alone.home.run("purge", "--candidate", candidate, "--yes")
    assert (ended.code, f"Removed from {alone.status()['target']} too" in ended.out) == (0, True)
    assert not alone.ask(f"SELECT 1 FROM candidates WHERE id = '{candidate}'")  # noqa: S608 - an id of our own
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert f'syncd_publish_failing{{target="{alone.status()["target"]}"}} 0.0' in text
    assert "syncd_publish_behind_changes{" in text
    assert "syncd_publish_age_seconds{" in text
    code, seconds = daemon.stop()
    assert (code, seconds < IN_TIME) == (0, True)
    assert alone.home.run("publish").code == 0
    assert alone.differences() == []


def test_the_mirror_goes_on_while_the_target_is_away(alone: Station, own_server: PostgresServer) -> None:
    """A killed target stops no poll; it shows in status and check, is told once, and is caught up with by itself."""
    daemon = alone.home.start("run")
    daemon.wait_for("publish.caught_up")
    own_server.kill9()
    id = say(alone, "The reports are down, and I write all the same.")
    alone.home.wait_until(lambda: alone.home.rows("SELECT 1 FROM messages WHERE id = ?", id))
    alone.home.wait_until(lambda: alone.status()["tries"] > 1)
    assert "can't be reached" in alone.status()["error"]
    assert "failing since" in alone.home.run("status").out
    reasons = alone.home.run("check", "--max-age", "1s", "--max-waiting", "0", "--json").data["reasons"]
    assert [reason["kind"] for reason in reasons if reason["kind"] == "publish"] == ["publish"]
    candidate = alone.home.rows("SELECT candidate_id FROM proposals WHERE candidate_id IS NOT NULL")[0]["candidate_id"]
    ended = alone.home.run("purge", "--candidate", candidate, "--yes", "--json")
    assert [(one["removed"], one["rows"] > 0) for one in ended.data["published"]] == [(False, True)]
    own_server.start()
    daemon.wait_for("publish.recovered")
    assert is_there(alone, id)
    assert not alone.ask(f"SELECT 1 FROM candidates WHERE id = '{candidate}'")  # noqa: S608 - an id of our own
    alone.home.wait_until(lambda: (alone.status()["error"], alone.status()["to_remove"]) == (None, 0))
    assert len(daemon.log("publish.failed")) == 1
    assert daemon.stop()[0] == 0


def test_a_stalled_target_holds_up_no_stop(alone: Station, own_server: PostgresServer) -> None:
    """While the target neither answers nor breaks off, polls go on and SIGTERM ends the daemon within 5 s."""
    daemon = alone.home.start("run")
    daemon.wait_for("publish.caught_up")
    with own_server.connect("reports") as blocker:
        blocker.autocommit = False
        blocker.execute("LOCK TABLE syncd.messages IN ACCESS EXCLUSIVE MODE")
        id = say(alone, "Nobody answers, and I write all the same.")
        alone.home.wait_until(lambda: alone.home.rows("SELECT 1 FROM messages WHERE id = ?", id))
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'syncd.messages'::regclass"
        with own_server.connect("reports") as looking:
            alone.home.wait_until(lambda: looking.execute(waiting).fetchone())
        code, seconds = daemon.stop()
        assert (code, seconds < IN_TIME) == (0, True)
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        daemon = alone.home.start("run")
        say(alone, "Even less than before.")
        daemon.wait_for("message.new")
        code, seconds = daemon.stop()
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert (code, seconds < IN_TIME) == (0, True)


def test_a_killed_publisher_is_started_again(alone: Station) -> None:
    """The daemon starts its publisher anew when that dies, and takes it along when it dies itself."""
    daemon = alone.home.start("run")
    daemon.wait_for("publish.caught_up")
    (first,) = children(daemon)
    os.kill(first, signal.SIGKILL)
    daemon.wait_for("publish.ended", exit_code=-signal.SIGKILL)
    id = say(alone, "And then it was killed.")
    daemon.wait_for("publish.caught_up", count=2)
    alone.home.wait_until(lambda: is_there(alone, id))
    (second,) = children(daemon)
    daemon.stop(signal.SIGKILL)
    alone.home.wait_until(lambda: is_gone(second))


def test_a_changed_configuration_changes_the_target(alone: Station) -> None:
    """SIGHUP takes up another schema, and none at all; what nobody keeps up to date worries no monitor."""
    alone.configure()
    daemon = alone.home.start("run")
    daemon.wait_for("daemon.started")
    assert children(daemon) == []
    alone.configure(publish=settings(alone.url, schema="second"))
    daemon.process.send_signal(signal.SIGHUP)
    target = daemon.wait_for("publish.caught_up")["target"]
    assert target.endswith("(schema second)")
    alone.home.wait_until(lambda: alone.status()["follows"])
    alone.configure()
    daemon.process.send_signal(signal.SIGHUP)
    alone.home.wait_until(lambda: not children(daemon))
    alone.home.wait_until(lambda: not alone.status()["follows"])
    assert daemon.stop()[0] == 0


def test_following_by_hand(alone: Station) -> None:
    """`publish --follow` goes on beside nobody and beside a daemon; SIGTERM ends it with 0, Ctrl-C with 130."""
    alone.configure(publish=settings(alone.url))
    follower = alone.home.start("publish", "--follow")
    follower.wait_for("publish.caught_up")
    id = say(alone, "To be read in the reports.")
    alone.sync()
    alone.home.wait_until(lambda: is_there(alone, id))
    assert follower.stop()[0] == 0
    alone.home.wait_until(lambda: not alone.status()["follows"])
    follower = alone.home.start("publish", "--follow")
    follower.wait_for("publish.caught_up")
    assert follower.stop(signal.SIGINT)[0] == 130
    assert json.loads(alone.home.run("publish", "--json").out)["rows"] == 0
