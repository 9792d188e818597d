"""The views `inbox`, `unread` and `needs_reply` on rows that break naive SQL."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

Insert = Callable[..., None]
Query = Callable[..., list[dict[str, Any]]]
Ago = Callable[[float], str]


def test_the_same_ids_in_two_accounts_stay_apart(insert: Insert, say: Insert, query: Query) -> None:
    """Another account's rows with the same ids change nothing."""
    insert("accounts", account="second", source="opentrain")
    for account in ("ot", "second"):
        insert("conversations", account=account, id="c", last_message_id="m2", proposal_id="p")
        insert("proposals", account=account, id="p", job_id="j", candidate_id="k")
        insert("jobs", account=account, id="j", title=f"Job of {account}")
        insert("candidates", account=account, id="k", name=f"Ana of {account}")
        say("in", "m1", 900, account=account)
    say("out", "m2", 800, account="ot")
    say("in", "m2", 800, account="second")
    found = query("SELECT account, job_title, candidate_name, last_sender, waiting_seconds FROM inbox ORDER BY account")
    assert found[0] == {
        "account": "ot",
        "job_title": "Job of ot",
        "candidate_name": "Ana of ot",
        "last_sender": "me",
        "waiting_seconds": None,
    }
    assert len(found) == 2
    assert found[1]["waiting_seconds"] == pytest.approx(900, abs=5)
    assert found[1]["last_sender"] == "Ana of second"


def test_a_proposal_threads_job_is_found_through_its_proposal(insert: Insert, query: Query) -> None:
    """A proposal thread names no job itself; the title is the job's, else the proposal's."""
    insert("conversations", id="known", proposal_id="p1")
    insert("conversations", id="no scope", proposal_id="p2")
    insert("conversations", id="job thread", job_id="j1")
    insert("conversations", id="unfetched", proposal_id="p3")
    insert("proposals", id="p1", job_id="j1", job_title="Old title", candidate_id="k1")
    insert("proposals", id="p2", job_id="j2", job_title="Annotator", candidate_id="k2")
    insert("jobs", id="j1", title="Labeller")
    insert("candidates", id="k1", name="Ana P.")
    assert [
        tuple(row.values())
        for row in query(
            "SELECT conversation_id, job_id, job_title, candidate_id, candidate_name "
            "FROM inbox ORDER BY conversation_id"
        )
    ] == [
        ("job thread", "j1", "Labeller", None, None),
        ("known", "j1", "Labeller", "k1", "Ana P."),
        ("no scope", "j2", "Annotator", "k2", None),
        ("unfetched", None, None, None, None),
    ]


@pytest.mark.parametrize(
    ("values", "sender"),
    [
        ({"is_from_viewer": 1}, "me"),
        ({"is_system": 1}, "system"),
        ({"is_system": 1, "is_from_viewer": 1}, "system"),
        ({"sender_name": "Ana Maria"}, "Ana P."),
        ({}, "Ana P."),
    ],
)
def test_who_wrote_last_in_a_proposal_thread(
    insert: Insert, query: Query, values: dict[str, object], sender: str
) -> None:
    """The last sender is me, the system, or the candidate by name."""
    insert("conversations", id="c", proposal_id="p", last_message_id="m")
    insert("proposals", id="p", candidate_id="k")
    insert("candidates", id="k", name="Ana P.")
    message = {"id": "m", "conversation_id": "c", "sender_user_id": "u9", "is_from_viewer": 0, "is_system": 0}
    insert("messages", **(message | values))
    assert query("SELECT last_sender FROM inbox") == [{"last_sender": sender}]


def test_a_sender_without_a_candidates_name(insert: Insert, query: Query, ago: Ago) -> None:
    """Outside proposal threads, and for the nameless, the sender's own name is shown, else the user's id."""
    insert("conversations", id="c", last_message_id="m", proposal_id="p")
    insert("proposals", id="p", candidate_id="k")
    insert("candidates", id="k", name=None, erased_at=ago(5))
    insert("conversations", id="d", last_message_id="n")
    insert("messages", id="m", conversation_id="c", sender_user_id="u1", is_from_viewer=0, is_system=0)
    insert("messages", id="n", conversation_id="d", sender_user_id="u2", sender_name="Bo", is_from_viewer=0)
    assert [row["last_sender"] for row in query("SELECT * FROM inbox ORDER BY conversation_id")] == ["u1", "Bo"]


