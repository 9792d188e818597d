"""The catalogue: every public table, view and column, with its type, its unit and what NULL means, written down once.

The migrations make the tables, and a test compares them with the classes. Export, publish and the data dictionary take
`describe_catalogue`. Internal tables are named by the migrations alone. SQLModel takes a quarter of a second to import:
a command that only reads the database does without this module.
"""

from functools import cache
from typing import Any, ClassVar, get_args

from msgspec.structs import replace
from sqlalchemy import MetaData, Table
from sqlmodel import Field, SQLModel

from syncd.core.catalogue import Catalogue, Column, Relation, Type
from syncd.core.sources import SOURCES
from syncd.store.database import SCHEMA_VERSION


def column(
    description: str,
    *,
    null: str | None = None,
    type: Type | None = None,
    unit: str = "",
    scale: str = "",
    since: str = "0.1",
    **field: Any,
) -> Any:
    """A column of a table; `null` is given where it may be NULL, `type` where Python's type does not tell it."""
    info = {"null": null, "type": type, "unit": unit, "scale": scale, "since": since}
    default: dict[str, Any] = {} if null is None else {"default": None}
    return Field(description=description, sa_column_kwargs={"info": info}, **default, **field)


def key(description: str, **words: Any) -> Any:
    """A column of the primary key."""
    return column(description, primary_key=True, **words)


def time(description: str, **words: Any) -> Any:
    """An instant."""
    return column(description, type="time", **words)


_NOT_SENT = "the server sent none"
_ALWAYS_SET = "never, it is always set"
_ACCOUNT = "The account's name in the configuration."
_CHANGE_ID = "The number of the transaction that last changed the row; it only grows."


class TableRow(SQLModel):
    """What every table's class has: our own metadata, and the table itself for statements."""

    metadata: ClassVar[MetaData] = MetaData()
    __table__: ClassVar[Table]
    since: ClassVar[str] = "0.1"


class MirroredRow(TableRow):
    """The columns that every mirrored table has at its end."""

    first_seen_at: str = time("When the row was first stored.")
    changed_at: str = time("When any other column of the row last changed.")
    change_id: int = column(_CHANGE_ID)
    gone_at: str | None = time("Since when the server no longer has it (the tombstone).", null="the server has it")
    extra: str | None = column(
        "Fields of the answer that have no column, by their names in the API.", type="json", null="there are none"
    )


class AccountRow(TableRow, table=True):
    """An account: where its rows come from, how it is, and since when."""

    __tablename__ = "accounts"
    account: str = key(_ACCOUNT)
    source: str = column(f"The kind of server: {' or '.join(SOURCES)}.")
    base_url: str | None = column("The server's address.", null=_ALWAYS_SET)
    viewer_user_id: str | None = column(
        "The user whom the token belongs to, and whose inbox this is.", null="not known yet, or a source without users"
    )
    state: str | None = column(
        "How the account is: starting, ok, rate_limited, unreachable, auth_failed, forbidden, protocol_error, paused or"
        " wrong_account.",
        null=_ALWAYS_SET,
    )
    state_since: str | None = time("Since when it is in that state.", null=_ALWAYS_SET)
    first_started_at: str | None = time(
        "When the first pass began, by the server's clock; what is older is history.", null="no answer has come yet"
    )
    complete_since: str | None = time(
        "Since when everything has been here: the end of the first whole pass.", null="the first pass is not whole yet"
    )
    last_success_at: str | None = time("When the last poll succeeded.", null="none has yet")
    last_reconciled_at: str | None = time("When everything was last compared with the server.", null="not yet")
    retry_at: str | None = time("Until when the server is asked nothing.", null="nothing is waited for")
    last_error: str | None = column("What went wrong in the last poll.", null="nothing did")
    removed_at: str | None = time(
        "Since when the account is no longer configured; its rows stay.", null="it is configured"
    )
    change_id: int = column(_CHANGE_ID)


