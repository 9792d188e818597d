"""What the servers keep, and how each record is printed by its API."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)
_ODD = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The aware datetime of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def iso(milliseconds: int) -> str:
    """A time as the API prints it: `2026-06-12T09:15:00.000Z`."""
    return (_NAIVE_EPOCH + milliseconds * _MILLISECOND).isoformat(timespec="milliseconds") + "Z"


def scattered_id(prefix: str, number: int) -> str:
    """A unique id whose order has nothing to do with its age, as real ids have not."""
    return f"{prefix}{(number * _ODD) & _MASK:016x}"


# Conversations, messages, events and tokens, and how the API prints each.


Json = dict[str, Any]
DAY_MS = 86_400_000


def _optional_iso(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds)


def _without_nulls(entry: Json, keys: tuple[str, ...]) -> Json:
    return {name: value for name, value in entry.items() if value is not None or name not in keys}


@dataclass(slots=True)
class Message:
    """One message; times are milliseconds since 1970. `terse`: optional fields that are null are left out."""

    id: str
    created: int
    updated: int
    conversation_id: str
    sender: str | None
    content: str | None
    job_id: str | None = None
    message_type: str | None = None
    system: bool = False
    unread: bool = False
    attachments: int = 0
    has_audio: bool = False
    edited: int | None = None
    reactions: int = 0
    extra: Json | None = None
    terse: bool = False

    @property
    def key(self) -> tuple[int, str]:
        """The server's order."""
        return (self.created, self.id)

    def to_json(self, viewer: str) -> Json:
        """The message as `GET /messages` prints it for `viewer`."""
        entry = {
            "id": self.id,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.updated),
            "conversationId": self.conversation_id,
            "jobId": self.job_id,
            "senderUserId": self.sender,
            "isFromViewer": self.sender == viewer,
            "content": self.content,
            "messageType": self.message_type,
            "system": self.system,
            "hasUnreadFlag": self.unread,
            "attachmentCount": self.attachments,
            "hasAudio": self.has_audio,
            "editedAt": _optional_iso(self.edited),
            "reactionCount": self.reactions,
        }
        if self.terse:
            entry = _without_nulls(entry, ("jobId", "messageType", "editedAt"))
        return entry | self.extra if self.extra else entry


@dataclass(slots=True)
class Conversation:
    """One conversation with its messages in the server's order."""

    id: str
    type: str
    bucket: str
    updated: int
    job_id: str | None = None
    proposal_id: str | None = None
    channel_name: str | None = None
    owner: str = ""
    unread: int = 0
    needs_reply: int = 0
    participants: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    deleted_messages: dict[str, Message] = field(default_factory=dict)
    extra: Json | None = None
    terse: bool = False
    read_only: bool = False
    blocked: bool = False

    @property
    def key(self) -> tuple[int, str]:
        """The order of the list, newest last."""
        return (self.updated, self.id)

    def every_message(self) -> list[Message]:
        """Its messages and those deleted from it, in the server's order."""
        return sorted((*self.messages, *self.deleted_messages.values()), key=lambda message: message.key)

    def to_json(self, viewer: str) -> Json:
        """The summary as `GET /messages` prints it for `viewer`; counts are the owner's alone."""
        owns = viewer == self.owner
        entry: Json = {
            "id": self.id,
            "type": self.type,
            "bucket": self.bucket,
            "jobId": self.job_id,
            "proposalId": self.proposal_id,
            "channelName": self.channel_name,
            "updatedAt": iso(self.updated),
            "lastMessage": self._last_message(viewer),
            "unreadCount": self.unread if owns else 0,
            "needsReplyCount": self.needs_reply if owns else 0,
        }
        if self.terse:
            entry = _without_nulls(entry, ("jobId", "proposalId", "channelName", "lastMessage"))
        return entry | self.extra if self.extra else entry

    def _last_message(self, viewer: str) -> Json | None:
        if not self.messages:
            return None
        last = self.messages[-1]
        return {
            "id": last.id,
            "content": last.content,
            "senderUserId": last.sender,
            "isFromViewer": last.sender == viewer,
            "createdAt": iso(last.created),
        }


@dataclass(slots=True)
class Event:
    """One entry of the feed; `visible` False: its id is taken, but it is not shown yet."""

    id: int
    type: str
    created: int
    resource_id: str
    job_id: str | None
    data: Json
    viewer: str
    visible: bool = True

    def to_json(self) -> Json:
        """The event as `GET /updates` prints it: ids only, never content."""
        return {
            "id": str(self.id),
            "type": self.type,
            "apiVersion": "v1",
            "createdAt": iso(self.created),
            "resourceId": self.resource_id,
            "jobId": self.job_id,
            "data": self.data,
        }


@dataclass(slots=True)
class Token:
    """A personal access token and what it may do."""

    text: str
    public_id: str
    user_id: str
    scopes: tuple[str, ...]
    claimed: bool = True

    def allows(self, scope: str) -> bool:
        """Whether the token holds `scope`; `:write` implies `:read`."""
        return scope in self.scopes or scope.replace(":read", ":write") in self.scopes


