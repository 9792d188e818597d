"""The catalogue: every table's columns, named once in Python; the migrations make the tables, a test compares them.

Of the public tables each column has a description, its unit, and what NULL means: `syncd docs columns` shows them.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import MetaData, Table
from sqlmodel import Field, SQLModel


class TableRow(SQLModel):
    """What every table's class has: our own metadata, and the table itself for statements."""

    metadata: ClassVar[MetaData] = MetaData()
    __table__: ClassVar[Table]


TIME, BOOLEAN, JSON = "UTC time", "0 or 1", "JSON object"
"""Units of columns that SQLite declares as TEXT or INTEGER."""


def _column(
    description: str, *, unit: str | None = None, null: str | None = None, key: bool = False, default: Any = ...
) -> Any:
    """A column: what it holds, in which unit, and, where it may be NULL, what that means.

    SQLAlchemy has them as the column's `comment` and `info`.
    """
    info = {"unit": unit, "null": null}
    return Field(
        default=None if null is not None else default,
        primary_key=key,
        description=description,
        sa_column_kwargs={"comment": description, "info": info},
    )


_NOT_SENT = "the server sent none"
_ALWAYS_SET = "never, it is always set"
_ACCOUNT = "The account's name in the configuration."


def _account() -> Any:
    return _column(_ACCOUNT, key=True)


def _first_seen_at() -> Any:
    return _column("When the row was first stored.", unit=TIME)


def _changed_at() -> Any:
    return _column("When any other column of the row last changed.", unit=TIME)


def _change_id() -> Any:
    return _column("The transaction that last changed the row; it only grows.")


def _gone_at() -> Any:
    return _column("Since when the server no longer has it (the tombstone).", unit=TIME, null="the server has it")


def _extra() -> Any:
    return _column(
        "Fields of the answer that have no column, by their names in the API.", unit=JSON, null="there are none"
    )


class AccountRow(TableRow, table=True):
    """An account: where its rows come from, how it is, and since when."""

    __tablename__ = "accounts"
    account: str = _account()
    source: str = _column("The kind of server: opentrain or openats.")
    base_url: str | None = _column("The server's address.", null=_ALWAYS_SET)
    viewer_user_id: str | None = _column(
        "The user whom the token belongs to, and whose inbox this is.", null="not known yet, or a source without users"
    )
    state: str | None = _column(
        "How the account is: starting, ok, rate_limited, unreachable, auth_failed, forbidden, protocol_error, paused or"
        " wrong_account.",
        null=_ALWAYS_SET,
    )
    state_since: str | None = _column("Since when it is in that state.", unit=TIME, null=_ALWAYS_SET)
    first_started_at: str | None = _column(
        "When the first pass began, by the server's clock; what is older is history.",
        unit=TIME,
        null="no answer has come yet",
    )
    complete_since: str | None = _column(
        "Since when everything has been here: the end of the first whole pass.",
        unit=TIME,
        null="the first pass is not whole yet",
    )
    last_success_at: str | None = _column("When the last poll succeeded.", unit=TIME, null="none has yet")
    last_reconciled_at: str | None = _column(
        "When everything was last compared with the server.", unit=TIME, null="not yet"
    )
    retry_at: str | None = _column("Until when the server is asked nothing.", unit=TIME, null="nothing is waited for")
    last_error: str | None = _column("What went wrong in the last poll.", null="nothing did")
    removed_at: str | None = _column(
        "Since when the account is no longer configured; its rows stay.", unit=TIME, null="it is configured"
    )
    change_id: int = _change_id()