class ConversationRow(MirroredRow, table=True):
    """A conversation as the list of conversations told it."""

    __tablename__ = "conversations"
    account: str = key(_ACCOUNT)
    id: str = key("The conversation's id; of OpenATS job:ID or candidate:ID.")
    type: str | None = column(
        "The server's word for its kind, such as DIRECT_MESSAGE; of OpenATS JOB_CHAT or CANDIDATE_CHAT.", null=_NOT_SENT
    )
    bucket: str | None = column("Where the inbox shows it: proposal or job.", null=_NOT_SENT)
    job_id: str | None = column(
        "The job that it is about; of a proposal's thread the proposal names the job.", null="the server named none"
    )
    proposal_id: str | None = column("The proposal that it is about.", null="it is about none")
    channel_name: str | None = column("The channel's name.", null="it is no channel")
    title: str | None = column(
        "The job's title or the candidate's name.", null="an OpenTrain conversation, which has no title"
    )
    updated_at: str | None = time("When anything last happened in it, by the server.", null=_NOT_SENT)
    last_message_id: str | None = column("Its newest message, by the list of conversations.", null="it has none")
    last_message_at: str | None = time("When that message was created.", null="it has none")
    unread_count: int | None = column(
        "Unread messages, by the server.", unit="messages", null="not counted: OpenATS, or not stored yet"
    )
    needs_reply_count: int | None = column(
        "Messages that need a reply, by the server; a dismissal in the app lowers it.",
        unit="messages",
        null="not counted: OpenATS, or not stored yet",
    )


class MessageRow(MirroredRow, table=True):
    """A message as it is now; what it said before an edit is in `message_revisions`."""

    __tablename__ = "messages"
    account: str = key(_ACCOUNT)
    id: str = key("The message's id; of OpenATS job:ID or candidate:ID.")
    conversation_id: str = column("The conversation that it is part of.")
    job_id: str | None = column("The job that the server names with it.", null=_NOT_SENT)
    sender_user_id: str | None = column("Who wrote it.", null=_NOT_SENT)
    sender_name: str | None = column("The writer's name, where messages carry one.", null=_NOT_SENT)
    is_from_viewer: bool | None = column(
        "Whether the account's own user wrote it.", null="not known: OpenATS has no viewer"
    )
    content: str | None = column("The text.", null="it has none")
    message_type: str | None = column("The server's word for its kind.", null=_NOT_SENT)
    is_system: bool | None = column("Whether the system wrote it, not a person.", null=_NOT_SENT)
    has_unread_flag: bool | None = column(
        "Whether the server flags it as unread; seen again at each reconcile only.", null=_NOT_SENT
    )
    attachment_count: int | None = column(
        "Attachments, which themselves the API does not give.", unit="attachments", null=_NOT_SENT
    )
    has_audio: bool | None = column("Whether it is a voice message.", null=_NOT_SENT)
    reaction_count: int | None = column(
        "Reactions to it; seen again at each reconcile only.", unit="reactions", null=_NOT_SENT
    )
    created_at: str | None = time(
        "When it was written, by the server.", null="it was missing or unreadable; its text is in extra"
    )
    updated_at: str | None = time("When the server last changed it.", null=_NOT_SENT)
    edited_at: str | None = time("When its text was last edited.", null="it was not edited")


class MessageRevisionRow(TableRow, table=True):
    """What a message said before an edit replaced it."""

    __tablename__ = "message_revisions"
    account: str = key(_ACCOUNT)
    message_id: str = key("The message that was edited.")
    revision: int = key("Which text of the message this is, counted from 1.")
    content: str | None = column("The text before the edit.", null="it had none")
    edited_at: str | None = time("When that text itself was written by an edit.", null="it was the first text")
    replaced_at: str | None = time("When the edit that replaced it was found.", null=_ALWAYS_SET)
    change_id: int = column(_CHANGE_ID)


