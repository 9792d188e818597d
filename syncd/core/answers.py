"""What one answer of a server brings, in the model's nouns."""

from msgspec import Struct

from syncd.core.model import Candidate, Conversation, Instant, Interview, InterviewMessage, Job, Message, Proposal


class EntryPage(Struct, frozen=True, kw_only=True):
    """One page of the list; it proves nothing about what is not on it. `next_cursor` None: the list's end."""

    entries: tuple[Conversation, ...]
    next_cursor: str | None
    server_time: Instant


class Page(Struct, frozen=True, kw_only=True):
    """Messages of one conversation in no promised order.

    `limit` is how many were asked for. `next_cursor` None: the end in that direction.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    next_cursor: str | None
    limit: int
    server_time: Instant


class Dossier(Struct, frozen=True, kw_only=True):
    """A proposal and its candidate.

    `partial` ones come from a list and lack `transcript_available` and some of `extra`.
    """

    proposal: Proposal
    candidate: Candidate | None
    partial: bool
    server_time: Instant


class DossierPage(Struct, frozen=True, kw_only=True):
    """One page of a job's proposals."""

    dossiers: tuple[Dossier, ...]
    next_cursor: str | None
    server_time: Instant


class Transcript(Struct, frozen=True, kw_only=True):
    """An interview with its messages, oldest first."""

    interview: Interview
    messages: tuple[InterviewMessage, ...]
    server_time: Instant


class JobPage(Struct, frozen=True, kw_only=True):
    """One page of the owner's jobs."""

    jobs: tuple[Job, ...]
    next_cursor: str | None
    server_time: Instant


class Change(Struct, frozen=True, kw_only=True):
    """One line of the server's own feed: ids, never content; each None where the line has none."""

    id: str
    type: str
    created_at: Instant | None = None
    conversation_id: str | None = None
    message_id: str | None = None
    proposal_id: str | None = None


class ChangePage(Struct, frozen=True, kw_only=True):
    """A page of the server's feed; at its end `has_more` is False and `next_cursor` echoes what was sent."""

    changes: tuple[Change, ...]
    next_cursor: str | None
    has_more: bool
    server_time: Instant


class Identity(Struct, frozen=True, kw_only=True):
    """Whose token it is and what it may; `scopes` is None where the server does not say."""

    user_id: str | None
    scopes: frozenset[str] | None
    server_time: Instant
