"""OpenTrain's JSON, as documented, as it might be, and as it should never be."""

from collections.abc import Callable
from typing import Any

import pytest

from syncd.core.model import Candidate, Change, Identity, Job, Message, Proposal
from syncd.errors import NotFoundError, ProtocolError
from syncd.sources import opentrain_hiring as hiring
from syncd.sources import opentrain_parse as parse
from syncd.sources.answers import Answer

MakeAnswer = Callable[[Any], Answer]

PROPOSAL = {
    "id": "p1",
    "jobId": "j1",
    "jobTitle": "Label posts",
    "createdAt": "2026-06-10T08:00:00.000Z",
    "updatedAt": "2026-06-11T08:00:00.000Z",
    "status": {"raw": "SHORTLISTED", "label": "Shortlisted"},
    "bid": {"amountUsd": 12.5, "unit": "HOUR", "labelerHourlyRateUsd": 10},
    "candidate": {
        "id": "u7",
        "profileSlug": "maria-g",
        "displayName": "Maria G.",
        "firstName": "Maria",
        "lastNameInitial": "G",
        "profileTitle": "Annotator",
        "profilePhotoUrl": "https://cdn.example/private.jpg",
        "countryCode": "ES",
        "country": "Spain",
        "talentType": "LABELER",
        "highestEarningsUsd": 900,
        "reviewCount": 3,
    },
    "metrics": {"interviewScore": 86, "matchScore": 0.91},
    "aiInterview": {"score": 86, "summary": "Strong.", "transcriptAvailable": True, "language": "es"},
    "verification": {"idCheck": "private"},
    "openLabel": None,
    "contract": {"id": "k1"},
}


def test_proposal() -> None:
    """Every documented field is in its column; what has none is in `extra`, but for what is personal."""
    proposal, candidate = hiring.parse_proposal(PROPOSAL)
    assert proposal == Proposal(
        id="p1",
        job_id="j1",
        job_title="Label posts",
        candidate_id="u7",
        status="SHORTLISTED",
        status_label="Shortlisted",
        bid_amount_usd=12.5,
        bid_unit="HOUR",
        interview_score=86.0,
        match_score=0.91,
        transcript_available=True,
        created_at="2026-06-10T08:00:00.000Z",
        updated_at="2026-06-11T08:00:00.000Z",
        extra='{"aiInterview":{"language":"es"},"bid":{"labelerHourlyRateUsd":10},"contract":{"id":"k1"},"openLabel":null}',
    )
    assert candidate == Candidate(id="u7", name="Maria G.", slug="maria-g", title="Annotator", country_code="ES")


@pytest.mark.parametrize(
    ("status", "column", "label", "extra"),
    [
        ("NEW", "NEW", None, None),
        ({"raw": "NEW", "tone": "blue"}, "NEW", None, '{"status":{"tone":"blue"}}'),
        ({"raw": 5, "label": "New"}, None, "New", '{"status":{"raw":5}}'),
        (7, None, None, '{"status":7}'),
        (None, None, None, None),
    ],
)
def test_status(status: object, column: str | None, label: str | None, extra: str | None) -> None:
    """A status is an object or plain text, and nothing of another one is lost."""
    proposal, _ = hiring.parse_proposal({"id": "p1", "status": status})
    assert (proposal.status, proposal.status_label, proposal.extra) == (column, label, extra)


@pytest.mark.parametrize(
    ("person", "name"),
    [
        ({"displayName": "", "firstName": "Maria", "lastNameInitial": "G"}, "Maria G"),
        ({"firstName": "Maria"}, "Maria"),
        ({"displayName": 5, "lastNameInitial": "G"}, "G"),
        ({}, None),
    ],
)
def test_names(person: dict[str, Any], name: str | None) -> None:
    """A candidate without a display name has the first name and the initial."""
    _, candidate = hiring.parse_proposal({"id": "p1", "candidate": {"id": 7, **person}})
    assert candidate == Candidate(id="7", name=name)


def test_proposal_without_candidate() -> None:
    """A candidate that has no id is none, and nothing of them is kept."""
    proposal, candidate = hiring.parse_proposal({"id": "p1", "candidate": {"displayName": "Maria G."}})
    assert (proposal, candidate) == (Proposal(id="p1"), None)


def test_envelopes(answer: MakeAnswer) -> None:
    """A proposal and an interview are read in their envelopes and bare; jobs and proposals under likely names."""
    assert hiring.parse_dossier(answer({"proposal": {"id": "p1"}})) == hiring.parse_dossier(answer({"id": "p1"}))
    turns = {"messages": [{"id": "m1"}]}
    assert hiring.parse_transcript(answer({"interview": turns}), "p1") == hiring.parse_transcript(answer(turns), "p1")
    for body in ({"jobs": [{"id": "j1"}]}, {"data": [{"id": "j1"}]}, [{"id": "j1"}]):
        assert hiring.parse_jobs(answer(body)).jobs == (Job(id="j1"),)
    for body in ({"proposals": [{"id": "p1"}]}, {"items": [{"id": "p1"}]}, [{"id": "p1"}]):
        (with_candidate,) = hiring.parse_dossiers(answer(body), "j1").proposals
        assert (with_candidate.proposal, with_candidate.partial) == (Proposal(id="p1"), True)


