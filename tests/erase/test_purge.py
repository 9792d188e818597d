import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from indexed import index_differences, note_texts
from people import WHEN, Run, World
from syncd.core.model import Candidate, Conversation, Message, Page, Proposal, ProposalWithCandidate
from syncd.core.observations import Entries, PageRead, ProposalRead
from syncd.core.walk import Walk
from syncd.store import erase
from syncd.store.apply import Transaction
from syncd.store.database import open_reader, transact
from syncd.store.erase import erase_rows, find_scope, finish_erasures
from syncd.store.migrate import open_writer
from syncd.store.writer import apply

SECRETS = ("Álvarez", "zanzibar", "slug of Ana", "Quetzal", "older words", "unsent draft", "elsewhere")
NOW = "2026-11-01T00:00:00.000Z"


@pytest.fixture
def person(world: World) -> World:
    """Ana has written, edited, been interviewed and been written to; a group has heard her too; Bo is another."""
    world.say("m1", "my secret is zanzibar", extra='{"note": "zanzibar"}')
    world.say("m2", "dear Ana Álvarez", is_from_viewer=1, sender_user_id="viewer")
    world.insert("message_revisions", message_id="m1", revision=1, content="older words")
    world.insert("conversations", id="group", channel_name="all")
    world.say("g1", "said elsewhere", conversation="group", sender_user_id="user-c1")
    world.say("g2", "Bo keeps this", conversation="group", sender_user_id="user-c2")
    world.say("b1", "Bo's own words", conversation="c2", sender_user_id="user-c2")
    world.insert("interviews", proposal_id="p1", interview_id="i1", summary="Quetzal summary")
    world.insert("interview_messages", proposal_id="p1", id="t1", seq=0, role="candidate", content="Quetzal song")
    world.insert("outbox", conversation_id="c1", content="unsent draft", state="queued")
    world.add_event("message.new", conversation_id="c1", message_id="m1", data='{"z": "zanzibar"}')
    world.add_event("message.new", conversation_id="c2", message_id="b1")
    world.insert("failures", kind="interview", subject_id="p1", reason="zanzibar")
    return world


def traces(path: Path) -> set[str]:
    """Which of the secrets stand in the database's files, whatever they are called."""
    data = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*") if file.is_file())
    return {secret for secret in SECRETS if secret.encode() in data}


def test_no_byte_of_a_person_stays(run: Run, person: World) -> None:
    """After a purge no file of the database holds a word of the person, and everybody else's words are there."""
    copy = person.path.with_name("syncd.db.v0.bak")
    copy.write_bytes(person.path.read_bytes())
    assert traces(person.path) == set(SECRETS)
    ended = run("purge", "--candidate", "k1", "--yes", "--json")
    assert (ended.code, ended.data["clean"]) == (0, True)
    assert traces(person.path) == set()
    assert not copy.exists()
    assert person.fetch("SELECT id FROM messages ORDER BY id") == [("b1",), ("g2",)]
    assert person.fetch("SELECT kind, id FROM _erased ORDER BY kind, id") == [
        ("candidate", "k1"), ("conversation", "c1"), ("message", "g1"), ("proposal", "p1"),
    ]  # fmt: skip
    assert run("search", "zanzibar", "--json").data == []
    assert [hit["message_id"] for hit in run("search", "keeps", "--json").data] == ["g2"]


def test_no_word_stays_in_any_part_of_the_index(run: Run, person: World) -> None:
    """However often the search index was added to, merged and changed, no word that only the person wrote is left."""
    for round_ in range(40):
        with open_writer(person.path) as writer, writer.transaction() as connection:
            note_texts(connection)
            for number in range(20):
                stamp = {"at": WHEN.format(day=1 + round_ % 9), "id": f"x{round_}-{number}"}
                words = stamp | {"content": f"zanzibar{round_}x{number} and others", "talk": f"c{1 + number % 2}"}
                if number % 2:
                    words["content"] = f"kept{round_}x{number}"
                connection.execute(
                    "INSERT INTO messages (account, id, conversation_id, content, created_at, first_seen_at,"
                    " changed_at, change_id) VALUES ('ot', :id, :talk, :content, :at, :at, :at, 1)",
                    words,
                )
            connection.execute("UPDATE messages SET content = content || ' zanzibar again' WHERE id = ?", ("x0-0",))
    run("purge", "--candidate", "k1", "--yes")
    assert traces(person.path) == set()
    assert len(run("search", "kept*", "--limit", "0", "--json").data) == 400
    person.execute("INSERT INTO _search (_search, rank) VALUES ('integrity-check', 1)")


