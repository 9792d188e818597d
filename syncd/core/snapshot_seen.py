"""Observations of a source that answers with whole chats."""

from syncd.core.model import Instant
from syncd.core.observations import Failed, Observation
from syncd.core.snapshot import Pace, Snapshot, Subject, Wanted


class RosterRead(Observation, frozen=True, kw_only=True):
    """Jobs or candidates came; those in `chats` have a chat that is to be mirrored.

    `single`: they were asked for one by one, which may tell more fields than a list does. `list_of`: the job whose
    candidates these are.
    """

    subjects: tuple[Subject, ...]
    chats: frozenset[str]
    single: bool = False
    list_of: str | None = None


class ListsRead(Observation, frozen=True, kw_only=True):
    """Every list was read; `listed`: the chats found. Candidates of `unread_jobs` could not be listed."""

    wanted: Wanted
    listed: frozenset[str]
    unread_jobs: frozenset[str]
    server_time: Instant


class SubjectMissing(Observation, frozen=True, kw_only=True):
    """The job or the candidate itself answered 404, while the server answers others."""

    conversation_id: str
    pace: Pace


class RoundBegun(Observation, frozen=True, kw_only=True):
    """A round begins: which chats are due? `everything`: all are; `afresh`: whatever their ETags say."""

    wanted: Wanted
    everything: bool
    afresh: bool


class SnapshotRead(Observation, frozen=True, kw_only=True):
    """A chat came whole; `confirmed`: its subject exists, so that an empty answer means what it says."""

    conversation_id: str
    snapshot: Snapshot
    pace: Pace
    confirmed: bool = False


class ChatsUnchanged(Observation, frozen=True, kw_only=True):
    """Chats that still are what their ETags name."""

    conversation_ids: tuple[str, ...]
    pace: Pace


class SubjectFailed(Failed, frozen=True, kw_only=True):
    """A chat (kind conversation), or the candidates of a job (kind candidates), could not be had."""


class RoundEnded(Observation, frozen=True, kw_only=True):
    """Every chat that was due has been looked at; `compared`: all of them were, whatever their ETags said."""

    compared: bool
