"""The nouns, defined once.

*source*: a server that is mirrored. *conversation*: a thread of messages; an *entry* is a conversation as the server's
list shows it. *page*: messages of one conversation, as one answer brought them. *cursor*: a server's opaque bookmark;
stored, sent back, never parsed. *checkpoint*: the place up to which the mirror is known to be whole. *row*: a frozen
value with a table's columns, less `account` and the bookkeeping that the store adds. *observation*: what was fetched,
or what failed. *plan*: all that one observation changes. *event*: what people are told.

Times are UTC text, `YYYY-MM-DDTHH:MM:SS.mmmZ` (`Instant`), so that they compare as text. `extra` is JSON text of the
fields no column holds.
"""

from typing import ClassVar

from msgspec import Struct

Instant = str
"""A time, as UTC text with milliseconds."""

Key = tuple[str, str]
"""A message's place in its conversation: `(created_at, id)`, with "" for a time that could not be read."""


class Row(Struct, frozen=True, kw_only=True):
    """A row of a mirrored table; `key` names the columns that, behind `account`, are its primary key."""

    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]] = ("id",)


class Conversation(Row, frozen=True, kw_only=True):
    """A thread; as an entry it carries the list's counts, which are believed once its messages are stored."""

    table: ClassVar[str] = "conversations"

    id: str
    type: str | None = None
    bucket: str | None = None
    job_id: str | None = None
    proposal_id: str | None = None
    channel_name: str | None = None
    title: str | None = None
    updated_at: Instant | None = None
    last_message_id: str | None = None
    last_message_at: Instant | None = None
    unread_count: int | None = None
    needs_reply_count: int | None = None
    extra: str | None = None
    gone_at: Instant | None = None


class Message(Row, frozen=True, kw_only=True):
    """A message; `is_from_viewer` is None where the source knows no viewer."""

    table: ClassVar[str] = "messages"

    id: str
    conversation_id: str
    job_id: str | None = None
    sender_user_id: str | None = None
    sender_name: str | None = None
    is_from_viewer: bool | None = None
    content: str | None = None
    message_type: str | None = None
    is_system: bool | None = None
    has_unread_flag: bool | None = None
    attachment_count: int | None = None
    has_audio: bool | None = None
    reaction_count: int | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    edited_at: Instant | None = None
    extra: str | None = None
    gone_at: Instant | None = None

    @property
    def place(self) -> Key:
        """Where the message stands in its conversation."""
        return (self.created_at or "", self.id)

    @property
    def is_inbound(self) -> bool:
        """Whether, where there is a viewer, somebody else wrote it: not the viewer, and not the system."""
        return not self.is_from_viewer and not self.is_system


class Job(Row, frozen=True, kw_only=True):
    """A job of the owner's."""

    table: ClassVar[str] = "jobs"

    id: str
    title: str | None = None
    status: str | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    extra: str | None = None
    gone_at: Instant | None = None


class Candidate(Row, frozen=True, kw_only=True):
    """The person behind a proposal; `erased_at` says since when their name is gone upstream."""

    table: ClassVar[str] = "candidates"

    id: str
    name: str | None = None
    slug: str | None = None
    title: str | None = None
    country_code: str | None = None
    erased_at: Instant | None = None
    extra: str | None = None
    gone_at: Instant | None = None


class Proposal(Row, frozen=True, kw_only=True):
    """A candidate's bid for a job; amounts in US dollars, scores as the server gave them."""

    table: ClassVar[str] = "proposals"

    id: str
    job_id: str | None = None
    job_title: str | None = None
    candidate_id: str | None = None
    status: str | None = None
    status_label: str | None = None
    bid_amount_usd: float | None = None
    bid_unit: str | None = None
    interview_score: float | None = None
    match_score: float | None = None
    transcript_available: bool | None = None
    created_at: Instant | None = None
    updated_at: Instant | None = None
    extra: str | None = None
    gone_at: Instant | None = None


class Interview(Row, frozen=True, kw_only=True):
    """The latest AI interview of a proposal."""

    table: ClassVar[str] = "interviews"
    key: ClassVar[tuple[str, ...]] = ("proposal_id",)

    proposal_id: str
    interview_id: str | None = None
    score: float | None = None
    summary: str | None = None
    extra: str | None = None
    gone_at: Instant | None = None


class InterviewMessage(Row, frozen=True, kw_only=True):
    """One turn of an interview; `seq` counts from 0 in the order the server gave."""

    table: ClassVar[str] = "interview_messages"
    key: ClassVar[tuple[str, ...]] = ("proposal_id", "id")

    proposal_id: str
    id: str
    seq: int
    role: str | None = None
    content: str | None = None
    sent_at: Instant | None = None
    extra: str | None = None
    gone_at: Instant | None = None


class Event(Struct, frozen=True, kw_only=True):
    """What people are told, once; `data` is the JSON object of the contract's §4."""

    kind: str
    conversation_id: str | None = None
    message_id: str | None = None
    proposal_id: str | None = None
    baseline: bool = False
    occurred_at: Instant | None = None
    data: dict[str, str | int | float | bool | None] = {}
