"""The nouns, defined once: what is mirrored, what an answer brings, and what is sent."""

import re
import unicodedata
from typing import ClassVar, Literal

from msgspec import Struct

from syncd.errors import UsageError

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


# What one answer of a server brings, in the model's nouns.


class Unreadable(Struct, frozen=True, kw_only=True):
    """An entry of a list that can't be kept as it came; `subject_id` stands for it in `failures`, `reason` says why.

    That is its own `id` where it has a usable one, else the list and a digest of what came.
    """

    kind: str
    subject_id: str
    reason: str
    id: str | None = None


NOWHERE = "\0"
"""Stands for a cursor that can't be read: something follows, and no way leads to it."""


class EntryPage(Struct, frozen=True, kw_only=True):
    """One page of the list; it proves nothing about what is not on it. `next_cursor` None: the list's end."""

    entries: tuple[Conversation, ...]
    next_cursor: str | None
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()


class Page(Struct, frozen=True, kw_only=True):
    """Messages of one conversation in no promised order.

    `limit` is how many were asked for, `count` how many entries came, whatever they were. `next_cursor` None: the end
    in that direction.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    next_cursor: str | None
    limit: int
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()
    count: int = 0

    @property
    def is_short(self) -> bool:
        """Whether fewer entries came than were asked for."""
        return max(self.count, len(self.messages)) < self.limit

    @property
    def ids(self) -> frozenset[str]:
        """What was met here, the entries that can't be read included."""
        return frozenset([message.id for message in self.messages] + [one.subject_id for one in self.unreadable])


class ProposalWithCandidate(Struct, frozen=True, kw_only=True):
    """A proposal and its candidate.

    `partial` ones come from a list and lack `transcript_available` and some of `extra`.
    """

    proposal: Proposal
    candidate: Candidate | None
    partial: bool
    server_time: Instant


class ProposalPage(Struct, frozen=True, kw_only=True):
    """One page of a job's proposals."""

    proposals: tuple[ProposalWithCandidate, ...]
    next_cursor: str | None
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()


class Transcript(Struct, frozen=True, kw_only=True):
    """An interview with its messages, oldest first."""

    interview: Interview
    messages: tuple[InterviewMessage, ...]
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()


class JobPage(Struct, frozen=True, kw_only=True):
    """One page of the owner's jobs."""

    jobs: tuple[Job, ...]
    next_cursor: str | None
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()


class Change(Struct, frozen=True, kw_only=True):
    """One line of the server's own feed: ids, never content; each None where the line has none."""

    id: str
    type: str
    created_at: Instant | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    proposal_id: str | None = None


class ChangePage(Struct, frozen=True, kw_only=True):
    """A page of the server's feed; at its end `next_cursor` echoes what was sent."""

    changes: tuple[Change, ...]
    next_cursor: str | None
    server_time: Instant


class Identity(Struct, frozen=True, kw_only=True):
    """Whose token it is and what it may; `scopes` is None where the server does not say."""

    user_id: str | None
    scopes: frozenset[str] | None
    server_time: Instant


# Messages on their way out: the noun, which texts may go, and when two are the same.


MOST_UNITS = 10_000
"""How long a message may be, as the server counts: in UTF-16 units."""

_NO_LETTERS = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufeff]")


class OpenedConversation(Struct, frozen=True, kw_only=True):
    """A proposal's conversation, as the server answers who opens it; `created`: there was none before."""

    id: str
    job_id: str | None = None
    created: bool | None = None


