"""OpenTrain against the simulator, over a real socket: every call, field by field."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from msgspec.structs import replace

from syncd.core.model import Candidate, Conversation, Message
from syncd.errors import ForbiddenError, NotFoundError
from syncd.protocols import Direction, PagedSource
from syncd.simulator import Simulator
from syncd.sources.opentrain import OpenTrain

pytestmark = pytest.mark.anyio

OpenSource = Callable[..., AbstractAsyncContextManager[OpenTrain]]

COLUMNS = {
    "id": "id",
    "job_id": "jobId",
    "sender_user_id": "senderUserId",
    "is_from_viewer": "isFromViewer",
    "content": "content",
    "message_type": "messageType",
    "is_system": "system",
    "has_unread_flag": "hasUnreadFlag",
    "attachment_count": "attachmentCount",
    "has_audio": "hasAudio",
    "reaction_count": "reactionCount",
    "created_at": "createdAt",
    "updated_at": "updatedAt",
    "edited_at": "editedAt",
}


async def every_message(source: OpenTrain, conversation_id: str, direction: Direction) -> AsyncIterator[Message]:
    """All messages in that direction."""
    cursor: str | None = None
    while True:
        page = await source.fetch_messages(conversation_id, direction, cursor)
        for message in page.messages:
            yield message
        cursor = page.next_cursor
        if cursor is None:
            return


async def every_entry(source: OpenTrain) -> list[Conversation]:
    """The whole conversation list."""
    first = await source.fetch_entries(None)
    entries, cursor = list(first.entries), first.next_cursor
    while cursor is not None:
        page = await source.fetch_entries(cursor)
        entries, cursor = [*entries, *page.entries], page.next_cursor
    return entries


def assert_same(message: Message, truth: dict[str, Any]) -> None:
    """The message has every field of the truth."""
    for column, name in COLUMNS.items():
        assert getattr(message, column) == truth.get(name), (column, truth)
    assert message.conversation_id == truth["conversationId"]


async def test_it_is_a_paged_source(open_source: OpenSource) -> None:
    """OpenTrain is what the engine asks for."""
    async with open_source() as opened:
        source: PagedSource = opened
        assert (source.cost.requests, source.cost.received_bytes) == (0, 0)


async def test_a_whole_world(open_client: Any) -> None:
    """A made-up world with every script, system messages, channels and empty texts is read field by field."""
    with Simulator(seed=3, conversations=120, messages=1500) as simulator:
        truth = simulator.world.truth()
        async with open_client(simulator.url, token=lambda: simulator.token) as client:
            source = OpenTrain(client)
            entries = await every_entry(source)
            assert [entry.id for entry in entries] == truth["order"]
            for entry in entries:
                expected = truth["conversations"][entry.id]
                last = expected.get("lastMessage") or {}
                assert (entry.type, entry.bucket, entry.proposal_id, entry.channel_name) == tuple(
                    expected.get(name) for name in ("type", "bucket", "proposalId", "channelName")
                )
                assert (entry.unread_count, entry.needs_reply_count, entry.updated_at) == tuple(
                    expected[name] for name in ("unreadCount", "needsReplyCount", "updatedAt")
                )
                assert (entry.last_message_id, entry.last_message_at) == (last.get("id"), last.get("createdAt"))
            for conversation_id, messages in list(truth["messages"].items())[:40]:
                newer = [message async for message in every_message(source, conversation_id, "newer")]
                older = [message async for message in every_message(source, conversation_id, "older")]
                assert {message.id: message for message in newer} == {message.id: message for message in older}
                by_id = {message.id: message for message in newer}
                assert by_id.keys() == {message["id"] for message in messages}
                for message in messages:
                    assert_same(by_id[message["id"]], message)


async def test_proposals_and_interviews(simulator: Simulator, open_source: OpenSource) -> None:
    """A proposal comes with its candidate, its interview with its turns; the list of a job's proposals is partial."""
    world = simulator.world
    job_id = world.new_job(title="Label posts")
    proposal_id = world.new_proposal(job_id, name="Maria G.")
    async with open_source() as source:
        with pytest.raises(NotFoundError):
            await source.fetch_interview(proposal_id)
        world.interview_appears(proposal_id, score=86)
        with_candidate = await source.fetch_proposal(proposal_id)
        transcript = await source.fetch_interview(proposal_id)
        listed = await source.fetch_job_proposals(job_id, None)
        jobs = await source.fetch_jobs(None)
    truth = world.truth()
    proposal, interview = truth["proposals"][proposal_id], truth["interviews"][proposal_id]
    assert (with_candidate.partial, with_candidate.proposal.id, with_candidate.proposal.job_id) == (
        False,
        proposal_id,
        job_id,
    )
    assert with_candidate.proposal.transcript_available is True
    assert with_candidate.proposal.bid_amount_usd == proposal["bid"]["amountUsd"]
    assert with_candidate.proposal.status == proposal["status"]["raw"]
    assert with_candidate.candidate
    assert (with_candidate.candidate.id, with_candidate.candidate.name) == (proposal["candidate"]["id"], "Maria G.")
    assert (transcript.interview.score, transcript.interview.summary) == (86.0, interview["summary"])
    assert [turn.content for turn in transcript.messages] == [turn["content"] for turn in interview["messages"]]
    assert [(each.proposal.id, each.partial) for each in listed.proposals] == [(proposal_id, True)]
    assert isinstance(listed.proposals[0].candidate, Candidate)
    assert [(job.id, job.title, job.extra) for job in jobs.jobs] == [
        (job_id, "Label posts", '{"proposalCounts":{"total":1,"unreviewed":1}}')
    ]


