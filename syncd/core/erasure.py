"""What must not come back: observations and plans without what was erased. Pure."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import (
    Candidate,
    Conversation,
    Event,
    Instant,
    Interview,
    InterviewMessage,
    Message,
    Proposal,
    Row,
)
from syncd.core.observations import Entries, Observation, UnreadList
from syncd.core.plan import PendingTask, Plan


class Erased(Struct, frozen=True, kw_only=True):
    """Of one account: kind and id of what was erased, and the time before which messages are not kept, if there is one.

    Kinds: candidate, proposal, conversation, message, interview.
    """

    ids: frozenset[tuple[str, str]] = frozenset()
    before: Instant | None = None

    def has(self, kind: str, id: str | None) -> bool:
        """Whether that very thing was erased."""
        return (kind, id) in self.ids

    def is_old(self, at: Instant | None) -> bool:
        """Whether it is older than what is kept; what has no time is kept."""
        return self.before is not None and at is not None and at < self.before


def without_entries(observation: Observation, erased: Erased) -> Observation:
    """The observation as if the server did not list what was erased."""
    if not isinstance(observation, Entries | UnreadList):
        return observation
    kept = tuple(entry for entry in observation.entries if not _is_erased(entry, erased))
    return observation if len(kept) == len(observation.entries) else replace(observation, entries=kept)


def without_erased(plan: Plan, erased: Erased) -> Plan:
    """The plan without rows, revisions, events and errands for what was erased or is too old."""
    dropped = tuple(row for row in plan.rows if _is_erased(row, erased))
    messages = {row.id for row in dropped if isinstance(row, Message)}
    return replace(
        plan,
        rows=tuple(row for row in plan.rows if row not in dropped) if dropped else plan.rows,
        revisions=tuple(old for old in plan.revisions if old.message_id not in messages),
        events=tuple(event for event in plan.events if not _is_told(event, erased, messages)),
        tasks=tuple(pending for pending in plan.tasks if not _is_pending(pending, erased)),
    )


def find_returning(plan: Plan, erased: Erased) -> tuple[str, ...]:
    """Proposals of erased people that were not known when they were erased."""
    return tuple(
        row.id
        for row in plan.rows
        if isinstance(row, Proposal)
        and erased.has("candidate", row.candidate_id)
        and not erased.has("proposal", row.id)
    )


def named_ids(value: Any) -> set[str]:
    """The ids by which the rows, events and errands of a plan, or the entries of a list, may have been erased."""
    if isinstance(value, Plan):
        rows = {id for row in value.rows for id in _row_ids(row)}
        events = {id for e in value.events for id in (e.conversation_id, e.message_id, e.proposal_id) if id}
        return rows | events | {pending.subject_id for pending in value.tasks}
    if isinstance(value, Entries | UnreadList):
        return {id for entry in value.entries for id in _row_ids(entry)}
    return set()


def _row_ids(row: Row) -> set[str]:
    names = ("id", "conversation_id", "proposal_id", "candidate_id", "interview_id")
    return {id for name in names if (id := getattr(row, name, None)) is not None}


def _is_erased(row: Row, erased: Erased) -> bool:
    owners = (
        ("conversation", getattr(row, "conversation_id", None)),
        ("proposal", getattr(row, "proposal_id", None)),
        ("candidate", getattr(row, "candidate_id", None)),
    )
    if any(erased.has(kind, id) for kind, id in owners):
        return True
    match row:
        case Conversation() | Message() | Proposal() | Candidate():
            created_at = row.created_at if isinstance(row, Message) else None
            return erased.has(type(row).__name__.lower(), row.id) or erased.is_old(created_at)
        case Interview():
            return erased.has("interview", row.interview_id or row.proposal_id)
        case InterviewMessage():
            return erased.is_old(row.sent_at)
    return False


def _is_told(event: Event, erased: Erased, messages: set[str]) -> bool:
    return (
        event.message_id in messages
        or erased.has("conversation", event.conversation_id)
        or erased.has("proposal", event.proposal_id)
        or erased.has("message", event.message_id)
    )


def _is_pending(pending: PendingTask, erased: Erased) -> bool:
    kind = "conversation" if pending.kind in ("conversation", "overdue") else "proposal"
    return erased.has(kind, pending.subject_id)