# The server's errors, in its own shape.


_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "RATE_LIMITED",
}


class Problem(Exception):  # noqa: N818 - it is an answer, not a failure of this program
    """An answer that is no 2xx; `details` as the API would add them."""

    def __init__(self, status: int, text: str, *, details: Json | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.details = details

    def to_json(self, request_id: str) -> Json:
        """The error's body, always with a `requestId`."""
        body: Json = {
            "error": self.text,
            "code": _CODES.get(self.status, "INTERNAL_ERROR"),
            "requestId": request_id,
        }
        return body | {"details": self.details} if self.details is not None else body


def invalid(path: str, message: str, code: str = "custom") -> Problem:
    """400 with the validator's issue for one parameter."""
    issue = {"code": code, "path": [path], "message": message}
    return Problem(400, "Invalid request parameters", details={"issues": [issue]})


def missing(what: str) -> Problem:
    """404: no such thing."""
    return Problem(404, f"{what} not found")


def refused(reason: str, status: int = 403, **more: str) -> Problem:
    """403 or 409 with a machine-readable reason."""
    return Problem(status, reason.replace("_", " ").capitalize(), details={"reason": reason, **more})


# Jobs, proposals, candidates and interviews, and how the API prints each.


@dataclass(slots=True)
class Candidate:
    """A trainer, as a proposal shows them: the name is masked."""

    id: str
    name: str
    slug: str | None = None
    title: str | None = None
    photo: str | None = None
    country_code: str | None = None
    country: str | None = None
    erased: bool = False

    def to_json(self) -> Json:
        """The `candidate` of a proposal; an erased one is "Freelancer" with nothing else."""
        first, _, rest = self.name.partition(" ")
        return {
            "id": self.id,
            "profileSlug": self.slug,
            "displayName": self.name,
            "firstName": None if self.erased else first,
            "lastNameInitial": rest[:1] or None,
            "profileTitle": self.title,
            "profilePhotoUrl": self.photo,
            "countryCode": self.country_code,
            "country": self.country,
            "talentType": None if self.erased else "INDIVIDUAL",
            "highestEarningsUsd": None,
            "reviewCount": 0,
        }


@dataclass(slots=True)
class Interview:
    """A recorded AI interview; `ready` False: announced, but its transcript still answers 404."""

    id: str
    score: float | None
    summary: str | None
    messages: list[Json]
    ready: bool = True

    def to_json(self, proposal_id: str) -> Json:
        """The transcript as `GET /proposals/{id}/interview` prints it."""
        return {
            "proposalId": proposal_id,
            "interviewId": self.id,
            "score": self.score,
            "summary": self.summary,
            "messages": self.messages,
        }


@dataclass(slots=True)
class Job:
    """A job posting."""

    id: str
    title: str
    status: str
    created: int
    updated: int
    owner: str
    proposal_ids: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, str]:
        """The order of creation."""
        return (self.created, self.id)


@dataclass(slots=True)
class Proposal:
    """A candidate's proposal for a job."""

    id: str
    job: Job
    candidate: Candidate
    created: int
    updated: int
    status: str
    status_label: str | None
    bid: Json
    match_score: float | None = None
    interview: Interview | None = None
    conversation_id: str | None = None
    extra: Json | None = None

    @property
    def key(self) -> tuple[int, str]:
        """The order of creation."""
        return (self.created, self.id)

    def to_entry(self) -> Json:
        """The proposal as a job's list prints it."""
        entry = {
            "id": self.id,
            "jobId": self.job.id,
            "jobTitle": self.job.title,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.updated),
            "status": {"raw": self.status, "label": self.status_label},
            "bid": self.bid,
            "candidate": self.candidate.to_json(),
            "metrics": {
                "interviewScore": self.interview.score if self.interview else None,
                "matchScore": self.match_score,
            },
        }
        return entry | self.extra if self.extra else entry

    def to_json(self) -> Json:
        """The proposal as `GET /proposals/{id}` prints it."""
        return self.to_entry() | {
            "aiInterview": self._ai_interview(),
            "verification": {"identity": "VERIFIED", "documentNumber": "not for a mirror"},
            "openLabel": None,
            "contract": None,
        }

    def _ai_interview(self) -> Json:
        return {
            "score": self.interview.score if self.interview else None,
            "summary": self.interview.summary if self.interview else None,
            "transcriptAvailable": self.interview is not None,
        }


# What an OpenATS server keeps: messages, and the jobs and candidates they are about.


@dataclass(slots=True)
class ChatMessage:
    """One message; `sent` is milliseconds since 1970."""

    id: int
    text: str | None
    sender: int | None
    sent: int
    system: bool
    deleted: bool = False


@dataclass(slots=True)
class Subject:
    """A job or a candidate with its chat; `fields` as the API prints them. `version` moves with all that shows."""

    fields: Json
    messages: dict[int, ChatMessage] = field(default_factory=dict)
    version: int = 0
