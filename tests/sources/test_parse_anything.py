"""Any JSON at all is read, or is an error of the protocol."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import NotFoundError, ProtocolError
from syncd.sources import opentrain_hiring as hiring
from syncd.sources import opentrain_parse as parse
from syncd.sources.answers import Answer
from syncd.sources.fields import render_json

MakeAnswer = Callable[[Any], Answer]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8) | st.integers(
    -(2**63), 2**63 - 1
)

MESSAGE_FIELDS = """createdAt updatedAt conversationId jobId senderUserId senderName isFromViewer content messageType
    system hasUnreadFlag attachmentCount hasAudio editedAt reactionCount"""
CONVERSATION_FIELDS = "type bucket jobId proposalId channelName updatedAt lastMessage unreadCount needsReplyCount"
PROPOSAL_FIELDS = "jobId jobTitle createdAt updatedAt status bid candidate metrics aiInterview verification openLabel"
JOB_FIELDS = "title status createdAt updatedAt"


def objects(names: str) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with any of those fields, of any type, and unknown ones."""
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(names.split(), json_values))
    unknown = st.dictionaries(st.text(max_size=5).map(lambda name: f"x_{name}"), json_values, max_size=3)
    return st.builds(lambda id_, left, right: {**left, **right, "id": id_}, ids, known, unknown)


def unknown_of(body: dict[str, Any]) -> dict[str, Any]:
    """The unknown fields that `objects` made."""
    return {name: value for name, value in body.items() if name.startswith("x_")}


def extra_of(extra: str | None) -> dict[str, Any]:
    """What `extra` holds, checked to be canonical and never an empty object."""
    assert extra != "{}"
    loaded: dict[str, Any] = json.loads(extra or "{}")
    assert extra is None or render_json(loaded) == extra
    return loaded


@given(objects(MESSAGE_FIELDS))
def test_any_message(body: dict[str, Any]) -> None:
    """Any object with an id is a message; each field is in its column or in `extra`, and no unknown one is lost."""
    message = parse.parse_message(body, "c1")
    extra = extra_of(message.extra)
    assert message.id == str(body["id"])
    assert unknown_of(body).items() <= extra.items()
    columns = {"content": message.content, "isFromViewer": message.is_from_viewer, "editedAt": message.edited_at}
    for name, column in columns.items():
        assert (column is None) == (body.get(name) is None or name in extra)


@given(objects(CONVERSATION_FIELDS))
def test_any_conversation(body: dict[str, Any]) -> None:
    """Any object with an id is a conversation, and no unknown field is lost; a last message has at least a time."""
    try:
        conversation = parse.parse_conversation(body)
    except ProtocolError:
        assert isinstance(body["lastMessage"], dict)
        return
    assert unknown_of(body).items() <= extra_of(conversation.extra).items()


@given(objects(PROPOSAL_FIELDS))
def test_any_proposal(body: dict[str, Any]) -> None:
    """Any object with an id is a proposal; no unknown field is lost, nothing of the person is kept in `extra`."""
    proposal, candidate = hiring.parse_proposal(body)
    extra = extra_of(proposal.extra)
    assert unknown_of(body).items() <= extra.items()
    assert not {"candidate", "verification"} & extra.keys()
    assert proposal.candidate_id == (candidate and candidate.id)


@given(objects(JOB_FIELDS))
def test_any_job(body: dict[str, Any]) -> None:
    """Any object with an id is a job, and no unknown field is lost."""
    assert unknown_of(body).items() <= extra_of(hiring.parse_job(body).extra).items()


@pytest.mark.parametrize(
    "read",
    [
        parse.parse_entries,
        lambda answer: parse.parse_page(answer, "c1", 100),
        lambda answer: parse.parse_sent(answer, "c1"),
        parse.parse_opened,
        parse.parse_changes,
        parse.parse_identity,
        hiring.parse_jobs,
        hiring.parse_dossier,
        lambda answer: hiring.parse_dossiers(answer, "j1"),
        lambda answer: hiring.parse_transcript(answer, "p1"),
    ],
    ids=["entries", "page", "sent", "opened", "changes", "identity", "jobs", "dossier", "dossiers", "transcript"],
)
@given(body=json_values | st.dictionaries(st.sampled_from(["messages", "jobs", "interview", "data"]), json_values))
def test_any_answer(read: Callable[[Answer], object], body: Any) -> None:
    """Whatever JSON an answer holds, it is read or a FetchError, never another exception."""
    whole = Answer(body=body, server_time="2026-06-12T10:00:00.000Z", status=200, request_id=None)
    with contextlib.suppress(ProtocolError, NotFoundError):
        read(whole)