class JobRow(MirroredRow, table=True):
    """A job of the owner."""

    __tablename__ = "jobs"
    account: str = key(_ACCOUNT)
    id: str = key("The job's id.")
    title: str | None = column("Its title.", null=_NOT_SENT)
    status: str | None = column("The server's word for how it stands.", null=_NOT_SENT)
    created_at: str | None = time("When it was created, by the server.", null=_NOT_SENT)
    updated_at: str | None = time("When the server last changed it.", null=_NOT_SENT)


class CandidateRow(MirroredRow, table=True):
    """A person who made a proposal or applied."""

    __tablename__ = "candidates"
    account: str = key(_ACCOUNT)
    id: str = key("The person's id.")
    name: str | None = column(
        "The name as the server shows it, often only the first name and an initial; not unique.",
        null="not known, or erased",
    )
    slug: str | None = column("The profile's name in its address.", null=f"{_NOT_SENT}, or it was erased")
    title: str | None = column("The profile's heading.", null=f"{_NOT_SENT}, or it was erased")
    country_code: str | None = column("The country.", unit="ISO 3166-1 alpha-2", null=f"{_NOT_SENT}, or it was erased")
    erased_at: str | None = time(
        "Since when the person is nameless at the server, and here.", null="the person was not erased"
    )


class ProposalRow(MirroredRow, table=True):
    """A proposal: who offers to do which job for how much."""

    __tablename__ = "proposals"
    account: str = key(_ACCOUNT)
    id: str = key("The proposal's id.")
    job_id: str | None = column("The job that it is for.", null=_NOT_SENT)
    job_title: str | None = column("That job's title as the proposal names it.", null=_NOT_SENT)
    candidate_id: str | None = column("Who made it.", null=_NOT_SENT)
    status: str | None = column("The server's word for how it stands.", null=_NOT_SENT)
    status_label: str | None = column("The same, as the app shows it.", null=_NOT_SENT)
    bid_amount_usd: float | None = column("What the candidate asks for.", unit="US dollars", null=_NOT_SENT)
    bid_unit: str | None = column("What that amount is paid for, such as an hour.", null=_NOT_SENT)
    interview_score: float | None = column(
        "The AI interview's score, as the server gave it.", scale="0 to 10 or 0 to 100", null="no score yet"
    )
    match_score: float | None = column(
        "How well the candidate matches, as the server gave it.", scale="0 to 1 or 0 to 100", null="no score yet"
    )
    transcript_available: bool | None = column(
        "Whether the interview's transcript can be had.", null="not known: it was only listed"
    )
    created_at: str | None = time("When it was made, by the server.", null=_NOT_SENT)
    updated_at: str | None = time("When the server last changed it.", null=_NOT_SENT)


class InterviewRow(MirroredRow, table=True):
    """A proposal's latest interview."""

    __tablename__ = "interviews"
    account: str = key(_ACCOUNT)
    proposal_id: str = key("The proposal whose latest interview this is.")
    interview_id: str | None = column("The interview's id.", null=_NOT_SENT)
    score: float | None = column("Its score, as the server gave it.", scale="0 to 10 or 0 to 100", null="no score yet")
    summary: str | None = column(
        "What the server says of it in a few sentences.", null="there is none, or it was erased"
    )


class InterviewMessageRow(MirroredRow, table=True):
    """A line of an interview's transcript."""

    __tablename__ = "interview_messages"
    account: str = key(_ACCOUNT)
    proposal_id: str = key("The proposal whose interview it is part of.")
    id: str = key("The line's id; #N where the server gave none.")
    seq: int | None = column("Its place in the transcript, from 0.", null=_ALWAYS_SET)
    role: str | None = column("Who speaks: interviewer or candidate.", null=_NOT_SENT)
    content: str | None = column("What is said.", null="nothing, or it was erased")
    sent_at: str | None = time("When, by the server.", null=_NOT_SENT)