class ConversationRow(TableRow, table=True):
    """A conversation as the list of conversations told it."""

    __tablename__ = "conversations"
    account: str = _account()
    id: str = _column("The conversation's id; of OpenATS job:ID or candidate:ID.", key=True)
    type: str | None = _column(
        "The server's word for its kind, such as DIRECT_MESSAGE; of OpenATS JOB_CHAT or CANDIDATE_CHAT.", null=_NOT_SENT
    )
    bucket: str | None = _column("Where the inbox shows it: proposal or job.", null=_NOT_SENT)
    job_id: str | None = _column(
        "The job that it is about; of a proposal's thread the proposal names the job.", null="the server named none"
    )
    proposal_id: str | None = _column("The proposal that it is about.", null="it is about none")
    channel_name: str | None = _column("The channel's name.", null="it is no channel")
    title: str | None = _column(
        "The job's title or the candidate's name.", null="an OpenTrain conversation, which has no title"
    )
    updated_at: str | None = _column("When anything last happened in it, by the server.", unit=TIME, null=_NOT_SENT)
    last_message_id: str | None = _column("Its newest message, by the list of conversations.", null="it has none")
    last_message_at: str | None = _column("When that message was created.", unit=TIME, null="it has none")
    unread_count: int | None = _column(
        "Unread messages, by the server.", unit="messages", null="not counted: OpenATS, or not stored yet"
    )
    needs_reply_count: int | None = _column(
        "Messages that need a reply, by the server; a dismissal in the app lowers it.",
        unit="messages",
        null="not counted: OpenATS, or not stored yet",
    )
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


class MessageRow(TableRow, table=True):
    """A message as it is now; what it was before an edit is in `message_revisions`."""

    __tablename__ = "messages"
    account: str = _account()
    id: str = _column("The message's id; of OpenATS job:ID or candidate:ID.", key=True)
    conversation_id: str = _column("The conversation that it is part of.")
    job_id: str | None = _column("The job that the server names with it.", null=_NOT_SENT)
    sender_user_id: str | None = _column("Who wrote it.", null=_NOT_SENT)
    sender_name: str | None = _column("The writer's name, where messages carry one.", null=_NOT_SENT)
    is_from_viewer: int | None = _column(
        "Whether the account's own user wrote it.", unit=BOOLEAN, null="not known: OpenATS has no viewer"
    )
    content: str | None = _column("The text.", null="it has none")
    message_type: str | None = _column("The server's word for its kind.", null=_NOT_SENT)
    is_system: int | None = _column("Whether the system wrote it, not a person.", unit=BOOLEAN, null=_NOT_SENT)
    has_unread_flag: int | None = _column(
        "Whether the server flags it as unread; seen again at each reconcile only.", unit=BOOLEAN, null=_NOT_SENT
    )
    attachment_count: int | None = _column(
        "Attachments, which themselves the API does not give.", unit="attachments", null=_NOT_SENT
    )
    has_audio: int | None = _column("Whether it is a voice message.", unit=BOOLEAN, null=_NOT_SENT)
    reaction_count: int | None = _column(
        "Reactions to it; seen again at each reconcile only.", unit="reactions", null=_NOT_SENT
    )
    created_at: str | None = _column(
        "When it was written, by the server.", unit=TIME, null="it was missing or unreadable; its text is in extra"
    )
    updated_at: str | None = _column("When the server last changed it.", unit=TIME, null=_NOT_SENT)
    edited_at: str | None = _column("When its text was last edited.", unit=TIME, null="it was not edited")
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


class MessageRevisionRow(TableRow, table=True):
    """What a message said before an edit replaced it."""

    __tablename__ = "message_revisions"
    account: str = _account()
    message_id: str = _column("The message that was edited.", key=True)
    revision: int = _column("Which text of the message this is, counted from 1.", key=True)
    content: str | None = _column("The text before the edit.", null="it had none")
    edited_at: str | None = _column(
        "When that text itself was written by an edit.", unit=TIME, null="it was the first text"
    )
    replaced_at: str | None = _column("When the edit that replaced it was found.", unit=TIME, null=_ALWAYS_SET)
    change_id: int = _change_id()


class JobRow(TableRow, table=True):
    """A job of the owner."""

    __tablename__ = "jobs"
    account: str = _account()
    id: str = _column("The job's id.", key=True)
    title: str | None = _column("Its title.", null=_NOT_SENT)
    status: str | None = _column("The server's word for how it stands.", null=_NOT_SENT)
    created_at: str | None = _column("When it was created, by the server.", unit=TIME, null=_NOT_SENT)
    updated_at: str | None = _column("When the server last changed it.", unit=TIME, null=_NOT_SENT)
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


