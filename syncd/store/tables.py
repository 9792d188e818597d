"""The mirrored tables' columns, named once in Python; the migrations make the tables, a test holds the two together.

Times are UTC text, booleans 0 or 1, `change_id` is the number of the transaction that last changed the row.
What syncd itself records is in `own_tables`.
"""

from typing import ClassVar

from sqlalchemy import MetaData, Table
from sqlmodel import Field, SQLModel


class Row(SQLModel):
    """What every table's class has: our own metadata, and the table itself for statements."""

    metadata: ClassVar[MetaData] = MetaData()
    __table__: ClassVar[Table]


class AccountRow(Row, table=True):
    """An account: where its rows come from, how it is, and since when."""

    __tablename__ = "accounts"
    account: str = Field(primary_key=True)
    source: str
    base_url: str | None = None
    viewer_user_id: str | None = None
    state: str | None = None
    state_since: str | None = None
    first_started_at: str | None = None
    complete_since: str | None = None
    last_success_at: str | None = None
    last_reconciled_at: str | None = None
    retry_at: str | None = None
    last_error: str | None = None
    removed_at: str | None = None
    change_id: int


class ConversationRow(Row, table=True):
    """A conversation as the list of conversations told it."""

    __tablename__ = "conversations"
    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    type: str | None = None
    bucket: str | None = None
    job_id: str | None = None
    proposal_id: str | None = None
    channel_name: str | None = None
    title: str | None = None
    updated_at: str | None = None
    last_message_id: str | None = None
    last_message_at: str | None = None
    unread_count: int | None = None
    needs_reply_count: int | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None


class MessageRow(Row, table=True):
    """A message as it is now; what it was before an edit is in `message_revisions`."""

    __tablename__ = "messages"
    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    conversation_id: str
    job_id: str | None = None
    sender_user_id: str | None = None
    sender_name: str | None = None
    is_from_viewer: int | None = None
    content: str | None = None
    message_type: str | None = None
    is_system: int | None = None
    has_unread_flag: int | None = None
    attachment_count: int | None = None
    has_audio: int | None = None
    reaction_count: int | None = None
    created_at: str | None = None
    updated_at: str | None = None
    edited_at: str | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None


class MessageRevisionRow(Row, table=True):
    """What a message said before an edit replaced it."""

    __tablename__ = "message_revisions"
    account: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    content: str | None = None
    edited_at: str | None = None
    replaced_at: str | None = None
    change_id: int


class JobRow(Row, table=True):
    """A job of the owner."""

    __tablename__ = "jobs"
    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    title: str | None = None
    status: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None


class CandidateRow(Row, table=True):
    """A person who made a proposal or applied; `erased_at` says since when the person is nameless."""

    __tablename__ = "candidates"
    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    name: str | None = None
    slug: str | None = None
    title: str | None = None
    country_code: str | None = None
    erased_at: str | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None


class ProposalRow(Row, table=True):
    """A proposal: who offers to do which job for how much."""

    __tablename__ = "proposals"
    account: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    job_id: str | None = None
    job_title: str | None = None
    candidate_id: str | None = None
    status: str | None = None
    status_label: str | None = None
    bid_amount_usd: float | None = None
    bid_unit: str | None = None
    interview_score: float | None = None
    match_score: float | None = None
    transcript_available: int | None = None
    created_at: str | None = None
    updated_at: str | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None


class InterviewRow(Row, table=True):
    """A proposal's latest interview."""

    __tablename__ = "interviews"
    account: str = Field(primary_key=True)
    proposal_id: str = Field(primary_key=True)
    interview_id: str | None = None
    score: float | None = None
    summary: str | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None


class InterviewMessageRow(Row, table=True):
    """A line of an interview's transcript; `seq` is its place."""

    __tablename__ = "interview_messages"
    account: str = Field(primary_key=True)
    proposal_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    seq: int | None = None
    role: str | None = None
    content: str | None = None
    sent_at: str | None = None
    first_seen_at: str
    changed_at: str
    change_id: int
    gone_at: str | None = None
    extra: str | None = None
