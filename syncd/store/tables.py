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


_NOT_SENT = "the server did not send it"
_NO_TIME = "the server sent none, or one that can't be read (then its text is in `extra`)"
_ACCOUNT = "The account's name in the configuration."


class TableRow(SQLModel):
    """What every table's class has: our own metadata, and the table itself for statements."""

    metadata: ClassVar[MetaData] = MetaData()
    __table__: ClassVar[Table]
    since: ClassVar[str] = "0.1"


class MirroredRow(TableRow):
    """The columns that every mirrored table has at its end."""

    first_seen_at: str = time("When syncd first stored the row, by its own clock.")
    changed_at: str = time("When any column of the row last changed here, by syncd's own clock.")
    change_id: int = column("The number of the transaction that last changed the row; it only grows.")
    gone_at: str | None = time("Since when it is no longer on the server.", null="it is still there")
    extra: str | None = column(
        "The fields of the server that have no column, as a JSON object.", type="json", null="there are none"
    )


class AccountRow(TableRow, table=True):
    """An account: where its rows come from, how it is, and since when."""

    __tablename__ = "accounts"
    account: str = key(_ACCOUNT)
    source: str = column("The kind of server: opentrain or openats.")
    base_url: str | None = column("The address of the server.", null="it was never polled")
    viewer_user_id: str | None = column(
        "The user whose token it is: what this user wrote is ours.", null="not known yet, or the source has no users"
    )
    state: str | None = column(
        "How the last poll ended: starting, ok, rate_limited, unreachable, auth_failed, forbidden, protocol_error, "
        "paused or wrong_account.",
        null="it was never polled",
    )
    state_since: str | None = time("Since when the state is what it is.", null="it was never polled")
    first_started_at: str | None = time(
        "When the first pass began, by the server's clock; what is older than that is history.",
        null="no first pass has begun",
    )
    complete_since: str | None = time("When the first pass was whole.", null="it is not whole yet")
    last_success_at: str | None = time("When a poll last succeeded.", null="none ever did")
    last_reconciled_at: str | None = time("When everything was last compared to its end.", null="that was never done")
    retry_at: str | None = time("Until when the server wants to be left alone.", null="it does not")
    last_error: str | None = column("Why the last poll failed, in one line.", null="it did not fail")
    removed_at: str | None = time("Since when the account is no longer configured.", null="it is configured")
    change_id: int = column("The number of the transaction that last changed the row; it only grows.")


class ConversationRow(MirroredRow, table=True):
    """A conversation as the list of conversations told it."""

    __tablename__ = "conversations"
    account: str = key(_ACCOUNT)
    id: str = key("The server's id; on OpenATS `job:5` or `candidate:42`.")
    type: str | None = column("What kind it is, such as DIRECT_MESSAGE, JOB_CHAT or CANDIDATE_CHAT.", null=_NOT_SENT)
    bucket: str | None = column("Whether it is about a proposal or a job.", null=_NOT_SENT)
    job_id: str | None = column(
        "The job it is about.", null="it belongs to no job, or to a proposal, whose job is in `proposals`"
    )
    proposal_id: str | None = column("The proposal it is about.", null="it is about none")
    channel_name: str | None = column("The name of the channel.", null="it is no channel")
    title: str | None = column("On OpenATS the job's title or the candidate's name.", null="on OpenTrain always")
    updated_at: str | None = time("When the server last changed it.", null=_NO_TIME)
    last_message_id: str | None = column(
        "The newest message, as the list names it.", null="there is no message in it, or the list does not name one"
    )
    last_message_at: str | None = time(
        "When that message was written, as the list says.", null="there is no message, or its time can't be read"
    )
    unread_count: int | None = column(
        "How many messages the viewer has not read.", unit="messages", null="not sent; on OpenATS always"
    )
    needs_reply_count: int | None = column(
        "How many messages the server counts as waiting for a reply.",
        unit="messages",
        null="not sent; on OpenATS always",
    )