class CandidateRow(TableRow, table=True):
    """A person who made a proposal or applied; `erased_at` says since when the person is nameless."""

    __tablename__ = "candidates"
    account: str = _account()
    id: str = _column("The person's id.", key=True)
    name: str | None = _column(
        "The name as the server shows it, often only the first name and an initial; not unique.",
        null="not known, or erased",
    )
    slug: str | None = _column("The profile's name in its address.", null=f"{_NOT_SENT}, or it was erased")
    title: str | None = _column("The profile's heading.", null=f"{_NOT_SENT}, or it was erased")
    country_code: str | None = _column("The country.", unit="ISO 3166-1 alpha-2", null=f"{_NOT_SENT}, or it was erased")
    erased_at: str | None = _column(
        "Since when the person is nameless at the server, and here.", unit=TIME, null="the person was not erased"
    )
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


class ProposalRow(TableRow, table=True):
    """A proposal: who offers to do which job for how much."""

    __tablename__ = "proposals"
    account: str = _account()
    id: str = _column("The proposal's id.", key=True)
    job_id: str | None = _column("The job that it is for.", null=_NOT_SENT)
    job_title: str | None = _column("That job's title as the proposal names it.", null=_NOT_SENT)
    candidate_id: str | None = _column("Who made it.", null=_NOT_SENT)
    status: str | None = _column("The server's word for how it stands.", null=_NOT_SENT)
    status_label: str | None = _column("The same, as the app shows it.", null=_NOT_SENT)
    bid_amount_usd: float | None = _column("What the candidate asks for.", unit="US dollars", null=_NOT_SENT)
    bid_unit: str | None = _column("What that amount is paid for, such as an hour.", null=_NOT_SENT)
    interview_score: float | None = _column(
        "The AI interview's score, as the server gave it.",
        unit="the server's scale, 0 to 10 or 0 to 100",
        null="no score yet",
    )
    match_score: float | None = _column(
        "How well the candidate matches, as the server gave it.",
        unit="the server's scale, 0 to 1 or 0 to 100",
        null="no score yet",
    )
    transcript_available: int | None = _column(
        "Whether the interview's transcript can be had.", unit=BOOLEAN, null="not known: it was only listed"
    )
    created_at: str | None = _column("When it was made, by the server.", unit=TIME, null=_NOT_SENT)
    updated_at: str | None = _column("When the server last changed it.", unit=TIME, null=_NOT_SENT)
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


class InterviewRow(TableRow, table=True):
    """A proposal's latest interview."""

    __tablename__ = "interviews"
    account: str = _account()
    proposal_id: str = _column("The proposal whose latest interview this is.", key=True)
    interview_id: str | None = _column("The interview's id.", null=_NOT_SENT)
    score: float | None = _column(
        "Its score, as the server gave it.", unit="the server's scale, 0 to 10 or 0 to 100", null="no score yet"
    )
    summary: str | None = _column(
        "What the server says of it in a few sentences.", null="there is none, or it was erased"
    )
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


class InterviewMessageRow(TableRow, table=True):
    """A line of an interview's transcript; `seq` is its place."""

    __tablename__ = "interview_messages"
    account: str = _account()
    proposal_id: str = _column("The proposal whose interview it is part of.", key=True)
    id: str = _column("The line's id; #N where the server gave none.", key=True)
    seq: int | None = _column("Its place in the transcript, from 0.", null=_ALWAYS_SET)
    role: str | None = _column("Who speaks: interviewer or candidate.", null=_NOT_SENT)
    content: str | None = _column("What is said.", null="nothing, or it was erased")
    sent_at: str | None = _column("When, by the server.", unit=TIME, null=_NOT_SENT)
    first_seen_at: str = _first_seen_at()
    changed_at: str = _changed_at()
    change_id: int = _change_id()
    gone_at: str | None = _gone_at()
    extra: str | None = _extra()


# The columns of what syncd itself records: failures, events, outbox, runs, and (with `_`) the engine's memory.


class FailureRow(TableRow, table=True):
    """Something that could not be fetched, why, and when it is tried again."""

    __tablename__ = "failures"
    account: str = _account()
    kind: str = _column("What can't be fetched, such as conversation, proposal or interview.", key=True)
    subject_id: str = _column("The id of it.", key=True)
    reason: str | None = _column("Why, in a few words without content.", null=_ALWAYS_SET)
    request_id: str | None = _column("The server's own id of the answer, for its support.", null="the answer had none")
    tries: int | None = _column("How often it was tried.", unit="tries", null=_ALWAYS_SET)
    first_failed_at: str | None = _column("When it first failed.", unit=TIME, null=_ALWAYS_SET)
    next_try_at: str | None = _column("When it is tried again.", unit=TIME, null=_ALWAYS_SET)
    change_id: int = _change_id()


