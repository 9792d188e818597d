import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from people import Run, World
from syncd.store.migrate import open_writer

SCRIPT = """
import sys, json, pathlib
line = json.loads(sys.stdin.readline())
log = pathlib.Path(sys.argv[1])
with log.open("a") as file:
    file.write(f"{line['id']}\\n")
sys.exit(3 if log.read_text().split().count(str(line["id"])) <= int(sys.argv[2]) else 0)
"""


def ids(lines: list[Any]) -> list[int]:
    """The events' numbers."""
    return [line["id"] for line in lines]


@pytest.fixture
def events(world: World) -> World:
    """Five events: two of them about history, one of another kind."""
    world.add_event("message.new", conversation_id="c1", message_id="m1", data='{"is_system": false}')
    world.add_event("conversation.unread", conversation_id="c1", message_id="m1", baseline=1)
    world.add_event("message.new", conversation_id="c2", message_id="m2")
    world.add_event("conversation.unread", conversation_id="c2", message_id="m3", baseline=1)
    world.add_event("message.new", conversation_id="c1", message_id="m4")
    return world


def test_the_feed_is_every_event_as_a_json_line(run: Run, events: World) -> None:
    """Without a consumer all events come, oldest first, with the contract's fields, even with --json; --after skips."""
    lines = run("events").lines
    assert ids(lines) == [1, 2, 3, 4, 5]
    assert run("events", "--json").lines == lines
    assert lines[0] == {
        "id": 1,
        "kind": "message.new",
        "account": "ot",
        "conversation_id": "c1",
        "message_id": "m1",
        "proposal_id": None,
        "baseline": False,
        "occurred_at": "2026-03-02T10:00:00.000Z",
        "recorded_at": "2026-03-02T10:00:00.000Z",
        "data": {"is_system": False},
    }
    assert ids(run("events", "--after", "3").lines) == [4, 5]
    assert ids(run("events", "--kind", "conversation.unread").lines) == [2, 4]
    assert ids(run("events", "--account", "ot", "--after", "4").lines) == [5]
    assert events.fetch("SELECT * FROM _consumers") == []


def test_a_consumer_goes_on_where_it_was(run: Run, events: World) -> None:
    """A named consumer reads each event once and skips those about history; one that asks gets them too."""
    assert ids(run("events", "--consumer", "crm").lines) == [1, 3, 5]
    assert run("events", "--consumer", "crm").lines == []
    events.add_event("message.new", conversation_id="c1", message_id="m6")
    assert ids(run("events", "--consumer", "crm").lines) == [6]
    assert ids(run("events", "--consumer", "all", "--from-start").lines) == [1, 2, 3, 4, 5, 6]
    assert [row["name"] for row in run("status", "--json").data["consumers"]] == ["all", "crm"]


def test_a_consumer_is_read_by_one_at_a_time(run: Run, events: World) -> None:
    """While somebody follows as a consumer, another one of that name is refused in one line; when it ends, not."""
    command = [sys.executable, "-m", "syncd.cli.main", "--db", str(events.path), "events", "--consumer", "crm"]
    with subprocess.Popen([*command, "--follow"], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["id"] for _ in range(3)] == [1, 3, 5]
        second = run("events", "--consumer", "crm")
        assert (second.code, second.out, second.err.count("\n")) == (1, "", 1)
        assert "crm" in second.err
        assert ids(run("events", "--consumer", "other").lines) == [1, 3, 5]
        process.kill()
    assert run("events", "--consumer", "crm").code == 0


def test_what_could_not_be_written_out_is_not_passed_over(events: World) -> None:
    """A consumer whose reader has gone keeps its place."""
    command = [sys.executable, "-m", "syncd.cli.main", "--db", str(events.path), "events", "--consumer", "crm"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own words
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=30) != 0
    assert events.fetch("SELECT * FROM _consumers") == []


def test_a_command_gets_each_event_and_is_tried_again(run: Run, events: World, tmp_path: Path) -> None:
    """A failing command sees the same event again before any later one, and the place moves when it succeeded."""
    log = tmp_path / "log"
    script = [sys.executable, "-c", SCRIPT, log]
    ended = run("events", "--consumer", "crm", "--kind", "message.new", "--exec", *script, "1")
    assert (ended.code, log.read_text().split()) == (0, ["1", "1", "3", "3", "5", "5"])
    assert events.fetch("SELECT event_id, error, tries FROM _consumers") == [(5, None, 0)]


