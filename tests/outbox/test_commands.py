"""The commands that write, as real processes: what they print, how they end, and who does the work."""

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homes import Ended, Home
from syncd.core.times import render_time, seconds_between
from syncd.simulator import Simulator, World


@pytest.fixture
def world() -> World:
    """An inbox with a proposal's conversation and a job's."""
    world = World(seed=13)
    for kind in ("proposal", "job"):
        world.add_message(world.new_conversation(kind=kind), f"A question of the {kind}")
    return world


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """Its server."""
    with Simulator(world) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, sim: Simulator) -> Iterator[Home]:
    """A home in which the inbox is mirrored."""
    path = tmp_path / "home"
    path.mkdir()
    found = Home(path)
    found.environ |= {"OT_API_BASE_URL": sim.url, "OT_API_TOKEN": sim.token}
    assert found.run("sync").code == 0
    yield found
    found.close()
    found.check_silence(sim.world)


def pipe(home: Home, text: bytes, *words: str) -> Ended:
    """Run a command whose standard input is that."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "syncd.cli.main", *words], input=text, capture_output=True, env=home.environ, check=False
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def conversation(sim: Simulator, number: int = 0) -> str:
    """A conversation's id."""
    return list(sim.world.conversations)[number]


def arrived(sim: Simulator) -> Counter[str]:
    """How often the server has each text of ours."""
    with sim.world.lock:
        truth: dict[str, list[dict[str, Any]]] = sim.world.truth()["messages"]
        return Counter(m["content"] for messages in truth.values() for m in messages if m["isFromViewer"])


def test_send_and_list(home: Home, sim: Simulator) -> None:
    """`send` prints the message's number, all else on standard error; `outbox` lists it, and so does its JSON."""
    cid = conversation(sim)
    ended = home.run("send", cid, "Yes.")
    assert (ended.code, ended.out) == (0, "1\n")
    assert "message 1 is sent" in ended.err
    answer = home.run("send", cid, "No.", "--json").data
    assert (answer["id"], answer["state"], answer["conversation_id"]) == (2, "sent", cid)
    assert [row["state"] for row in home.run("outbox", "--json").data] == ["sent", "sent"]
    listed = home.run("outbox")
    assert listed.out.count("sent") == 2
    assert arrived(sim) == {"Yes.": 1, "No.": 1}


@pytest.mark.parametrize("words", [(), ("-",)])
def test_pipes(home: Home, sim: Simulator, words: tuple[str, ...]) -> None:
    """Standard input is the text, less the end of its last line."""
    ended = pipe(home, "Zeile eins\nund zwei 🙂\n".encode(), "send", conversation(sim), *words)
    assert (ended.code, ended.out) == (0, "1\n")
    assert arrived(sim) == {"Zeile eins\nund zwei 🙂": 1}


def test_usage(home: Home, sim: Simulator) -> None:
    """What can't be sent is refused in one line, with what would be right, and leaves nothing behind."""
    cid = conversation(sim)
    for ended, told in (
        (pipe(home, b"", "send", cid), "no text to send"),
        (pipe(home, b"\xff\xfe", "send", cid), "no UTF-8"),
        (pipe(home, b"x" * 10_001, "send", cid), "10,001 characters"),
        (home.run("outbox", "cancel"), "which message?"),
        (home.run("outbox", "retry", "9"), "no message 9"),
    ):
        assert (ended.code, ended.out, told in ended.err, ended.err.count("\n")) == (2, "", True, 1), ended.err
    unknown = home.run("send", "c404", "Hello")
    assert (unknown.code, "there is no conversation c404" in unknown.err) == (1, True)
    assert home.rows("SELECT * FROM outbox") == []


def test_refusal_and_retry(home: Home, sim: Simulator) -> None:
    """A refused message ends with 1 and one line; the text stays, and is sent again on demand."""
    sim.quirks.writes_enabled = False
    ended = home.run("send", conversation(sim), "Hi")
    assert (ended.code, ended.out) == (1, "1\n")
    assert "message 1 has failed: messages through the API are switched off" in ended.err
    listed = home.run("outbox")
    assert "Hi" in listed.out
    assert "switched off" in listed.out
    sim.quirks.writes_enabled = True
    assert home.run("outbox", "retry", "1").code == 0
    assert arrived(sim) == {"Hi": 1}


def test_later_without_a_daemon(home: Home, sim: Simulator) -> None:
    """What is queued for later leaves with the first sync after its instant, unless it is cancelled."""
    for text in ("one", "two"):
        ended = home.run("send", conversation(sim), text, "--later")
        assert (ended.code, "is queued" in ended.err) == (0, True)
    assert home.run("outbox", "cancel", "2").code == 0
    assert home.run("sync").code == 0
    assert arrived(sim) == {}
    let_leave(home, seconds=0)
    assert home.run("sync").code == 0
    assert arrived(sim) == {"one": 1}