class MessageRow(MirroredRow, table=True):
    """A message as it is now; what it said before an edit is in `message_revisions`."""

    __tablename__ = "messages"
    account: str = key(_ACCOUNT)
    id: str = key("The server's id; on OpenATS `job:45` or `candidate:128`.")
    conversation_id: str = column("The conversation it stands in.")
    job_id: str | None = column("The job it is about.", null=_NOT_SENT)
    sender_user_id: str | None = column("The user who wrote it.", null="not sent, or a system message")
    sender_name: str | None = column("The name of who wrote it.", null=_NOT_SENT)
    is_from_viewer: bool | None = column(
        "Whether the user whose token it is wrote it.", null="not sent; on OpenATS always, as it has no viewer"
    )
    content: str | None = column("The text.", null="not sent, or its author was erased")
    message_type: str | None = column("The server's word for what kind of message it is.", null=_NOT_SENT)
    is_system: bool | None = column("Whether the server wrote it by itself.", null=_NOT_SENT)
    has_unread_flag: bool | None = column("Whether somebody has marked it as unread.", null=_NOT_SENT)
    attachment_count: int | None = column(
        "How many files are attached; the files are not mirrored.", unit="files", null=_NOT_SENT
    )
    has_audio: bool | None = column("Whether it is a voice message.", null=_NOT_SENT)
    reaction_count: int | None = column("How many reactions it has.", unit="reactions", null=_NOT_SENT)
    created_at: str | None = time("When it was written, by the server's clock.", null=_NO_TIME)
    updated_at: str | None = time("When the server last changed it.", null=_NO_TIME)
    edited_at: str | None = time("When its author last edited it.", null="it was never edited")


class MessageRevisionRow(TableRow, table=True):
    """What a message said before an edit replaced it."""

    __tablename__ = "message_revisions"
    account: str = key(_ACCOUNT)
    message_id: str = key("The message that was edited.")
    revision: int = key("Counts the texts of the message that were replaced, from 1.")
    content: str | None = column("The text that was replaced.", null="there was none, or its author was erased")
    edited_at: str | None = time("When that text had been written by an edit.", null="it was the first text")
    replaced_at: str | None = time("When syncd saw the next text.", null="not known")
    change_id: int = column("The number of the transaction that last changed the row; it only grows.")


class JobRow(MirroredRow, table=True):
    """A job of the owner."""

    __tablename__ = "jobs"
    account: str = key(_ACCOUNT)
    id: str = key("The server's id.")
    title: str | None = column("The job's title.", null=_NOT_SENT)
    status: str | None = column("The server's word for how it stands.", null=_NOT_SENT)
    created_at: str | None = time("When it was created.", null=_NO_TIME)
    updated_at: str | None = time("When the server last changed it.", null=_NO_TIME)


class CandidateRow(MirroredRow, table=True):
    """A person who made a proposal or applied."""

    __tablename__ = "candidates"
    account: str = key(_ACCOUNT)
    id: str = key("The server's id.")
    name: str | None = column(
        "The name that the server shows, which may be shortened and is not unique.", null="not sent, or erased"
    )
    slug: str | None = column("The part of the profile's address that names the person.", null="not sent, or erased")
    title: str | None = column("What the person calls their profession.", null="not sent, or erased")
    country_code: str | None = column("The country, as two letters of ISO 3166.", null="not sent, or erased")
    erased_at: str | None = time("Since when the server no longer names the person.", null="it names the person")


class ProposalRow(MirroredRow, table=True):
    """A proposal: who offers to do which job for how much."""

    __tablename__ = "proposals"
    account: str = key(_ACCOUNT)
    id: str = key("The server's id.")
    job_id: str | None = column("The job it is for.", null=_NOT_SENT)
    job_title: str | None = column("The job's title, as the proposal has it.", null=_NOT_SENT)
    candidate_id: str | None = column("Who made it.", null=_NOT_SENT)
    status: str | None = column("The server's own word for how it stands.", null=_NOT_SENT)
    status_label: str | None = column("How the server words that for people.", null=_NOT_SENT)
    bid_amount_usd: float | None = column("What is asked for.", unit="US dollars per `bid_unit`", null=_NOT_SENT)
    bid_unit: str | None = column("What the bid pays for, such as an hour.", null=_NOT_SENT)
    interview_score: float | None = column(
        "The score of the AI interview, as it came.", scale="0 to 10, on some servers 0 to 100", null="there is none"
    )
    match_score: float | None = column(
        "How well the candidate fits the job, as it came.", scale="0 to 100, on some servers 0 to 1", null=_NOT_SENT
    )
    transcript_available: bool | None = column(
        "Whether the interview can be read.", null="not sent, or only seen in a job's list"
    )
    created_at: str | None = time("When it was made.", null=_NO_TIME)
    updated_at: str | None = time("When the server last changed it.", null=_NO_TIME)


