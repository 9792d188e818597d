"""The views `thread`, `response_times`, `daily_activity`, `interview_results` and `freshness`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Insert = Callable[..., None]
Query = Callable[..., list[dict[str, Any]]]

FLAGS: dict[str, dict[str, int | None]] = {
    "in": {"is_from_viewer": 0, "is_system": 0},
    "out": {"is_from_viewer": 1, "is_system": 0},
    "system": {"is_from_viewer": 0, "is_system": 1},
    "notice": {"is_from_viewer": 1, "is_system": 1},
    "internal": {"is_from_viewer": None, "is_system": 0},
}


def at(minute: int) -> str:
    """A minute of the morning of 2026-03-01."""
    return f"2026-03-01T{minute // 60:02}:{minute % 60:02}:00.000Z"


@pytest.fixture
def talk(insert: Insert) -> Callable[..., None]:
    """`talk("in -out =in")`: conversation `c`, a message a minute; `-` is a gone one, `=` one of the same minute."""

    def talk_once(words: str, **conversation: str) -> None:
        insert("conversations", **({"id": "c"} | conversation))
        minute = 0
        for number, word in enumerate(words.split()):
            minute += not word.startswith("=")
            gone_at = at(600) if word.startswith("-") else None
            place = {"id": f"m{number}", "conversation_id": conversation.get("id", "c"), "created_at": at(minute)}
            account = {"account": conversation.get("account", "ot")}
            insert("messages", **place, **account, gone_at=gone_at, **FLAGS[word.strip("-=")])

    return talk_once


@pytest.mark.parametrize(
    ("words", "turns"),
    [
        ("", []),
        ("in", [("m0", None, None)]),
        ("out", []),
        ("in out", [("m0", "m1", 60.0)]),
        ("in in in out", [("m0", "m3", 180.0)]),
        ("in out out in", [("m0", "m1", 60.0), ("m3", None, None)]),
        ("out out in in out in", [("m2", "m4", 120.0), ("m5", None, None)]),
        ("out system in system out", [("m2", "m4", 120.0)]),
        ("system in", [("m1", None, None)]),
        ("in system", [("m0", None, None)]),
        ("in notice in out", [("m0", "m3", 180.0)]),
        ("in notice", [("m0", None, None)]),
        ("-in in out", [("m1", "m2", 60.0)]),
        ("in -out in out", [("m0", "m3", 180.0)]),
        ("in out -in", [("m0", "m1", 60.0)]),
        ("in =out", [("m0", "m1", 0.0)]),
        ("out =in", [("m1", None, None)]),
        ("in =in out =in =out", [("m0", "m2", 60.0), ("m3", "m4", 0.0)]),
    ],
)
def test_turns(talk: Callable[..., None], query: Query, words: str, turns: list[tuple[object, ...]]) -> None:
    """A turn runs from the first inbound message after ours, or the thread's start, to our next message."""
    talk(words)
    assert [
        tuple(row.values())
        for row in query(
            "SELECT asked_message_id, answered_message_id, seconds FROM response_times ORDER BY asked_at, 1"
        )
    ] == turns


def test_a_turn_says_where_it_was(talk: Callable[..., None], insert: Insert, query: Query) -> None:
    """A turn carries its conversation's bucket, proposal and, through the proposal, job, and both times."""
    talk("in out", bucket="proposal", proposal_id="p")
    insert("proposals", id="p", job_id="j")
    assert query("SELECT * FROM response_times") == [
        {
            "account": "ot",
            "conversation_id": "c",
            "bucket": "proposal",
            "job_id": "j",
            "proposal_id": "p",
            "asked_message_id": "m0",
            "asked_at": at(1),
            "answered_message_id": "m1",
            "answered_at": at(2),
            "seconds": 60.0,
        }
    ]