def test_a_last_message_that_is_not_held(insert: Insert, query: Query, say: Insert, ago: Ago) -> None:
    """While the list's last message is not held, what it says is NULL, not an older message's."""
    insert("conversations", id="c", last_message_id="m2", last_message_at=ago(10), proposal_id="p")
    insert("proposals", id="p", candidate_id="k")
    insert("candidates", id="k", name="Ana P.")
    say("in", "m1", 60, content="older")
    row = query("SELECT last_message_id, last_message_at, last_sender, last_message FROM inbox")[0]
    assert tuple(row.values()) == ("m2", None, None, None)


def test_the_last_message_is_the_lists_and_not_the_newest(insert: Insert, query: Query, say: Insert, ago: Ago) -> None:
    """What `last_message_id` names is shown, also when newer messages are held or it was edited."""
    insert("conversations", id="c", last_message_id="m1")
    say("out", "m1", 60, content="edited", edited_at=ago(5))
    say("in", "m2", 30, content="newer")
    assert query("SELECT last_sender, last_message FROM inbox") == [{"last_sender": "me", "last_message": "edited"}]


def test_openats_conversations(insert: Insert, query: Query) -> None:
    """On OpenATS the candidate is the id's number, a job chat has none, and counts stay NULL."""
    insert(
        "conversations",
        account="ats",
        id="candidate:42",
        type="CANDIDATE_CHAT",
        title="Ana",
        last_message_id="candidate:5",
    )
    insert(
        "conversations",
        account="ats",
        id="job:5",
        type="JOB_CHAT",
        title="Labeller",
        job_id="5",
        last_message_id="job:5",
    )
    insert(
        "messages", account="ats", id="candidate:5", conversation_id="candidate:42", sender_name="Sarah", is_system=0
    )
    insert("messages", account="ats", id="job:5", conversation_id="job:5", sender_name="Sarah", is_system=1)
    insert("jobs", account="ats", id="5", title="Labeller")
    assert [
        tuple(row.values())
        for row in query(
            "SELECT conversation_id, title, job_id, job_title, candidate_id, candidate_name, unread_count, last_sender "
            "FROM inbox ORDER BY conversation_id"
        )
    ] == [
        ("candidate:42", "Ana", None, None, "42", "Ana", None, "Sarah"),
        ("job:5", "Labeller", "5", "Labeller", None, None, None, "system"),
    ]
    assert query("SELECT * FROM unread") == query("SELECT * FROM needs_reply") == []


def test_unread_and_needs_reply(insert: Insert, query: Query, ago: Ago) -> None:
    """Each shows the conversations with its count above 0, gone ones left out; `inbox` shows all."""
    insert("conversations", id="both", unread_count=2, needs_reply_count=1)
    insert("conversations", id="read", unread_count=0, needs_reply_count=3)
    insert("conversations", id="quiet", unread_count=0, needs_reply_count=0)
    insert("conversations", id="unknown")
    insert("conversations", id="gone", unread_count=2, needs_reply_count=1, gone_at=ago(5))
    sql = "SELECT conversation_id FROM {} ORDER BY conversation_id"
    views = ("inbox", "unread", "needs_reply")
    shown = {view: [row["conversation_id"] for row in query(sql.format(view))] for view in views}
    assert shown == {
        "inbox": ["both", "gone", "quiet", "read", "unknown"],
        "unread": ["both"],
        "needs_reply": ["both", "read"],
    }


def test_a_removed_accounts_conversations_stay(database: sqlite3.Connection, insert: Insert, query: Query) -> None:
    """What an account mirrored can still be read when the account is no longer configured."""
    insert("conversations", id="c")
    database.execute("UPDATE accounts SET removed_at = '2026-01-01T00:00:00.000Z'")
    assert len(query("SELECT * FROM inbox")) == 1