class FailureRow(TableRow, table=True):
    """Something that could not be fetched, why, and when it is tried again."""

    __tablename__ = "failures"
    account: str = key(_ACCOUNT)
    kind: str = key("What can't be fetched, such as conversation, proposal or interview.")
    subject_id: str = key("The id of it.")
    reason: str | None = column("Why, in a few words without content.", null=_ALWAYS_SET)
    request_id: str | None = column("The server's own id of the answer, for its support.", null="the answer had none")
    tries: int | None = column("How often it was tried.", unit="tries", null=_ALWAYS_SET)
    first_failed_at: str | None = time("When it first failed.", null=_ALWAYS_SET)
    next_try_at: str | None = time("When it is tried again.", null=_ALWAYS_SET)
    change_id: int = column(_CHANGE_ID)


class EventRow(TableRow, table=True):
    """A line of the change feed."""

    __tablename__ = "events"
    id: int | None = key("The event's number; it only grows and names one event for ever.", default=None)
    account: str = column(_ACCOUNT)
    kind: str = column("What happened, such as message.new.")
    conversation_id: str | None = column("The conversation that it is about.", null="it is about none")
    message_id: str | None = column("The message that it is about.", null="it is about none")
    proposal_id: str | None = column("The proposal that it is about.", null="it is about none")
    baseline: bool = column(
        "Whether the message that it is about is history, from before the first pass.", default=False
    )
    occurred_at: str | None = time(
        "When it happened, by the server where that says so, else when it was seen.", null=_ALWAYS_SET
    )
    recorded_at: str | None = time("When it was recorded.", null=_ALWAYS_SET)
    logged_at: str | None = time("When it was logged.", null="not yet; always in a published copy")
    data: str | None = column("What else there is to say, by kind.", type="json", null="nothing")
    change_id: int = column(_CHANGE_ID)


class OutboxRow(TableRow, table=True):
    """A message that syncd was asked to send."""

    __tablename__ = "outbox"
    id: int | None = key("The message's number in the outbox.", default=None)
    account: str = column(_ACCOUNT)
    conversation_id: str = column("The conversation that it goes to.")
    content: str | None = column("The text.", null="it was sent: the text is in messages")
    state: str = column("queued, sending, sent, unconfirmed, failed, expired or cancelled.")
    created_at: str | None = time("When it was queued.", null=_ALWAYS_SET)
    expires_at: str | None = time("When it is given up if it could not leave.", null=_ALWAYS_SET)
    attempted_at: str | None = time("When it was last tried.", null="it was not")
    message_id: str | None = column("The message that it became.", null="it was not sent, or not found yet")
    error: str | None = column("Why it was not sent, and what to do.", null="nothing is wrong")
    change_id: int = column(_CHANGE_ID)


class SyncRunRow(TableRow, table=True):
    """A first pass, a reconcile or a manual sync; 90 days are kept."""

    __tablename__ = "sync_runs"
    id: int | None = key("The run's number.", default=None)
    account: str = column(_ACCOUNT)
    kind: str = column("first_pass, reconcile or sync.")
    started_at: str | None = time("When it began.", null=_ALWAYS_SET)
    finished_at: str | None = time("When it ended.", null="it is under way, or a crash ended it")
    requests: int | None = column("Requests that it made.", unit="requests", null="it is under way")
    rows_written: int | None = column("Rows that it wrote.", unit="rows", null="it is under way")
    error: str | None = column("What ended it early.", null="nothing did")
    change_id: int = column(_CHANGE_ID)


# The views: a column that only passes a table's one on names it, what is computed is described here.