def test_milliseconds_count(insert: Insert, query: Query) -> None:
    """A response time is exact to the millisecond, over a leap day too."""
    insert("conversations", id="c")
    insert("messages", id="a", conversation_id="c", created_at="2028-02-28T23:59:59.999Z", is_from_viewer=0)
    insert("messages", id="b", conversation_id="c", created_at="2028-03-01T00:00:00.001Z", is_from_viewer=1)
    assert query("SELECT seconds FROM response_times") == [{"seconds": 86400.002}]


@pytest.mark.parametrize("conversation", [{"channel_name": "general"}, {"account": "ats", "id": "job:5"}])
def test_only_two_sided_conversations_have_turns(
    talk: Callable[..., None], query: Query, conversation: dict[str, object]
) -> None:
    """Channels and OpenATS have no turns."""
    talk("in out in", **conversation)
    assert query("SELECT * FROM response_times") == []


def test_turns_of_two_conversations_stay_apart(talk: Callable[..., None], insert: Insert, query: Query) -> None:
    """An answer in one conversation answers nothing in another, nor in another account's of the same id."""
    talk("in out in")
    insert("accounts", account="second", source="opentrain")
    insert("conversations", id="d")
    insert("conversations", account="second", id="c")
    insert("messages", id="d0", conversation_id="d", created_at=at(2), is_from_viewer=0, is_system=0)
    insert("messages", account="second", id="m0", conversation_id="c", created_at=at(9), is_from_viewer=1, is_system=0)
    found = query("SELECT account, conversation_id, asked_message_id, seconds FROM response_times ORDER BY 1, 2, 3")
    assert [tuple(row.values()) for row in found] == [
        ("ot", "c", "m0", 60.0),
        ("ot", "c", "m2", None),
        ("ot", "d", "d0", None),
    ]


def test_the_open_turn_is_the_inboxs_wait(talk: Callable[..., None], query: Query) -> None:
    """`inbox` waits since the moment at which `response_times` says the open turn began."""
    talk("in out system in in")
    asked = query("SELECT asked_at FROM response_times WHERE seconds IS NULL")[0]["asked_at"]
    waited = datetime.now(UTC) - datetime.fromisoformat(asked)
    assert query("SELECT waiting_seconds FROM inbox")[0]["waiting_seconds"] == pytest.approx(
        waited.total_seconds(), abs=5
    )


def test_a_thread_shows_every_message(insert: Insert, talk: Callable[..., None], query: Query) -> None:
    """Every message has its direction and sender, gone ones too."""
    talk("in out system -in", proposal_id="p")
    insert("proposals", id="p", candidate_id="k")
    insert("candidates", id="k", name="Ana P.")
    assert [
        tuple(row.values())
        for row in query(
            "SELECT message_id, sent_at, sender, direction, gone_at FROM thread ORDER BY sent_at, message_id"
        )
    ] == [
        ("m0", at(1), "Ana P.", "in", None),
        ("m1", at(2), "me", "out", None),
        ("m2", at(3), "system", "system", None),
        ("m3", at(4), "Ana P.", "in", at(600)),
    ]


def test_a_thread_on_openats_is_internal(insert: Insert, query: Query) -> None:
    """On OpenATS people are shown by name, their messages as internal; only `is_system` makes one the system's."""
    insert("conversations", account="ats", id="candidate:42", title="Ana")
    place = {"account": "ats", "conversation_id": "candidate:42", "sender_user_id": "1"}
    insert("messages", **place, id="candidate:1", sender_name="Sarah", is_system=0)
    insert("messages", **place, id="candidate:2", sender_name="Sarah", is_system=1)
    insert("messages", **place, id="candidate:3", is_system=0)
    found = query("SELECT sender, direction FROM thread ORDER BY message_id")
    assert [tuple(row.values()) for row in found] == [("Sarah", "internal"), ("system", "system"), ("1", "internal")]


def test_a_thread_shows_a_message_whose_conversation_is_not_held(insert: Insert, query: Query) -> None:
    """A message is shown even when nothing around it is known."""
    insert("messages", id="m", conversation_id="unknown", sender_user_id="u1", is_from_viewer=0, content="hello")
    assert query("SELECT sender, direction, content FROM thread") == [
        {"sender": "u1", "direction": "in", "content": "hello"}
    ]