def let_leave(home: Home, *, seconds: float) -> None:
    """Have what is queued for later leave in so many seconds, instead of a minute."""
    with closing(sqlite3.connect(home.db)) as database:
        database.execute(
            "UPDATE _outbox SET leaves_at = ?", (render_time(datetime.now(UTC) + timedelta(seconds=seconds)),)
        )
        database.commit()


def test_no_database(tmp_path: Path) -> None:
    """Without a database nothing is sent, and none is made."""
    home = Home(tmp_path)
    for words in (("send", "c1", "Hi"), ("outbox",), ("open-conversation", "p1")):
        ended = home.run(*words)
        assert (ended.code, "there is no database yet" in ended.err) == (1, True)
    assert not home.db.exists()


def test_open_conversation(home: Home, sim: Simulator) -> None:
    """The conversation's id is all that is printed, and it can be written to at once; without --account, too."""
    proposal = sim.world.new_proposal()
    opened = home.run("open-conversation", proposal)
    assert (opened.code, opened.err) == (0, "") or "message" not in opened.err
    cid = opened.out.strip()
    assert home.run("open-conversation", proposal, "--json").data["conversation_id"] == cid
    assert home.run("send", cid, "Welcome").code == 0
    assert home.run("open-conversation", "p404").code == 1


def test_several_at_once(home: Home, sim: Simulator) -> None:
    """Without a daemon, one of several at once does the work of all, while the server loses replies."""
    sim.faults.lose_reply(method="POST", times=2, skip=1)
    with ThreadPoolExecutor(6) as pool:
        ended = list(pool.map(lambda n: home.run("send", conversation(sim), f"text {n % 3}"), range(6)))
    assert [one.code for one in ended] == [0] * 6, [one.err for one in ended]
    assert sorted(int(one.out) for one in ended) == [1, 2, 3, 4, 5, 6]
    assert arrived(sim) == {"text 0": 2, "text 1": 2, "text 2": 2}


def test_a_daemon_sends(home: Home, sim: Simulator) -> None:
    """With a daemon, the message goes through it; its own log tells of it, and the mirror has it at once."""
    daemon = home.start("run")
    daemon.wait_for("daemon.started")
    ended = home.run("send", conversation(sim), "Yes.")
    assert (ended.code, ended.out) == (0, "1\n")
    assert daemon.wait_for("outbox.sent")["outbox_id"] == 1
    assert daemon.wait_for("message.new")["is_from_viewer"] is True
    assert daemon.stop()[0] == 0
    assert arrived(sim) == {"Yes.": 1}


def test_a_killed_daemon(home: Home, sim: Simulator) -> None:
    """A daemon that is killed while it sends is followed by whoever asked, who settles it and sends nothing again."""
    daemon = home.start("run")
    daemon.wait_for("daemon.started")
    home.wait_until(lambda: home.states() == {"opentrain": "ok"})

    def kill(record: Any) -> None:
        if record.method == "POST":
            sim.world.add_message(conversation(sim), record.body["content"], from_viewer=True)
            daemon.process.kill()

    sim.faults.stall(method="POST")
    sim.on_request = kill
    ended = home.run("send", conversation(sim), "Hello")
    sim.on_request = None
    assert (ended.code, ended.out) == (0, "1\n"), ended.err
    assert (arrived(sim), sim.requests.count(method="POST")) == ({"Hello": 1}, 1)


def test_openats_is_only_read(home: Home, sim: Simulator) -> None:
    """An account of OpenATS is refused before anything is asked or queued."""
    opentrain = {"base_url": sim.url, "token_env": "OT_API_TOKEN"}
    home.configure({"opentrain": opentrain, "ats": {"source": "openats", "base_url": f"{sim.url}/api"}})
    home.run("sync")
    chat = home.value("SELECT MIN(id) FROM conversations WHERE account = 'ats'")
    ended = home.run("send", chat, "Hi", "--account", "ats")
    assert (ended.code, "only reads" in ended.err) == (2, True)
    assert home.run("open-conversation", "p1", "--account", "ats").code == 2
    assert home.rows("SELECT * FROM outbox") == []


def test_two_accounts_with_the_same_conversation(home: Home, sim: Simulator) -> None:
    """An id that two accounts hold is refused until one is named."""
    second = {"base_url": sim.url, "token_env": "OT_API_TOKEN"}
    home.configure({"opentrain": second, "other": second})
    assert home.run("sync").code == 0
    ended = home.run("send", conversation(sim), "Hi")
    assert (ended.code, "opentrain, other" in ended.err) == (2, True)
    assert home.run("send", conversation(sim), "Hi", "--account", "other").code == 0
    assert home.rows("SELECT account FROM outbox") == [{"account": "other"}]


def test_what_is_shown_on_a_terminal(home: Home, sim: Simulator) -> None:
    """On a terminal the name and the last lines come before anything leaves; standard output has the number alone."""
    shown = on_a_terminal(home, "send", conversation(sim), "Yes.")
    assert "A question of the proposal" in shown
    assert shown.index("A question of the proposal") < shown.index("message 1 is sent")
    name = home.value("SELECT candidate_name FROM inbox WHERE conversation_id = ?", conversation(sim))
    assert name in shown