def test_no_interview(answer: MakeAnswer) -> None:
    """An interview that is null is none recorded; one without its messages is not understood."""
    with pytest.raises(NotFoundError, match="no interview"):
        hiring.parse_transcript(answer({"interview": None}), "p1")
    with pytest.raises(ProtocolError, match="without messages"):
        hiring.parse_transcript(answer({"interview": {"score": 5}}), "p1")


def test_turns_without_ids(answer: MakeAnswer) -> None:
    """A turn without an id is known by its position; of two with one id the later stands, and numbers have no gaps."""
    body = {"messages": [{"content": "a"}, {"id": "x", "content": "b"}, {"id": "x", "content": "c"}, {"id": 9}]}
    turns = hiring.parse_transcript(answer(body), "p1").messages
    assert [(turn.id, turn.seq, turn.content) for turn in turns] == [("#0", 0, "a"), ("x", 1, "c"), ("9", 2, None)]


def test_interview_of_another_proposal(answer: MakeAnswer) -> None:
    """An interview belongs to the proposal that was asked for; another id in it is kept in `extra`."""
    transcript = hiring.parse_transcript(answer({"proposalId": "p2", "messages": []}), "p1")
    assert (transcript.interview.proposal_id, transcript.interview.extra) == ("p1", '{"proposalId":"p2"}')


def test_message_of_another_conversation() -> None:
    """A message stays in the conversation it was found in; another id in it is kept in `extra`."""
    message = parse.parse_message({"id": "m1", "conversationId": "c2"}, "c1")
    assert message == Message(id="m1", conversation_id="c1", extra='{"conversationId":"c2"}')


def test_numeric_ids() -> None:
    """Ids that are integers become text, the conversation's too."""
    message = parse.parse_message({"id": 1, "conversationId": 5, "jobId": 2, "senderUserId": 3}, "5")
    assert message == Message(id="1", conversation_id="5", job_id="2", sender_user_id="3")


def test_twins_on_a_page(answer: MakeAnswer) -> None:
    """Of two messages with one id the later stands, in the place of the earlier."""
    bodies = [{"id": "a", "content": "1"}, {"id": "b"}, {"id": "a", "content": "2"}]
    page = parse.parse_page(answer({"messages": bodies}), "c1", 100)
    assert [(message.id, message.content) for message in page.messages] == [("a", "2"), ("b", None)]


def test_last_message_of_another_shape() -> None:
    """A `lastMessage` that is no object is kept in `extra`."""
    conversation = parse.parse_conversation({"id": "c1", "lastMessage": "hello"})
    assert (conversation.last_message_id, conversation.extra) == (None, '{"lastMessage":"hello"}')


def test_changes(answer: MakeAnswer) -> None:
    """A line of the feed gives its ids; an unknown type and absent data are no error."""
    body = {
        "events": [
            {
                "id": "1042",
                "type": "message.received",
                "apiVersion": "v1",
                "createdAt": "2026-06-12T08:30:00.000Z",
                "data": {"conversationId": "c1", "messageId": "m1"},
            },
            {"id": 1043, "type": "comet.sighted"},
        ],
        "nextCursor": "1043",
        "hasMore": True,
    }
    page = parse.parse_changes(answer(body))
    assert page.next_cursor == "1043"
    assert page.changes == (
        Change(
            id="1042",
            type="message.received",
            created_at="2026-06-12T08:30:00.000Z",
            conversation_id="c1",
            message_id="m1",
        ),
        Change(id="1043", type="comet.sighted"),
    )


@pytest.mark.parametrize(
    ("body", "user_id", "scopes"),
    [
        (
            {"actor": {"userId": "u1", "email": "private"}, "token": {"scopes": ["messages:read", 5]}},
            "u1",
            {"messages:read"},
        ),
        ({"actor": {"userId": 7}, "token": {}}, "7", None),
        ({"data": {"actor": {"userId": "u1"}}}, "u1", None),
        ({"actor": None, "token": {"scopes": "all"}}, None, None),
    ],
)
def test_identity(answer: MakeAnswer, body: object, user_id: str | None, scopes: set[str] | None) -> None:
    """Of an identity only the user's id and the scopes are kept."""
    expected = Identity(
        user_id=user_id,
        scopes=None if scopes is None else frozenset(scopes),
        server_time="2026-06-12T10:00:00.000Z",
    )
    assert parse.parse_identity(answer(body)) == expected
