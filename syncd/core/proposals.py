"""Plans for what hangs on a conversation: proposals, candidates, interviews."""

from collections.abc import Iterable

from msgspec.structs import replace

from syncd.core.conversation import next_failure
from syncd.core.model import Candidate, Event, Instant, InterviewMessage, Proposal, Row
from syncd.core.observations import (
    Failed,
    HeldProposal,
    InterviewMissing,
    ProposalMissing,
    ProposalRead,
    TranscriptRead,
)
from syncd.core.plan import PendingTask, Plan, merged_extra
from syncd.core.times import ACTIVE_SECONDS, ERASURE_LOOK_SECONDS, INTERVIEW_LOOK_SECONDS, after, seconds_between
from syncd.core.walk import Reason


def plan_proposal(held: HeldProposal, read: ProposalRead) -> Plan:
    """Store a proposal with its candidate, and owe what it announces: the interview, or another look."""
    partial = read.with_candidate.partial
    proposal = _merged(held.proposal, read.with_candidate.proposal, partial=partial)
    candidate = _kept(held.candidate, read.with_candidate.candidate)
    rows: list[Row] = []
    if proposal != held.proposal:
        rows.append(proposal)
    if candidate is not None and candidate != held.candidate:
        rows.append(candidate)
    erasure = plan_erasure(held, proposal, candidate, read.now)
    rows = [row for row in rows if not any(type(row) is type(other) for other in erasure.rows)] + list(erasure.rows)
    tasks = _next_tasks(held, proposal, read)
    if all(task.kind != "proposal" for task in tasks):
        tasks += erasure.tasks
    renewed = any(task.kind == "proposal" for task in tasks)
    return Plan(
        rows=tuple(rows),
        events=tuple(_proposal_events(held, proposal)),
        tasks=tasks,
        # a list entry is not the proposal that is owed
        completed=()
        if partial or renewed or held.pending is None
        else (("proposal", proposal.id, held.pending.version),),
        recovered=() if partial or held.failure is None else (("proposal", proposal.id),),
        suspects=erasure.suspects,
        unsuspect=erasure.unsuspect,
    )


def _merged(held: Proposal | None, new: Proposal, *, partial: bool) -> Proposal:
    """The proposal, with the fields that a list entry is known to leave out kept as they are."""
    if held is None or not partial:
        return new
    return replace(new, transcript_available=held.transcript_available, extra=merged_extra(held.extra, new.extra))


def _kept(held: Candidate | None, new: Candidate | None) -> Candidate | None:
    return new if held is None or new is None else replace(new, erased_at=held.erased_at)


def _first_pass(held: HeldProposal) -> bool:
    reason = held.pending.reason if held.pending is not None else None
    return held.account.complete_since is None or (reason is not None and reason.first_pass)


def _is_news(held: HeldProposal, oldest: Instant | None) -> bool:
    """Whether a find is told of: what the first pass finds is history unless all of it is newer than the pass."""
    if not _first_pass(held):
        return True
    start = held.account.first_started_at
    return oldest is not None and start is not None and oldest >= start


def _proposal_events(held: HeldProposal, proposal: Proposal) -> Iterable[Event]:
    if held.proposal is None:
        if _is_news(held, proposal.created_at):
            yield _proposal_event("proposal.new", proposal, proposal.created_at, None)
    elif held.proposal.status != proposal.status:
        yield _proposal_event("proposal.status_changed", proposal, proposal.updated_at, held.proposal.status)


def _proposal_event(kind: str, proposal: Proposal, occurred_at: Instant | None, previous: str | None) -> Event:
    return Event(
        kind=kind,
        proposal_id=proposal.id,
        occurred_at=occurred_at,
        data={"status": proposal.status, "previous": previous},
    )