def test_daily_activity_counts_by_utc_day(talk: Callable[..., None], insert: Insert, query: Query) -> None:
    """A day counts each direction, gone messages and channels included, and each active conversation once."""
    talk("in in out system -in")
    insert("conversations", id="d", channel_name="general")
    insert("messages", id="d0", conversation_id="d", created_at=at(5), is_from_viewer=0, is_system=0)
    insert("messages", id="d1", conversation_id="d", created_at="2026-03-02T00:00:00.000Z", is_from_viewer=1)
    insert("messages", id="d2", conversation_id="d", created_at=None, is_from_viewer=1)
    assert [tuple(row.values()) for row in query("SELECT * FROM daily_activity ORDER BY day")] == [
        ("ot", "2026-03-01", 4, 1, 1, 2),
        ("ot", "2026-03-02", 0, 1, 0, 1),
    ]


def test_daily_activity_on_openats(talk: Callable[..., None], query: Query) -> None:
    """An internal message makes its conversation active and is neither inbound nor outbound."""
    talk("internal internal system", account="ats", id="job:5")
    assert [tuple(row.values()) for row in query("SELECT * FROM daily_activity")] == [("ats", "2026-03-01", 0, 0, 1, 1)]


def test_interview_results(insert: Insert, query: Query) -> None:
    """An interview shows its proposal's people, and counts the interviewer's lines that are not gone."""
    insert("interviews", proposal_id="p", interview_id="i", score=8.6, summary="Good")
    insert("proposals", id="p", job_id="j", job_title="Old title", candidate_id="k")
    insert("jobs", id="j", title="Labeller")
    insert("candidates", id="k", name="Ana P.")
    for number, role in enumerate(("interviewer", "candidate", "interviewer", "observer")):
        insert("interview_messages", proposal_id="p", id=f"q{number}", seq=number, role=role, sent_at=at(number))
    insert("interview_messages", proposal_id="p", id="old", role="interviewer", sent_at=at(500), gone_at=at(501))
    insert("interview_messages", proposal_id="other", id="q", role="interviewer", sent_at=at(500))
    assert query("SELECT * FROM interview_results") == [
        {
            "account": "ot",
            "proposal_id": "p",
            "interview_id": "i",
            "job_id": "j",
            "job_title": "Labeller",
            "candidate_id": "k",
            "candidate_name": "Ana P.",
            "score": 8.6,
            "summary": "Good",
            "question_count": 2,
            "last_message_at": at(3),
        }
    ]


def test_interview_results_leave_out_gone_ones(insert: Insert, query: Query) -> None:
    """A gone interview is no result; one without lines or proposal is one."""
    insert("interviews", proposal_id="gone", gone_at=at(5))
    insert("interviews", proposal_id="bare", interview_id="i")
    found = query("SELECT proposal_id, job_id, candidate_name, question_count, last_message_at FROM interview_results")
    assert [tuple(row.values()) for row in found] == [("bare", None, None, 0, None)]


def test_freshness(insert: Insert, query: Query) -> None:
    """Each account that is still configured has its age and the number of its failures."""
    success = datetime.now(UTC) - timedelta(seconds=90)
    text = success.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    insert("accounts", account="busy", source="opentrain", state="ok", last_success_at=text)
    insert("accounts", account="removed", source="opentrain", state="ok", removed_at=at(0))
    for number in range(3):
        insert("failures", account="busy", kind="interview", subject_id=str(number))
    insert("failures", account="removed", kind="interview", subject_id="1")
    rows = {row["account"]: row for row in query("SELECT * FROM freshness")}
    assert rows.keys() == {"ot", "ats", "busy"}
    assert rows["busy"]["age_seconds"] == pytest.approx(90, abs=5)
    assert (rows["busy"]["failures"], rows["ot"]["failures"], rows["ot"]["age_seconds"]) == (3, 0, None)