_JOB_TITLE = Column(
    name="job_title",
    type="text",
    description="The title of the job, else as the proposal has it.",
    null="it belongs to no job, or the job is not known yet",
)
_JOB_ID = Column(
    name="job_id",
    type="text",
    description="The job, found through the proposal where there is one.",
    null="it belongs to no job, or its proposal is not known yet",
)
_INBOX: tuple[str | Column, ...] = (
    "conversations.account",
    "accounts.source",
    "conversations.id AS conversation_id",
    "conversations.type",
    "conversations.bucket",
    "conversations.title",
    _JOB_ID,
    _JOB_TITLE,
    "conversations.proposal_id",
    Column(
        name="candidate_id",
        type="text",
        description="Whom it is about: the proposal's candidate, on OpenATS the chat's.",
        null="it is about nobody, or the proposal is not known yet",
    ),
    Column(
        name="candidate_name", type="text", description="That candidate's name.", null="not known, or no longer there"
    ),
    "conversations.unread_count",
    "conversations.needs_reply_count",
    "conversations.last_message_id",
    Column(
        name="last_message_at",
        type="time",
        description="When the newest message was written.",
        null="there is none, or it is not held yet",
    ),
    Column(
        name="last_sender",
        type="text",
        description="Who wrote it: `me`, `system`, the candidate's name, else the sender's name or id.",
        null="there is none, it is not held yet, or nobody is named",
    ),
    Column(
        name="last_message", type="text", description="Its text.", null="there is none, or the message is not held yet"
    ),
    Column(
        name="waiting_seconds",
        type="real",
        description="For how long the first message after our last one has been unanswered.",
        unit="seconds",
        null="nobody waits, or the conversation is a channel or has no two sides",
    ),
    "conversations.gone_at",
)
_VIEWS: tuple[tuple[str, str, tuple[str, ...], tuple[str | Column, ...]], ...] = (
    (
        "inbox",
        "The conversations, each with its candidate, its job and its newest message.",
        ("conversation_id",),
        _INBOX,
    ),
    (
        "unread",
        "The conversations of `inbox` that have unread messages and are not gone.",
        ("conversation_id",),
        _INBOX,
    ),
    (
        "needs_reply",
        "The conversations of `inbox` that the server counts as needing a reply and that are not gone.",
        ("conversation_id",),
        _INBOX,
    ),
    (
        "thread",
        "The messages as people read them.",
        ("message_id",),
        (
            "messages.account",
            "messages.conversation_id",
            "messages.id AS message_id",
            "messages.created_at AS sent_at",
            Column(
                name="sender",
                type="text",
                description="Who wrote it: `me`, `system`, the candidate's name, else the sender's name or id.",
                null="nobody is named",
            ),
            Column(
                name="direction",
                type="text",
                description="in, out (ours), system, or internal where the source has no two sides (OpenATS).",
            ),
            "messages.content",
            "messages.edited_at",
            "messages.gone_at",
        ),
    ),
    (
        "response_times",
        "The turns: each begins with the first message after ours and ends with our next one.",
        ("asked_message_id",),
        (
            "conversations.account",
            "conversations.id AS conversation_id",
            "conversations.bucket",
            _JOB_ID,
            "conversations.proposal_id",
            "messages.id AS asked_message_id",
            Column(name="asked_at", type="time", description="When the turn began."),
            Column(
                name="answered_message_id",
                type="text",
                description="Our message that ended it.",
                null="it is not answered",
            ),
            Column(name="answered_at", type="time", description="When it ended.", null="it is not answered"),
            Column(
                name="seconds",
                type="real",
                description="How long the answer took, in calendar time.",
                unit="seconds",
                null="it is not answered",
            ),
        ),
    ),
    (
        "daily_activity",
        "What was written on each day.",
        ("day",),
        (
            "messages.account",
            Column(name="day", type="date", description="The day, of UTC."),
            Column(
                name="inbound",
                type="integer",
                description="How many messages came in; on OpenATS always 0.",
                unit="messages",
            ),
            Column(
                name="outbound",
                type="integer",
                description="How many messages were ours; on OpenATS always 0.",
                unit="messages",
            ),
            Column(
                name="system_messages",
                type="integer",
                description="How many the server wrote by itself.",
                unit="messages",
            ),
            Column(
                name="active_conversations",
                type="integer",
                description="In how many conversations anything was written.",
                unit="conversations",
            ),
        ),
    ),
    (
        "interview_results",
        "The interviews that are not gone, each with its job and candidate.",
        ("proposal_id",),
        (
            "interviews.account",
            "interviews.proposal_id",
            "interviews.interview_id",
            Column(name="job_id", type="text", description="The proposal's job.", null="not known"),
            _JOB_TITLE,
            Column(name="candidate_id", type="text", description="Who was interviewed.", null="not known"),
            Column(name="candidate_name", type="text", description="That candidate's name.", null="not known"),
            "interviews.score",
            "interviews.summary",
            Column(
                name="question_count",
                type="integer",
                description="How many lines of the transcript are the interviewer's.",
                unit="lines",
            ),
            Column(
                name="last_message_at",
                type="time",
                description="When the last line was said.",
                null="there is no line with a time",
            ),
        ),
    ),
    (
        "freshness",
        "How up to date each configured account is.",
        (),
        (
            "accounts.account",
            "accounts.source",
            "accounts.state",
            "accounts.complete_since",
            "accounts.last_success_at",
            Column(
                name="age_seconds",
                type="real",
                description="How long ago a poll last succeeded.",
                unit="seconds",
                null="none ever did, or the last one lies in the future, as the clock was set back since",
            ),
            "accounts.last_reconciled_at",
            "accounts.retry_at",
            Column(
                name="failures",
                type="integer",
                description="How many things could not be fetched, as `failures` lists them.",
                unit="rows",
            ),
        ),
    ),
)