class InterviewRow(MirroredRow, table=True):
    """A proposal's latest interview."""

    __tablename__ = "interviews"
    account: str = key(_ACCOUNT)
    proposal_id: str = key("The proposal that it belongs to.")
    interview_id: str | None = column("The server's id.", null=_NOT_SENT)
    score: float | None = column(
        "The score, as it came.", scale="0 to 10, on some servers 0 to 100", null="there is none"
    )
    summary: str | None = column("What the server makes of it, as text.", null="not sent, or erased")


class InterviewMessageRow(MirroredRow, table=True):
    """A line of an interview's transcript."""

    __tablename__ = "interview_messages"
    account: str = key(_ACCOUNT)
    proposal_id: str = key("The proposal whose interview it is.")
    id: str = key("The server's id.")
    seq: int | None = column("Its place in the transcript, from 0.", null="not known")
    role: str | None = column("Who speaks: interviewer or candidate.", null=_NOT_SENT)
    content: str | None = column("What was said.", null="not sent, or erased")
    sent_at: str | None = time("When it was said.", null=_NO_TIME)


class FailureRow(TableRow, table=True):
    """Something that could not be fetched, why, and when it is tried again."""

    __tablename__ = "failures"
    account: str = key(_ACCOUNT)
    kind: str = key("What was to be fetched, such as conversation, message or interview.")
    subject_id: str = key("The id of what could not be fetched.")
    reason: str | None = column("Why not, in one word or line.", null="not known")
    request_id: str | None = column("The server's id of the last request, for its support.", null="it named none")
    tries: int | None = column("How often it was tried since it first failed.", unit="tries", null="not known")
    first_failed_at: str | None = time("When it first failed.", null="not known")
    next_try_at: str | None = time("When it is tried again.", null="with the next full comparison")
    change_id: int = column("The number of the transaction that last changed the row; it only grows.")


class EventRow(TableRow, table=True):
    """A line of the change feed."""

    __tablename__ = "events"
    id: int | None = key("Counts the events of the database; a number is never given twice.", default=None)
    account: str = column(_ACCOUNT)
    kind: str = column("What happened, such as message.new.")
    conversation_id: str | None = column("The conversation that it is about.", null="it is about none")
    message_id: str | None = column("The message that it is about.", null="it is about none")
    proposal_id: str | None = column("The proposal that it is about.", null="it is about none")
    baseline: bool = column("Whether it tells of history: of a message from before syncd began.", default=False)
    occurred_at: str | None = time("When it happened, by the server's clock where it says so.", null="not known")
    recorded_at: str | None = time("When syncd wrote it down.", null="not known")
    logged_at: str | None = time(
        "When the log of the mirror's own machine had it.", null="not yet; in a published copy always"
    )
    data: str | None = column("What else there is to say, as a JSON object.", type="json", null="nothing")
    change_id: int = column("The number of the transaction that wrote the row.")


class OutboxRow(TableRow, table=True):
    """A message that syncd was asked to send."""

    __tablename__ = "outbox"
    id: int | None = key("Counts the messages that were to be sent.", default=None)
    account: str = column(_ACCOUNT)
    conversation_id: str = column("Where it is to go.")
    content: str | None = column("The text.", null="it was sent; the text is in `messages`")
    state: str = column("queued, sending, sent, unconfirmed, failed, expired or cancelled.")
    created_at: str | None = time("When syncd was asked to send it.", null="not known")
    expires_at: str | None = time("Until when it may leave.", null="not known")
    attempted_at: str | None = time("When it was last tried.", null="it never was")
    message_id: str | None = column("The server's id of the message.", null="it is not sent")
    error: str | None = column("Why it was not sent.", null="nothing went wrong")
    change_id: int = column("The number of the transaction that last changed the row; it only grows.")


class SyncRunRow(TableRow, table=True):
    """A first pass, a reconcile or a manual sync; 90 days are kept."""

    __tablename__ = "sync_runs"
    id: int | None = key("Counts the runs.", default=None)
    account: str = column(_ACCOUNT)
    kind: str = column("What kind of run: first_pass, reconcile or sync (by hand).")
    started_at: str | None = time("When it began.", null="not known")
    finished_at: str | None = time("When it ended.", null="it still runs, or was broken off")
    requests: int | None = column("How many requests it sent.", unit="requests", null="it has not ended")
    rows_written: int | None = column("How many rows it wrote.", unit="rows", null="it has not ended")
    error: str | None = column("What ended it before its time.", null="nothing did")
    change_id: int = column("The number of the transaction that last changed the row; it only grows.")


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
