"""What may be asked of a database's holder: each command's arguments, their types and their bounds."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import asdict

from syncd.errors import UsageError

_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what SQLite holds
_Days = Annotated[int, Meta(ge=0, le=36_500)]
_Path = Annotated[str, Meta(min_length=1, pattern=r"^[^\x00]*$")]
_Instant = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command without arguments; the others add theirs."""


class SyncRequest(Request, frozen=True, kw_only=True):
    """One pass over these accounts, or over all."""

    accounts: list[str] = []
    full: bool = False


class AccountRequest(Request, frozen=True, kw_only=True):
    """Something about one account."""

    account: str


class SendRequest(AccountRequest, frozen=True, kw_only=True):
    """A message; the same `key` is the same wish."""

    conversation_id: str
    content: str
    later: bool = False
    key: str | None = None


class OutgoingRequest(AccountRequest, frozen=True, kw_only=True):
    """Something about one message of the outbox."""

    id: _Number


class OpenRequest(AccountRequest, frozen=True, kw_only=True):
    """The conversation of a proposal."""

    proposal_id: str


class PurgeRequest(AccountRequest, frozen=True, kw_only=True):
    """Who or what is to be erased: one of the two."""

    candidate: str | None = None
    conversation: str | None = None


class ClaimRequest(Request, frozen=True, kw_only=True):
    """A consumer that begins to read."""

    name: str


class ConsumerRequest(ClaimRequest, frozen=True, kw_only=True):
    """How far a consumer has read, or how its command failed there."""

    event_id: _Number
    from_start: bool = False
    error: str | None = None


class BackupRequest(Request, frozen=True, kw_only=True):
    """Where a copy was made."""

    path: _Path


class UpkeepRequest(Request, frozen=True, kw_only=True):
    """What is done each day; 0 days: messages are kept for ever."""

    retention_days: _Days = 0


class TargetRequest(Request, frozen=True, kw_only=True):
    """The one target that the daemon keeps up to date, or none."""

    target: str | None


class PublishedRequest(Request, frozen=True, kw_only=True):
    """How far a target is, or why it gets no further."""

    target: str
    place: _Number | None = None
    published_at: _Instant | None = None
    error: str | None = None
    tries: _Number | None = None
    next_try_at: _Instant | None = None
    follows: bool | None = None


REQUESTS: Mapping[str, type[Request]] = {
    "sync": SyncRequest,
    "accept": AccountRequest,
    "refused": Request,
    "send": SendRequest,
    "outbox_cancel": OutgoingRequest,
    "outbox_retry": OutgoingRequest,
    "open_conversation": OpenRequest,
    "purge": PurgeRequest,
    "claim": ClaimRequest,
    "consumer": ConsumerRequest,
    "backup_made": BackupRequest,
    "upkeep": UpkeepRequest,
    "publish_only": TargetRequest,
    "published": PublishedRequest,
}
"""By the name of the command."""


def check_request(command: str, arguments: Any) -> dict[str, Any]:
    """The arguments with those that were left out; UsageError for what no caller of this version says."""
    kind = REQUESTS.get(command)
    if kind is None:
        raise UsageError(f"this syncd does not know the command {command}; are two versions installed?")
    try:
        return asdict(convert(arguments, kind))
    except ValidationError as error:
        raise UsageError(f"the request {command} is wrong: {error}; are two versions of syncd installed?") from None