DELETIONS = Relation(
    name="deletions",
    kind="deletions",
    description="The rows that were deleted, in an export of what changed.",
    columns=(
        Column(name="table_name", type="text", description="The table that had the row."),
        Column(name="key", type="text", description="The row's primary key, as a JSON array."),
        Column(name="change_id", type="integer", description="The number of the transaction that deleted it."),
    ),
)

_TYPES: dict[type, Type] = {str: "text", int: "integer", float: "real", bool: "boolean"}


@cache
def describe_catalogue() -> Catalogue:
    """Every public table and view with its columns, tables in the order of their classes."""
    classes = {cls.__tablename__: cls for cls in (*TableRow.__subclasses__(), *MirroredRow.__subclasses__())}
    tables = tuple(_describe_table(classes[name]) for name in TableRow.metadata.tables)
    columns = {f"{table.name}.{column.name}": column for table in tables for column in table.columns}
    views = tuple(
        Relation(
            name=name,
            kind="view",
            description=description,
            key=("account", *key),
            columns=tuple(_refer(columns, one) if isinstance(one, str) else one for one in listed),
        )
        for name, description, key, listed in _VIEWS
    )
    return Catalogue(version=SCHEMA_VERSION, tables=tables, views=views)


def _describe_table(cls: type[TableRow]) -> Relation:
    shared = list(MirroredRow.model_fields) if issubclass(cls, MirroredRow) else []
    own = [name for name in cls.model_fields if name not in shared]
    return Relation(
        name=str(cls.__tablename__),
        kind="table",
        description=cls.__doc__ or "",
        columns=tuple(_describe_column(cls, name) for name in (*own, *shared)),
        key=tuple(str(column.name) for column in cls.__table__.primary_key.columns),
        since=cls.since,
    )


def _describe_column(cls: type[TableRow], name: str) -> Column:
    field = cls.model_fields[name]
    words = dict(cls.__table__.columns[name].info)
    python_type = next(one for one in (*get_args(field.annotation), field.annotation) if one in _TYPES)
    kind = words.pop("type") or _TYPES[python_type]
    return Column(name=name, type=kind, description=field.description or "", **words)


def _refer(columns: dict[str, Column], reference: str) -> Column:
    """The column that a view passes on, under the name that it has there."""
    source, _, name = reference.partition(" AS ")
    return replace(columns[source], name=name or columns[source].name)