class EventRow(TableRow, table=True):
    """A line of the change feed; `logged_at` is NULL until the log has it."""

    __tablename__ = "events"
    id: int | None = _column("The event's number; it only grows and names one event for ever.", key=True, default=None)
    account: str = _column(_ACCOUNT)
    kind: str = _column("What happened, such as message.new.")
    conversation_id: str | None = _column("The conversation that it is about.", null="it is about none")
    message_id: str | None = _column("The message that it is about.", null="it is about none")
    proposal_id: str | None = _column("The proposal that it is about.", null="it is about none")
    baseline: int = _column(
        "Whether the message that it is about is history, from before the first pass.", unit=BOOLEAN, default=0
    )
    occurred_at: str | None = _column(
        "When it happened, by the server where that says so, else when it was seen.", unit=TIME, null=_ALWAYS_SET
    )
    recorded_at: str | None = _column("When it was recorded.", unit=TIME, null=_ALWAYS_SET)
    logged_at: str | None = _column("When it was logged.", unit=TIME, null="not yet; always in a published copy")
    data: str | None = _column("What else there is to say, by kind.", unit=JSON, null="nothing")
    change_id: int = _change_id()


class OutboxRow(TableRow, table=True):
    """A message that syncd was asked to send; its text is gone once it was sent."""

    __tablename__ = "outbox"
    id: int | None = _column("The message's number in the outbox.", key=True, default=None)
    account: str = _column(_ACCOUNT)
    conversation_id: str = _column("The conversation that it goes to.")
    content: str | None = _column("The text.", null="it was sent: the text is in messages")
    state: str = _column("queued, sending, sent, unconfirmed, failed, expired or cancelled.")
    created_at: str | None = _column("When it was queued.", unit=TIME, null=_ALWAYS_SET)
    expires_at: str | None = _column("When it is given up if it could not leave.", unit=TIME, null=_ALWAYS_SET)
    attempted_at: str | None = _column("When it was last tried.", unit=TIME, null="it was not")
    message_id: str | None = _column("The message that it became.", null="it was not sent, or not found yet")
    error: str | None = _column("Why it was not sent, and what to do.", null="nothing is wrong")
    change_id: int = _change_id()


class SyncRunRow(TableRow, table=True):
    """A first pass, a reconcile or a manual sync."""

    __tablename__ = "sync_runs"
    id: int | None = _column("The run's number.", key=True, default=None)
    account: str = _column(_ACCOUNT)
    kind: str = _column("first_pass, reconcile or sync.")
    started_at: str | None = _column("When it began.", unit=TIME, null=_ALWAYS_SET)
    finished_at: str | None = _column("When it ended.", unit=TIME, null="it is under way, or a crash ended it")
    requests: int | None = _column("Requests that it made.", unit="requests", null="it is under way")
    rows_written: int | None = _column("Rows that it wrote.", unit="rows", null="it is under way")
    error: str | None = _column("What ended it early.", null="nothing did")
    change_id: int = _change_id()


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
    leaves_at: str | None = None


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


# The catalogue as plain values, for whoever shows it.


class ColumnDescription(NamedTuple):
    """A column of a public table; `unit` and `null` (what NULL means) are None where there is nothing to say."""

    table: str
    name: str
    is_key: bool
    type: str
    unit: str | None
    null: str | None
    description: str


def describe_columns() -> Iterator[ColumnDescription]:
    """Every public table's columns, in the order of the tables and of their columns."""
    types = {"VARCHAR": "TEXT", "FLOAT": "REAL", "INTEGER": "INTEGER"}
    for table in TableRow.metadata.tables.values():
        if table.name.startswith("_"):
            continue
        for column in table.columns:
            yield ColumnDescription(
                table=table.name,
                name=column.name,
                is_key=column.primary_key,
                type=types[str(column.type)],
                unit=column.info["unit"],
                null=column.info["null"],
                description=column.comment or "",
            )