EVENT_KINDS = frozenset(
    {
        *(f"conversation.{what}" for what in ("unread", "needs_reply", "read", "answered", "overdue", "at_risk")),
        *(f"conversation.{what}" for what in ("new", "gone", "returned")),
        *(f"message.{what}" for what in ("new", "edited", "deleted", "restored")),
        *("proposal.new", "proposal.status_changed"),
        *(f"interview.{what}" for what in ("recorded", "updated", "gone")),
        *(f"account.{what}" for what in ("degraded", "recovered", "notice")),
        "feed.gap",
    }
)
"""Every kind that a line of the feed can have, by the contract."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """A row of `outbox`.

    `state` is queued, sending, sent, unconfirmed, failed, expired or cancelled. `since`: the first attempt that may
    have arrived and was not settled. `missed_at`: when the message was first looked for and not found. `key`: what its
    sender calls it, so that asking twice is asking once. `leaves_at`: when a message for later leaves.
    """

    id: int
    conversation_id: str
    state: str
    content: str | None = None
    created_at: Instant | None = None
    expires_at: Instant | None = None
    attempted_at: Instant | None = None
    message_id: str | None = None
    error: str | None = None
    since: Instant | None = None
    missed_at: Instant | None = None
    key: str | None = None
    leaves_at: Instant | None = None


def normal(text: str | None) -> str:
    """What stays of a text when a server trims it, composes its letters, or writes its line ends in another way."""
    composed = unicodedata.normalize("NFC", text or "")
    return " ".join(_NO_LETTERS.sub(" ", composed).split())


def check_text(text: str) -> None:
    """Raise UsageError for a text that the server would refuse: its length counts in UTF-16 units."""
    try:
        units = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise UsageError("the text is no valid Unicode; write it in UTF-8") from None
    if not normal(text):
        raise UsageError("there is no text to send; give it as an argument or on standard input")
    if units > MOST_UNITS:
        raise UsageError(
            f"the text has {units:,} characters as the server counts them, and {MOST_UNITS:,} are the most; "
            "send it in parts"
        )


# A source that answers with a whole chat at once: no cursor, no page, and absence means what it says.
#
# *chat*: a conversation of such a source. *subject*: the job or the candidate that a chat is about. *snapshot*:
# all that a chat holds, as one answer brought it. *round*: one poll over the chats that are due.


SubjectKind = Literal["job", "candidate"]

CHAT_TYPES: dict[SubjectKind, str] = {"job": "JOB_CHAT", "candidate": "CANDIDATE_CHAT"}
"""What `conversations.type` says of each."""


def chat_id(kind: SubjectKind, id: str) -> str:
    """The conversation's id, and the form of its messages' ids: `job:5`."""
    return f"{kind}:{id}"


def parse_chat_id(conversation_id: str) -> tuple[SubjectKind, str]:
    """The kind and the id of the subject that a chat is about."""
    kind, _, id_ = conversation_id.partition(":")
    return ("candidate" if kind == "candidate" else "job"), id_


class Subject(Struct, frozen=True, kw_only=True):
    """What a chat is about; `job_id` is the job itself, or the one that the candidate applied for."""

    kind: SubjectKind
    row: Job | Candidate
    job_id: str | None

    @property
    def conversation_id(self) -> str:
        """The id of its chat."""
        return chat_id(self.kind, self.row.id)

    @property
    def conversation(self) -> Conversation:
        """Its chat, as far as the subject tells."""
        title = self.row.title if isinstance(self.row, Job) else self.row.name
        return Conversation(id=self.conversation_id, type=CHAT_TYPES[self.kind], job_id=self.job_id, title=title)


class SubjectList(Struct, frozen=True, kw_only=True):
    """Every subject that one list names; `etag` names this very answer. `is_whole`: it does not speak of more pages."""

    subjects: tuple[Subject, ...]
    server_time: Instant
    etag: str | None = None
    is_whole: bool = True
    unreadable: tuple[Unreadable, ...] = ()


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything that a chat holds, in no promised order; `etag` names this very answer.

    `is_whole`: it does not speak of more pages, so that what is not in it is not there.
    """

    messages: tuple[Message, ...]
    etag: str | None
    server_time: Instant
    is_whole: bool = True
    unreadable: tuple[Unreadable, ...] = ()


class NotModified(Struct, frozen=True, kw_only=True):
    """The chat still is what its stored ETag names."""

    server_time: Instant


class Chat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of one chat between two looks at it.

    `history_before`: what was created earlier, and came with the first snapshot, is history. `whole_since`: when that
    came, by our clock. `first_pass`: the first pass found the chat. `interval`: seconds between its last two looks.
    `next_poll_at` None: it is looked at in the next round. `looked_at`: when it last came whole. `doubted_until`: a
    loss is held back until a look after that agrees. `checked_at`: when its subject was last asked for by itself.
    """

    history_before: Instant
    whole_since: Instant | None = None
    first_pass: bool = False
    etag: str | None = None
    interval: float = 0.0
    next_poll_at: Instant | None = None
    looked_at: Instant | None = None
    doubted_until: Instant | None = None
    checked_at: Instant | None = None


class Wanted(Struct, frozen=True, kw_only=True):
    """Which chats are mirrored, by the ids of their subjects; None: all that there are."""

    jobs: frozenset[str] | None = None
    candidates: frozenset[str] | None = None

    def includes(self, conversation_id: str) -> bool:
        """Whether a chat is to be mirrored."""
        kind, id_ = parse_chat_id(conversation_id)
        ids = self.jobs if kind == "job" else self.candidates
        return ids is None or id_ in ids

    @property
    def named(self) -> frozenset[str]:
        """The chats that are asked for by name, whether they exist or not."""
        jobs = (chat_id("job", id_) for id_ in self.jobs or ())
        return frozenset((*jobs, *(chat_id("candidate", id_) for id_ in self.candidates or ())))


class Due(Struct, frozen=True, kw_only=True):
    """A chat whose turn has come; `etag` None asks for all of it. `ask_subject`: first, whether it exists at all."""

    conversation_id: str
    etag: str | None = None
    ask_subject: bool = False


class Doubtful(Struct, frozen=True):
    """A chat that held messages came empty: its subject has to say what that means."""


class Pace(Struct, frozen=True, kw_only=True):
    """How often a chat is looked at, in seconds: while it talks, and when nothing has happened for long."""

    poll_seconds: float
    idle_seconds: float
