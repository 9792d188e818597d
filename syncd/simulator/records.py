"""Conversations, messages, events and tokens, and how the API prints each."""

from dataclasses import dataclass, field
from typing import Any

from syncd.simulator.stamps import iso

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
