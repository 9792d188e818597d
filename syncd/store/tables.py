"""The catalogue: every table's columns, named once in Python; the migrations make the tables, a test compares them."""

from typing import ClassVar

from sqlalchemy import MetaData, Table
from sqlmodel import Field, SQLModel


class TableRow(SQLModel):
    """What every table's class has: our own metadata, and the table itself for statements."""

    metadata: ClassVar[MetaData] = MetaData()
    __table__: ClassVar[Table]


class AccountRow(TableRow, table=True):
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


class ConversationRow(TableRow, table=True):
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


class MessageRow(TableRow, table=True):
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


class MessageRevisionRow(TableRow, table=True):
    """What a message said before an edit replaced it."""

    __tablename__ = "message_revisions"
    account: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    content: str | None = None
    edited_at: str | None = None
    replaced_at: str | None = None
    change_id: int


class JobRow(TableRow, table=True):
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


class CandidateRow(TableRow, table=True):
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


class ProposalRow(TableRow, table=True):
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


class InterviewRow(TableRow, table=True):
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


class InterviewMessageRow(TableRow, table=True):
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


# The columns of what syncd itself records: failures, events, outbox, runs, and (with `_`) the engine's memory.


class FailureRow(TableRow, table=True):
    """Something that could not be fetched, why, and when it is tried again."""

    __tablename__ = "failures"
    account: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    reason: str | None = None
    request_id: str | None = None
    tries: int | None = None
    first_failed_at: str | None = None
    next_try_at: str | None = None
    change_id: int


class EventRow(TableRow, table=True):
    """A line of the change feed; `logged_at` is NULL until the log has it."""

    __tablename__ = "events"
    id: int | None = Field(default=None, primary_key=True)
    account: str
    kind: str
    conversation_id: str | None = None
    message_id: str | None = None
    proposal_id: str | None = None
    baseline: int = 0
    occurred_at: str | None = None
    recorded_at: str | None = None
    logged_at: str | None = None
    data: str | None = None
    change_id: int


class OutboxRow(TableRow, table=True):
    """A message that syncd was asked to send; its text is gone once it was sent."""

    __tablename__ = "outbox"
    id: int | None = Field(default=None, primary_key=True)
    account: str
    conversation_id: str
    content: str | None = None
    state: str
    created_at: str | None = None
    expires_at: str | None = None
    attempted_at: str | None = None
    message_id: str | None = None
    error: str | None = None
    change_id: int


class SyncRunRow(TableRow, table=True):
    """A first pass, a reconcile or a manual sync."""

    __tablename__ = "sync_runs"
    id: int | None = Field(default=None, primary_key=True)
    account: str
    kind: str
    started_at: str | None = None
    finished_at: str | None = None
    requests: int | None = None
    rows_written: int | None = None
    error: str | None = None
    change_id: int


class CounterRow(TableRow, table=True):
    """A number that only grows."""

    __tablename__ = "_counters"
    name: str = Field(primary_key=True)
    value: int


class DeletionRow(TableRow, table=True):
    """A deleted row: its table and its primary key as a JSON array."""

    __tablename__ = "_deletions"
    table_name: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    change_id: int


class AccountStateRow(TableRow, table=True):
    """The engine's memory of an account, as JSON."""

    __tablename__ = "_accounts"
    account: str = Field(primary_key=True)
    state: str


class ConversationStateRow(TableRow, table=True):
    """The engine's memory of a conversation, as JSON."""

    __tablename__ = "_threads"
    account: str = Field(primary_key=True)
    conversation_id: str = Field(primary_key=True)
    state: str


class OwedRow(TableRow, table=True):
    """Something still to be fetched, and not before `due_at`."""

    __tablename__ = "_owed"
    account: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    version: int
    due_at: str
    payload: str | None = None


class SeenRow(TableRow, table=True):
    """A message seen by the re-walk of a conversation that is under way."""

    __tablename__ = "_seen"
    account: str = Field(primary_key=True)
    conversation_id: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)


class SuspectRow(TableRow, table=True):
    """Something that was absent once and becomes gone when that is proved."""

    __tablename__ = "_suspects"
    account: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    conversation_id: str | None = None
    since: str


class UnreadableRow(TableRow, table=True):
    """An entry of a listing that can't be read, and has a row in `failures`."""

    __tablename__ = "_unreadable"
    account: str = Field(primary_key=True)
    listing: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)


class SearchDueRow(TableRow, table=True):
    """A text that the search index does not yet hold as it is now; it is gone at the end of each transaction."""

    __tablename__ = "_search_due"
    number: int | None = Field(default=None, primary_key=True)
    kind: str
    account: str
    owner_id: str
    id: str
    old_at: str | None = None


class TextRow(TableRow, table=True):
    """What the search index holds of a text; `number` is its row there, which counts by time."""

    __tablename__ = "_texts"
    arrival: int | None = Field(default=None, primary_key=True)
    number: int = Field(unique=True)
    account: str
    kind: str
    owner_id: str
    id: str
    place: str
    sender: str
    words: str


class ConsumerRow(TableRow, table=True):
    """Who follows the events, how far it has read, and how its command fails."""

    __tablename__ = "_consumers"
    name: str = Field(primary_key=True)
    event_id: int
    from_start: int = 0
    updated_at: str
    error: str | None = None
    tries: int = 0
    next_try_at: str | None = None


class GapRow(TableRow, table=True):
    """A run of events that were erased."""

    __tablename__ = "_gaps"
    first_id: int = Field(primary_key=True)
    last_id: int
    reason: str
    erased_at: str


class ErasedRow(TableRow, table=True):
    """The id of something that was erased and is not mirrored again."""

    __tablename__ = "_erased"
    account: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    erased_at: str


class ErasureRow(TableRow, table=True):
    """An erasure whose traces in the file are still to be removed."""

    __tablename__ = "_erasures"
    id: int | None = Field(default=None, primary_key=True)
    subject: str
    begun_at: str


class BackupRow(TableRow, table=True):
    """A copy of the database that `backup` made."""

    __tablename__ = "_backups"
    path: str = Field(primary_key=True)
    made_at: str


class OutgoingRow(TableRow, table=True):
    """What settles an outgoing message: its first attempt that may have arrived, and the first look in vain."""

    __tablename__ = "_outbox"
    id: int = Field(primary_key=True)
    since: str | None = None
    missed_at: str | None = None
    key: str | None = None


class DbHistoryRow(TableRow, table=True):
    """A time that the database was opened and then changed, from the transaction `change_id` on."""

    __tablename__ = "_lineage"
    mark: str = Field(primary_key=True)
    change_id: int


class PublishedRow(TableRow, table=True):
    """How far the database has been published into a target, and what keeps it from going on."""

    __tablename__ = "_published"
    target: str = Field(primary_key=True)
    follows: int = 0
    place: int = 0
    published_at: str | None = None
    error: str | None = None
    tries: int = 0
    failing_since: str | None = None
    next_try_at: str | None = None