def test_a_command_that_keeps_failing_holds_up_its_own_consumer(
    run: Run, events: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three failures end the command with 1; its place stays, status tells why, and another consumer goes on."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    ended = run("events", "--consumer", "crm", "--exec", sys.executable, "-c", SCRIPT, tmp_path / "log", "9")
    assert (ended.code, "event 1" in ended.err) == (1, True)
    consumer = run("status", "--json").data["consumers"][0]
    assert (consumer["event_id"], consumer["tries"], consumer["behind"]) == (0, 3, 3)
    assert "ended with 3" in consumer["error"]
    assert "failed 3 times" in run("status").out
    assert ids(run("events", "--consumer", "other").lines) == [1, 3, 5]
    assert events.fetch("SELECT name FROM _consumers WHERE error IS NOT NULL") == [("crm",)]


@pytest.mark.parametrize(
    ("next_try", "told"), [("2999-01-01", "; next try 2999"), ("2026-01-01", "; its next run tries")]
)
def test_a_try_that_is_past_is_no_next_one(run: Run, events: World, next_try: str, told: str) -> None:
    """Status names the time of a try to come; when it is past, nobody runs, and the next run tries."""
    run("events", "--consumer", "crm")
    failed = "UPDATE _consumers SET error = 'no', tries = 3, next_try_at = ?"
    events.execute(failed, f"{next_try}T00:00:00.000Z")
    assert told in " ".join(run("status").out.split())


def test_a_follower_hears_within_a_second(events: World) -> None:
    """--follow prints an event within a second of its commit, and costs next to no processor time while it waits."""
    command = [sys.executable, "-m", "syncd.cli.main", "--db", str(events.path), "events", "--after", "4", "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == 5
        before = _processor_seconds(process.pid)
        with open_writer(events.path) as writer:
            with writer.transaction() as connection:
                connection.execute("INSERT INTO events (account, kind, change_id) VALUES ('ot', 'x', 1)")
            committed = time.monotonic()
            assert json.loads(process.stdout.readline())["id"] == 6
            assert time.monotonic() - committed < 1
        assert _processor_seconds(process.pid) - before < 0.5
        process.terminate()


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.usefixtures("events")
def test_erased_events_are_told_and_not_passed_over(run: Run) -> None:
    """A consumer left behind an erasure gets a line that says which events it will never see, once, in their place."""
    assert ids(run("events", "--consumer", "early").lines) == [1, 3, 5]
    run("purge", "--conversation", "c2", "--yes")
    lines = run("events", "--consumer", "late").lines
    assert [(line["kind"], line["id"]) for line in lines] == [("message.new", 1), ("feed.gap", 4), ("message.new", 5)]
    assert (lines[1]["first_id"], lines[1]["events"], lines[1]["reason"]) == (3, 2, "erasure")
    assert run("events", "--consumer", "late").lines == []
    assert run("events", "--consumer", "early").lines == []


@pytest.mark.parametrize(
    "words",
    [
        ["--exec"], ["--after", "1", "--consumer", "x"], ["--from-start"], ["stray"], ["--account", "nobody"],
        ["--exec", "/no/such/command"], ["--json", "--exec", "true"],
    ],
)  # fmt: skip
def test_words_that_make_no_sense_together(run: Run, events: World, words: list[str]) -> None:
    """Wrong combinations end with 2 and one line."""
    ended = run("events", *words)
    assert (ended.code, ended.err.count("\n"), events.path.exists()) == (2, 1, True)


@pytest.mark.parametrize("words", [["--kind", "nope"], ["--kind", "message.new", "--kind", "message.New"]])
def test_an_unknown_kind_is_wrong_usage(run: Run, events: World, words: list[str]) -> None:
    """A kind that no event has ends with 2 and names those there are; a near miss is pointed out."""
    ended = run("events", *words, "--exec", "false") if len(words) == 2 else run("events", *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ("did you mean message.new?" if len(words) > 2 else "message.new, ") in ended.err
    assert events.fetch("SELECT * FROM _consumers") == []


def test_several_kinds_add_up(run: Run, events: World) -> None:
    """Every kind that was asked for comes, in the order of the feed, and no other."""
    events.add_event("proposal.new", proposal_id="p1")
    words = ["--kind", "conversation.unread", "--kind", "proposal.new"]
    assert ids(run("events", *words).lines) == [2, 4, 6]
    assert ids(run("events", *words, "--consumer", "crm").lines) == [6]
    assert ids(run("events", "--kind", "message.new", "--kind", "message.new").lines) == [1, 3, 5]