def test_those_who_follow_the_tables_hear_of_it(run: Run, person: World) -> None:
    """Every erased row of a public table is among the deletions, under one new change_id."""
    run("purge", "--candidate", "k1", "--yes")
    deleted = person.fetch('SELECT table_name, "key", change_id FROM _deletions ORDER BY 1, 2')
    assert {(table, key) for table, key, _ in deleted} >= {
        ("messages", '["ot","m1"]'), ("messages", '["ot","g1"]'), ("candidates", '["ot","k1"]'), ("events", "[1]"),
        ("message_revisions", '["ot","m1",1]'), ("interview_messages", '["ot","p1","t1"]'), ("outbox", "[1]"),
    }  # fmt: skip
    assert {change for _, _, change in deleted} == set(person.fetch("SELECT value FROM _counters")[0])


def test_a_dry_run_only_tells(run: Run, person: World) -> None:
    """--dry-run says what would go, the same that then goes, and changes nothing."""
    told = run("purge", "--candidate", "k1", "--dry-run", "--json").data
    assert told["rows"]["messages"] == 3
    assert traces(person.path) == set(SECRETS)
    assert run("purge", "--candidate", "k1", "--yes", "--json").data["rows"] == told["rows"]


def test_a_conversation_alone(run: Run, person: World) -> None:
    """--conversation takes its messages and nothing of the person beside it."""
    run("purge", "--conversation", "c1", "--yes")
    assert traces(person.path) & {"zanzibar", "older words", "unsent draft"} == {"zanzibar"}  # the proposal's failure
    assert person.fetch("SELECT name FROM candidates WHERE id = 'k1'") == [("Ana Álvarez",)]
    assert person.fetch("SELECT count(*) FROM messages WHERE conversation_id = 'c1'") == [(0,)]


def test_it_asks_first(run: Run, person: World) -> None:
    """Without --yes and without a terminal nothing is erased, and the command says what it wants."""
    ended = run("purge", "--candidate", "k1")
    assert (ended.code, "--yes" in ended.err, traces(person.path)) == (2, True, set(SECRETS))


@pytest.mark.parametrize("words", [[], ["--candidate", "k1", "--conversation", "c1"]])
def test_one_thing_at_a_time(run: Run, words: list[str]) -> None:
    """Neither or both is wrong usage."""
    assert run("purge", "--yes", *words).code == 2


def test_what_nobody_holds_is_a_failure(run: Run) -> None:
    """An id that isn't there ends with 1."""
    assert run("purge", "--candidate", "nobody", "--yes").code == 1


def test_backups_that_still_hold_the_person_are_named(run: Run, person: World, tmp_path: Path) -> None:
    """A backup made before the purge is named, one made after it is not."""
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    assert run("backup", before).code == 0
    assert run("purge", "--candidate", "k1", "--yes", "--json").data["backups"] == [str(before)]
    assert run("backup", after).code == 0
    person.add_person(3, "Cy")
    assert run("purge", "--candidate", "k3", "--yes", "--json").data["backups"] == []


def observe(world: World, *observations: Any) -> None:
    """Apply what was fetched in one transaction, as the daemon does."""
    with open_writer(world.path) as writer, writer.transaction() as connection:
        transaction = Transaction(connection)
        for observation in observations:
            apply(transaction, observation)
        transaction.index()


def test_a_later_sync_does_not_bring_it_back(run: Run, person: World) -> None:
    """The server's list, a page and the proposal with all its old data leave nothing behind, and owe no request."""
    run("purge", "--candidate", "k1", "--yes")
    entry = Conversation(id="c1", proposal_id="p1", updated_at=NOW, last_message_id="m1", unread_count=3)
    page = Page(
        conversation_id="group",
        messages=(Message(id="g1", conversation_id="group", content="said elsewhere", created_at=WHEN.format(day=1)),),
        next_cursor=None,
        limit=100,
        server_time=NOW,
    )
    person.insert("_threads", conversation_id="group", state='{"history_before": "2026-01-01T00:00:00.000Z"}')
    person.execute("INSERT INTO _owed VALUES ('ot', 'conversation', 'group', 1, ?, NULL)", NOW)
    with_candidate = ProposalWithCandidate(
        proposal=Proposal(id="p1", candidate_id="k1", job_title="Álvarez"),
        candidate=Candidate(id="k1", name="Ana Álvarez"),
        partial=False,
        server_time=NOW,
    )
    observe(person, Entries(account="ot", now=NOW, entries=(entry,), server_time=NOW))
    walk = Walk(direction="newer", goal="join")
    observe(person, PageRead(account="ot", now=NOW, walk=walk, page=page, leads_on=False))
    observe(person, ProposalRead(account="ot", now=NOW, with_candidate=with_candidate))
    assert traces(person.path) == set()
    assert person.fetch("SELECT id FROM messages ORDER BY id") == [("b1",), ("g2",)]
    assert person.fetch("SELECT subject_id FROM _owed WHERE subject_id IN ('c1', 'p1')") == []