async def test_what_is_asked(simulator: Simulator, open_source: OpenSource) -> None:
    """Every request has the documented path and parameters; `direction` is always said."""
    async with open_source() as source:
        await source.fetch_identity()
        await source.fetch_entries(None, unread_only=True)
        await source.fetch_changes(None)
        await source.fetch_jobs(None)
        conversation_id = simulator.world.new_conversation()
        await source.fetch_messages(conversation_id, "older", None)
    assert [(record.path, record.query) for record in simulator.requests] == [
        ("/auth/me", {}),
        ("/messages", {"limit": "100", "unreadOnly": "true"}),
        ("/updates", {"limit": "200"}),
        ("/jobs/mine", {"limit": "100"}),
        ("/messages", {"conversationId": conversation_id, "direction": "older", "limit": "100"}),
    ]


async def test_identity(simulator: Simulator, open_source: OpenSource) -> None:
    """The identity is the token's user with its scopes."""
    token = simulator.world.add_token(scopes=["messages:read"])
    async with open_source(token=lambda: token) as source:
        identity = await source.fetch_identity()
        assert (identity.user_id, identity.scopes) == (simulator.world.viewer, frozenset({"messages:read"}))
        with pytest.raises(ForbiddenError):
            await source.fetch_jobs(None)


async def test_the_feed(simulator: Simulator, open_source: OpenSource) -> None:
    """The feed is read page after page; at its end the cursor is the one that was sent."""
    conversation_id = simulator.world.new_conversation()
    for message_id in simulator.world.burst(conversation_id, 230):
        assert message_id
    async with open_source() as source:
        first = await source.fetch_changes(None)
        second = await source.fetch_changes(first.next_cursor)
        end = await source.fetch_changes(second.next_cursor)
    changes = [*first.changes, *second.changes]
    assert len(first.changes) == 200
    assert (end.changes, end.next_cursor) == ((), second.next_cursor)
    assert [change.id for change in changes] == [line["id"] for line in simulator.world.truth()["updates"]]
    assert {change.conversation_id for change in changes if change.type == "message.received"} == {conversation_id}


async def test_sending(simulator: Simulator, open_source: OpenSource) -> None:
    """A proposal's conversation is opened or found, and a message sent into it comes back as a row."""
    proposal_id = simulator.world.new_proposal()
    async with open_source() as source:
        opened = await source.open_conversation(proposal_id)
        conversation_id = opened.id
        assert await source.open_conversation(proposal_id) == replace(opened, created=False)
        message = await source.send_message(conversation_id, "Hello — Žofie 👋")
        assert_same(message, simulator.world.truth()["messages"][conversation_id][-1])
        assert (message.content, message.is_from_viewer) == ("Hello — Žofie 👋", True)
