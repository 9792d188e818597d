"""Entries of a list that can't be read: each is a row in `failures`, and holds nothing else up.

A *listing* is named by a text: `conversations`, `thread:ID`, `jobs`, `proposals:JOB`, `interview:PROPOSAL`, and of
OpenATS `chat:ID` and `candidates:JOB`. What is known to be unreadable in one is over when the entry is read well, or
when the listing is walked from its start to its end without it. Until then the listing is read again, with the same
backoff as whatever else fails.
"""

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.chats import SnapshotRead, SubjectMissing, SubjectsRead
from syncd.core.model import Instant, Unreadable
from syncd.core.observations import (
    ConversationGone,
    Entries,
    HeldAccount,
    InterviewMissing,
    JobsRead,
    ListingDue,
    ListingProved,
    ListWalked,
    Observation,
    PageRead,
    ProposalsListed,
    TranscriptRead,
    UnreadList,
)
from syncd.core.plan import Failure, PendingTask, Plan
from syncd.core.times import after, backoff, is_due
from syncd.core.walk import Reason


class ListingRead(Struct, frozen=True, kw_only=True):
    """What an answer, or a whole walk, says of a listing's entries of one kind.

    `read`: the ids of those that could be read. `met`: what else was met on the whole walk, if this is its end.
    """

    listing: str
    kind: str
    read: frozenset[str] = frozenset()
    unreadable: tuple[Unreadable, ...] = ()
    met: frozenset[str] | None = None


def find_listing(seen: Observation, plan: Plan) -> ListingRead | None:
    """What the observation, which was planned so, says of a listing."""
    match seen:
        case Entries() | UnreadList():
            ids = frozenset(entry.id for entry in seen.entries)
            found = ListingRead(listing="conversations", kind="conversation", read=ids, unreadable=seen.unreadable)
        case ListWalked():
            found = ListingRead(listing="conversations", kind="conversation", met=seen.met)
        case PageRead():
            found = ListingRead(
                listing=f"thread:{seen.page.conversation_id}",
                kind="message",
                read=frozenset(message.id for message in seen.page.messages),
                unreadable=seen.page.unreadable,
                met=None if plan.suspect is None else plan.suspect.met,
            )
        case JobsRead():
            ids = frozenset(job.id for job in seen.jobs)
            found = ListingRead(listing="jobs", kind="job", read=ids, unreadable=seen.unreadable)
        case ProposalsListed():
            found = ListingRead(listing=f"proposals:{seen.job_id}", kind="proposal", unreadable=seen.unreadable)
        case ListingProved(kind="jobs"):
            found = ListingRead(listing="jobs", kind="job", met=seen.met)
        case ListingProved():
            found = ListingRead(listing=f"proposals:{seen.subject_id}", kind="proposal", met=seen.met)
        case _:
            return _find_whole(seen)
    return found


def _find_whole(seen: Observation) -> ListingRead | None:
    """The same for a listing of one page, which is its end too, and for one that is no longer there."""
    match seen:
        case TranscriptRead():
            listing = f"interview:{seen.transcript.interview.proposal_id}"
            found = _whole(listing, "interview_message", seen.transcript.unreadable)
        case InterviewMissing():
            found = _whole(f"interview:{seen.proposal_id}", "interview_message", ())
        case ConversationGone():
            found = _whole(f"thread:{seen.conversation_id}", "message", ())
        case SubjectMissing():
            found = _whole(f"chat:{seen.conversation_id}", "message", ())
        case SnapshotRead():
            found = _whole(f"chat:{seen.conversation_id}", "message", seen.snapshot.unreadable)
        case SubjectsRead(single=False, list_of=None):
            found = _whole("jobs", "job", seen.unreadable)
        case SubjectsRead(single=False):
            found = _whole(f"candidates:{seen.list_of}", "candidate", seen.unreadable)
        case _:
            return None
    return found


def _whole(listing: str, kind: str, unreadable: tuple[Unreadable, ...]) -> ListingRead:
    met = frozenset(one.subject_id for one in unreadable)
    return ListingRead(listing=listing, kind=kind, unreadable=unreadable, met=met)


def plan_unreadable(known: dict[str, Failure], read: ListingRead, now: Instant) -> Plan:
    """Note what can't be read, once each time that a look at it was due, and what of it is over.

    `known`: the failures of this listing, by subject.
    """
    failures = tuple(
        _next_failure(known.get(one.subject_id), one, now)
        for one in read.unreadable
        if _is_to_be_noted(known.get(one.subject_id), one, now)
    )
    left = frozenset(one.subject_id for one in read.unreadable)
    over = tuple(
        (failure.kind, subject_id)
        for subject_id, failure in known.items()
        if subject_id not in left and (subject_id in read.read or (read.met is not None and subject_id not in read.met))
    )
    return Plan(
        failures=failures,
        recovered=over,
        set_aside=tuple((read.listing, failure.kind, failure.subject_id) for failure in failures),
    )


def _is_to_be_noted(known: Failure | None, one: Unreadable, now: Instant) -> bool:
    return known is None or known.reason != one.reason or is_due(known.next_try_at, now)


def _next_failure(known: Failure | None, one: Unreadable, now: Instant) -> Failure:
    tries = 1 if known is None else known.tries + 1
    return Failure(
        kind=one.kind,
        subject_id=one.subject_id,
        reason=one.reason,
        request_id=None,
        tries=tries,
        first_failed_at=now if known is None else min(known.first_failed_at, now),
        next_try_at=after(now, backoff(tries)),
    )


def plan_listing_due(held: HeldAccount, due: ListingDue) -> Plan:
    """Have a listing read again, as some of it could not be."""
    what, _, id_ = due.listing.partition(":")
    if what == "thread":
        task = PendingTask(kind="conversation", subject_id=id_, due_at=due.now, reason=Reason(verify=True))
    elif what == "interview":
        task = PendingTask(kind="interview", subject_id=id_, due_at=due.now)
    elif what in ("jobs", "proposals"):
        task = PendingTask(kind=what, subject_id=id_ or "mine", due_at=due.now)
    else:  # without a mark the next walk down the list goes to its end
        return Plan(account_checkpoint=replace(held.account_checkpoint, list_mark=None))
    return Plan(tasks=(task,))