def test_a_new_proposal_of_an_erased_person_goes_too(run: Run, person: World) -> None:
    """A proposal made after the purge takes its conversation with it when it turns out to be theirs."""
    run("purge", "--candidate", "k1", "--yes")
    person.insert("conversations", id="c9", proposal_id="p9")
    person.say("m9", "zanzibar again", conversation="c9")
    with_candidate = ProposalWithCandidate(
        proposal=Proposal(id="p9", candidate_id="k1"), candidate=Candidate(id="k1"), partial=False, server_time=NOW
    )
    person.insert("_threads", conversation_id="c9", state='{"history_before": "2026-01-01T00:00:00.000Z"}')
    person.execute("INSERT INTO _owed VALUES ('ot', 'conversation', 'c9', 1, ?, NULL)", NOW)
    said = Message(id="n9", conversation_id="c9", content="zanzibar in the same transaction", created_at=NOW)
    page = Page(conversation_id="c9", messages=(said,), next_cursor=None, limit=100, server_time=NOW)
    walk = Walk(direction="newer", goal="join")
    observe(
        person,
        PageRead(account="ot", now=NOW, walk=walk, page=page, leads_on=False),
        ProposalRead(account="ot", now=NOW, with_candidate=with_candidate),
    )
    with open_writer(person.path) as writer:
        assert finish_erasures(writer.connection)
    assert traces(person.path) == set()
    assert list(index_differences(person.path)) == []
    assert person.fetch("SELECT count(*) FROM _erased WHERE id IN ('p9', 'c9')") == [(2,)]


def test_a_crash_between_the_rows_and_the_file_is_made_up_for(person: World) -> None:
    """When only the rows are gone, the next start finishes the work."""
    with open_writer(person.path) as writer:
        database = writer.connection
        scope = find_scope(database, "ot", "k1", None)
        transact(database, lambda: erase_rows(database, scope, NOW))
    assert json.dumps(person.fetch("SELECT subject FROM _erasures")) == '[["candidate"]]'
    with open_writer(person.path) as writer:
        assert finish_erasures(writer.connection)
    assert (traces(person.path), person.fetch("SELECT * FROM _erasures")) == (set(), [])


def test_an_owed_erasure_that_can_t_be_finished_is_said(
    run: Run, person: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that first has to finish what a crash left says in one line what keeps it, and can be tried again."""
    monkeypatch.setattr("syncd.store.migrate.BUSY_TIMEOUT_MS", 1)
    with open_writer(person.path) as writer:
        scope = find_scope(writer.connection, "ot", "k1", None)
        transact(writer.connection, lambda: erase_rows(writer.connection, scope, NOW))
    with closing(sqlite3.connect(person.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = run("purge", "--conversation", "c2", "--yes")
    assert (ended.code, "another process keeps it locked" in ended.err) == (1, True), ended.err
    assert "internal error" not in ended.err
    assert run("purge", "--conversation", "c2", "--yes").code == 0
    assert (traces(person.path), person.fetch("SELECT * FROM _erasures")) == (set(), [])


def test_a_reader_in_the_way_is_said(person: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a reader needs the write-ahead log, the erasure stays owed; afterwards it is finished."""
    monkeypatch.setattr(erase, "_PATIENCE_SECONDS", 0.0)
    with open_writer(person.path) as writer:
        database = writer.connection
        reader = open_reader(person.path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        scope = find_scope(database, "ot", "k1", None)
        transact(database, lambda: erase_rows(database, scope, NOW))
        assert not finish_erasures(database)
        reader.close()
        assert finish_erasures(database)
        assert traces(person.path) == set()
