"""The answers printed in the public documentation, read field by field."""

from collections.abc import Callable

from syncd.core.model import (
    Conversation,
    EntryPage,
    Interview,
    InterviewMessage,
    Message,
    OpenedConversation,
    Transcript,
)
from syncd.sources.answers import Answer
from syncd.sources.opentrain_hiring import parse_transcript
from syncd.sources.opentrain_parse import parse_entries, parse_opened, parse_sent

NOW = "2026-06-12T10:00:00.000Z"
Document = Callable[[str], Answer]


def test_conversation_list(document: Document) -> None:
    """Every field of the documented conversation is in its column, `lastMessage` is consumed, nothing is left over."""
    assert parse_entries(document("conversations")) == EntryPage(
        entries=(
            Conversation(
                id="<CONVERSATION_ID>",
                type="DIRECT_MESSAGE",
                bucket="proposal",
                proposal_id="<PROPOSAL_ID>",
                updated_at="2026-06-12T08:30:00.000Z",
                last_message_id="<MESSAGE_ID>",
                last_message_at="2026-06-12T08:30:00.000Z",
                unread_count=1,
                needs_reply_count=1,
            ),
        ),
        next_cursor=None,
        server_time=NOW,
    )


def test_sent_message(document: Document) -> None:
    """Every field of the documented message is in its column, and nothing is left over."""
    assert parse_sent(document("send_message"), "<CONVERSATION_ID>") == Message(
        id="<MESSAGE_ID>",
        conversation_id="<CONVERSATION_ID>",
        sender_user_id="<YOUR_USER_ID>",
        is_from_viewer=True,
        content="Hi Maria — your interview looked great. Could you start with a 5,000-post batch next week?",
        is_system=False,
        has_unread_flag=False,
        attachment_count=0,
        has_audio=False,
        reaction_count=0,
        created_at="2026-06-12T09:15:00.000Z",
        updated_at="2026-06-12T09:15:00.000Z",
    )


def test_interview(document: Document) -> None:
    """The documented interview comes with its two turns in order, and nothing is left over."""
    assert parse_transcript(document("interview"), "<PROPOSAL_ID>") == Transcript(
        interview=Interview(
            proposal_id="<PROPOSAL_ID>",
            interview_id="<INTERVIEW_ID>",
            score=86.0,
            summary="Strong grasp of sentiment-labeling edge cases; clear communication; native Spanish speaker with"
            " prior social-media annotation experience.",
        ),
        messages=(
            InterviewMessage(
                proposal_id="<PROPOSAL_ID>",
                id="<MESSAGE_ID_1>",
                seq=0,
                role="interviewer",
                content="Tell me about your experience labeling sentiment in social media posts.",
                sent_at="2026-06-11T15:20:00.000Z",
            ),
            InterviewMessage(
                proposal_id="<PROPOSAL_ID>",
                id="<MESSAGE_ID_2>",
                seq=1,
                role="candidate",
                content="I spent two years annotating Spanish-language tweets for a sentiment model, including sarcasm"
                " and mixed-sentiment cases.",
                sent_at="2026-06-11T15:21:00.000Z",
            ),
        ),
        server_time=NOW,
    )


def test_opened_conversation(document: Document) -> None:
    """Opening a proposal's conversation gives its id."""
    opened = OpenedConversation(id="<CONVERSATION_ID>", job_id="<JOB_ID>", created=True)
    assert parse_opened(document("open_conversation")) == opened
