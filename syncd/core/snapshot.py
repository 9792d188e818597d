"""A source that answers with a whole chat at once: no cursor, no page, and absence means what it says.

*chat*: a conversation of such a source. *subject*: the job or the candidate that a chat is about. *snapshot*: all that
a chat holds, as one answer brought it. *round*: one poll over the chats that are due.
"""

from typing import Literal

from msgspec import Struct

from syncd.core.model import Candidate, Conversation, Instant, Job, Message

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


class Roster(Struct, frozen=True, kw_only=True):
    """Every subject that one list names."""

    subjects: tuple[Subject, ...]
    server_time: Instant


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything that a chat holds, in no promised order; `etag` names this very answer."""

    messages: tuple[Message, ...]
    etag: str | None
    server_time: Instant


class NotModified(Struct, frozen=True, kw_only=True):
    """The chat still is what its stored ETag names."""

    server_time: Instant


class Chat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of one chat between two looks at it.

    `history_before`: what was created earlier, and came with the first snapshot, is history. `whole_since`: when that
    came, by our clock. `first_pass`: the first pass found the chat. `interval`: seconds between its last two looks.
    `next_poll_at` None: it is looked at in the next round. `looked_at`: when it last came whole. `doubted_until`: a
    loss is held back until a look after that agrees.
    """

    history_before: Instant
    whole_since: Instant | None = None
    first_pass: bool = False
    etag: str | None = None
    interval: float = 0.0
    next_poll_at: Instant | None = None
    looked_at: Instant | None = None
    doubted_until: Instant | None = None


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