def _next_tasks(held: HeldProposal, proposal: Proposal, read: ProposalRead) -> tuple[PendingTask, ...]:
    """What a proposal makes us ask for: its rest, its interview, or itself again while an interview may appear."""
    reason = Reason(first_pass=_first_pass(held))
    if read.with_candidate.partial:
        if held.proposal is not None:
            return ()
        return (PendingTask(kind="proposal", subject_id=proposal.id, due_at=read.now, reason=reason),)
    holds_interview = held.interview is not None and held.interview.gone_at is None
    compared = held.pending is not None and held.pending.reason is not None and held.pending.reason.verify
    if holds_interview != bool(proposal.transcript_available) or (holds_interview and compared):
        return (PendingTask(kind="interview", subject_id=proposal.id, due_at=read.now, reason=reason),)
    active = held.active_at is not None and abs(seconds_between(held.active_at, read.now)) < ACTIVE_SECONDS
    if not holds_interview and active:
        due = after(read.now, INTERVIEW_LOOK_SECONDS)
        task = held.pending or PendingTask(kind="proposal", subject_id=proposal.id, due_at=due)
        return (replace(task, due_at=due, reason=None),)  # made from the row held, it takes its place
    return ()


def plan_transcript(held: HeldProposal, read: TranscriptRead) -> Plan:
    """Store the latest interview; messages of the one it replaces are no longer there."""
    interview, came = read.transcript.interview, {message.id: message for message in read.transcript.messages}
    rows: list[Row] = [message for id_, message in came.items() if held.messages.get(id_) != message]
    unreadable = read.transcript.unreadable
    if all(one.id is not None for one in unreadable):  # one without a usable id may be any of those that are missing
        rows += _gone_messages(held, {*came, *(one.subject_id for one in unreadable)}, read.now)
    if interview != held.interview:
        rows.append(interview)
    return Plan(
        rows=tuple(rows),
        events=tuple(_interview_events(held, read)) if rows else (),
        completed=_completed(held),
        recovered=() if held.failure is None else (("interview", interview.proposal_id),),
    )


def _gone_messages(held: HeldProposal, came: set[str], now: Instant) -> list[InterviewMessage]:
    return [
        replace(message, gone_at=now)
        for id_, message in held.messages.items()
        if id_ not in came and message.gone_at is None
    ]


def _completed(held: HeldProposal) -> tuple[tuple[str, str, int], ...]:
    return () if held.pending is None else ((held.pending.kind, held.pending.subject_id, held.pending.version),)


def _interview_events(held: HeldProposal, read: TranscriptRead) -> Iterable[Event]:
    interview = read.transcript.interview
    times = [message.sent_at for message in read.transcript.messages if message.sent_at is not None]
    known = held.interview is not None and held.interview.gone_at is None
    if known or _is_news(held, min(times, default=None)):
        yield Event(
            kind="interview.updated" if known else "interview.recorded",
            proposal_id=interview.proposal_id,
            occurred_at=max(times, default=None),
            data={"score": interview.score},
        )


def plan_interview_missing(held: HeldProposal, missing: InterviewMissing) -> Plan:
    """An interview that was held and answers 404 is gone; one that is announced is asked for again later."""
    if held.interview is not None and held.interview.gone_at is None:
        event = Event(
            kind="interview.gone",
            proposal_id=missing.proposal_id,
            occurred_at=missing.now,
            data={"score": held.interview.score},
        )
        rows: tuple[Row, ...] = (
            replace(held.interview, gone_at=missing.now),
            *_gone_messages(held, set(), missing.now),
        )
        return Plan(rows=rows, events=(event,), completed=_completed(held))
    if held.proposal is None or not held.proposal.transcript_available or held.pending is None:
        return Plan(completed=_completed(held), recovered=(("interview", missing.proposal_id),) if held.failure else ())
    return plan_subject_failed(
        held,
        Failed(
            account=missing.account,
            now=missing.now,
            kind="interview",
            subject_id=missing.proposal_id,
            reason="interview_not_ready",
        ),
    )