def on_a_terminal(home: Home, *words: str, number: int = 1) -> str:
    """What a command writes to a terminal on standard error."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "syncd.cli.main", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=home.environ | {"TERM": "dumb", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # it has hung up
            break
    os.close(ours)
    out, _ = process.communicate()
    assert (process.returncode, out) == (0, f"{number}\n".encode()), shown
    return shown.decode()


def test_completion(home: Home, sim: Simulator) -> None:
    """The shell completes conversations, proposals, and the numbers of messages that were not sent."""
    sim.world.blocked_words.add("Hm")
    home.run("send", conversation(sim), "Hm")
    proposal = next(iter(sim.world.proposals))
    for words, found in (
        (f"syncd send {conversation(sim)[:4]}", conversation(sim)),
        (f"syncd open-conversation {proposal[:4]}", proposal),
        ("syncd outbox retry ", "1"),
    ):
        environ = {"_SYNCD_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
        assert found in home.run(**environ).out, words


def test_json_of_an_unsettled_one(home: Home, sim: Simulator) -> None:
    """A long limit ends with 75, the state and the time in JSON; the text waits."""
    sim.faults.rate_limit(retry_after=400, method="POST")
    ended = home.run("send", conversation(sim), "Hi", "--json")
    answer = json.loads(ended.out)
    assert (ended.code, answer["state"], answer["exit_code"]) == (75, "queued", 75)
    assert answer["retry_at"] > home.value("SELECT created_at FROM outbox")
    assert "it leaves not before" in ended.err


def test_a_daemon_sends_later_by_itself(home: Home, sim: Simulator) -> None:
    """A daemon sends what is for later at its instant, not with its next poll; also one that was started meanwhile."""
    home.configure({"opentrain": {"base_url": sim.url, "poll_seconds": 3600, "idle_seconds": 3600}})
    daemon = home.start("run")
    daemon.wait_for("daemon.started")
    home.wait_until(lambda: home.states() == {"opentrain": "ok"})
    ended = home.run("send", conversation(sim), "Later.", "--later")
    assert (ended.code, ended.out) == (0, "1\n")
    assert "it leaves at " in ended.err
    assert "syncd outbox cancel 1" in ended.err
    assert home.run("sync").code == 0
    assert arrived(sim) == {}
    assert home.run("send", conversation(sim), "Never.", "--later").code == 0
    assert home.run("outbox", "cancel", "2").code == 0
    assert daemon.stop()[0] == 0
    let_leave(home, seconds=2)
    daemon = home.start("run")
    assert daemon.wait_for("outbox.sent")["outbox_id"] == 1
    assert daemon.stop()[0] == 0
    assert arrived(sim) == {"Later.": 1}


def test_later_without_a_daemon_says_what_happens(home: Home, sim: Simulator) -> None:
    """Where no daemon runs, its sender is told which commands send it, and from when on."""
    ended = home.run("send", conversation(sim), "one", "--later")
    assert (ended.code, ended.out) == (0, "1\n")
    assert "no daemon runs" in ended.err
    assert "syncd sync" in ended.err
    answer = home.run("send", conversation(sim), "two", "--later", "--json").data
    assert seconds_between(home.value("SELECT created_at FROM outbox WHERE id = 2"), answer["leaves_at"]) == 60


def test_an_answer_of_the_last_minute_is_pointed_out(home: Home, sim: Simulator) -> None:
    """On a terminal, whoever answers where one of ours has just answered is told so first."""
    assert "answered here" not in on_a_terminal(home, "send", conversation(sim), "Yes.")
    again = on_a_terminal(home, "send", conversation(sim), "Yes, indeed.", number=2)
    assert re.search(r"one of ours answered here \d+ s ago", again), again
    assert again.index("answered here") < again.index("message 2 is sent")


def test_the_outbox_shows_what_was_sent(home: Home, sim: Simulator) -> None:
    """The table has a sent message's text under Text, which is in the mirror by now, and its id nowhere."""
    assert home.run("send", conversation(sim), "Yes, I am here.").code == 0
    listed = home.run("outbox")
    assert "Yes, I am here." in listed.out
    assert home.value("SELECT message_id FROM outbox") not in listed.out
    (row,) = home.run("outbox", "--json").data
    assert (row["content"], row["message_id"]) == (None, home.value("SELECT message_id FROM outbox"))


def test_open_conversation_as_json(home: Home, sim: Simulator) -> None:
    """--json has what the contract names: whether the conversation was made just now, and whose job it is."""
    proposal = sim.world.new_proposal()
    first = home.run("open-conversation", proposal, "--json").data
    second = home.run("open-conversation", proposal, "--json").data
    assert (first["created"], second["created"]) == (True, False)
    assert first["job_id"] == second["job_id"] == sim.world.proposals[proposal].job.id
    assert first["proposal_id"] == proposal