def plan_proposal_missing(held: HeldProposal, missing: ProposalMissing) -> Plan:
    """A proposal that answers 404 is no longer there; its rows stay."""
    gone = held.proposal is not None and held.proposal.gone_at is None
    return Plan(
        rows=(replace(held.proposal, gone_at=missing.now),) if gone and held.proposal is not None else (),
        completed=_completed(held),
        recovered=(("proposal", missing.proposal_id),) if held.failure else (),
    )


def plan_subject_failed(held: HeldProposal, failed: Failed) -> Plan:
    """Put a proposal or an interview off, with the reason."""
    if held.pending is None:
        return Plan()
    failure = next_failure(held.failure, failed)
    return Plan(failures=(failure,), tasks=(replace(held.pending, due_at=failure.next_try_at),))


# A person who had their account deleted: the server says so to nobody, so two signs in two looks must agree.
#
# OpenTrain then clears name, photo, profile and interview, and keeps proposals and direct messages without the name
# (its privacy page). A 403, a lost scope or a job that is no longer owned is never a sign.


_NO_NAME = "Freelancer"  # what the server shows for a person without a name (its documentation of proposals)


def plan_erasure(held: HeldProposal, proposal: Proposal, candidate: Candidate | None, now: Instant) -> Plan:
    """What one look at a proposal says of its candidate's erasure: a suspicion, its end, or what is to be scrubbed."""
    if candidate is None:
        return Plan()
    nameless, erasure = ("nameless", candidate.id, ""), ("erasure", proposal.id, "")
    if candidate.name != _NO_NAME:
        back = replace(candidate, erased_at=None)
        suspected = held.nameless or held.erasure_since is not None
        return Plan(
            rows=() if back == candidate else (back,), unsuspect=(nameless[:2], erasure[:2]) if suspected else ()
        )
    if not _lost_its_name(held, candidate) or _is_scrubbed(held, candidate):
        return Plan()
    if not _interview_agrees(held, proposal):
        return Plan(suspects=(nameless,), unsuspect=(erasure[:2],))
    since = min(held.erasure_since or now, now)
    if now < after(since, ERASURE_LOOK_SECONDS):
        look = held.pending or PendingTask(kind="proposal", subject_id=proposal.id, due_at=now)
        again = replace(look, due_at=after(since, ERASURE_LOOK_SECONDS), reason=None)
        return Plan(suspects=(nameless, erasure), tasks=(again,))
    return Plan(rows=_scrubbed(held, candidate, now), unsuspect=(nameless[:2], erasure[:2]))


def _lost_its_name(held: HeldProposal, candidate: Candidate) -> bool:
    """Whether there was a name once: who never had one was not erased."""
    named = held.candidate is not None and held.candidate.name not in (None, _NO_NAME)
    return named or held.nameless or candidate.erased_at is not None


def _interview_agrees(held: HeldProposal, proposal: Proposal) -> bool:
    """Whether the interview is gone too; without one that was held, the name alone has to do."""
    if held.interview is None:
        return True
    return held.interview.gone_at is not None or proposal.transcript_available is False


def _is_scrubbed(held: HeldProposal, candidate: Candidate) -> bool:
    texts = [message.content for message in held.messages.values()]
    summary = None if held.interview is None else held.interview.summary
    return candidate.erased_at is not None and summary is None and not any(texts)


def _scrubbed(held: HeldProposal, candidate: Candidate, now: Instant) -> tuple[Row, ...]:
    """The candidate as erased, and the transcript without its words."""
    rows: list[Row] = [replace(candidate, erased_at=candidate.erased_at or now)]
    if held.interview is not None:
        gone_at = held.interview.gone_at or now
        rows.append(replace(held.interview, summary=None, extra=None, gone_at=gone_at))
    rows += (replace(m, content=None, extra=None, gone_at=m.gone_at or now) for m in held.messages.values())
    return tuple(rows)
