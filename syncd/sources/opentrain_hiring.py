"""OpenTrain's JSON → the model: jobs, proposals, candidates and interviews.

Field names are those of the public documentation of each call; [?] marks what it leaves open.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from syncd.core.model import (
    Candidate,
    Interview,
    InterviewMessage,
    Job,
    JobPage,
    Proposal,
    ProposalPage,
    ProposalWithCandidate,
    Transcript,
)
from syncd.errors import NotFoundError
from syncd.sources.answers import Answer
from syncd.sources.fields import Fields, parse_cursor, parse_each, parse_list, shape_error, unique


def parse_jobs(answer: Answer) -> JobPage:
    """A page of the owner's jobs (GET /jobs/mine documentation; the name of its list is [?])."""
    jobs, unreadable = parse_each(parse_list(answer.body, ("jobs", "items", "data")), parse_job, "job", "jobs")
    return JobPage(
        jobs=unique(jobs, lambda job: job.id),
        next_cursor=parse_cursor(answer.body),
        server_time=answer.server_time,
        unreadable=unreadable,
    )


def parse_job(body: Any) -> Job:
    """A job; its counts of proposals stay in `extra`."""
    fields = Fields(body, "a job")
    return Job(
        id=fields.id(),
        title=fields.text("title"),
        status=fields.text("status"),
        created_at=fields.time("createdAt"),
        updated_at=fields.time("updatedAt"),
        extra=fields.extra(),
    )


def parse_dossier(answer: Answer) -> ProposalWithCandidate:
    """A proposal with its candidate (GET /proposals/{id} documentation; whether it has an envelope is [?])."""
    proposal, candidate = parse_proposal(_unwrap(answer.body, "proposal"))
    return ProposalWithCandidate(proposal=proposal, candidate=candidate, partial=False, server_time=answer.server_time)


def parse_dossiers(answer: Answer, job_id: str) -> ProposalPage:
    """A page of a job's proposals (GET /jobs/{id}/proposals documentation; the name of its list is [?])."""
    items = parse_list(answer.body, ("proposals", "items", "data"))
    parsed, unreadable = parse_each(items, parse_proposal, "proposal", f"proposals:{job_id}")
    proposals = [
        ProposalWithCandidate(proposal=proposal, candidate=candidate, partial=True, server_time=answer.server_time)
        for proposal, candidate in parsed
    ]
    return ProposalPage(
        proposals=unique(proposals, lambda with_candidate: with_candidate.proposal.id),
        next_cursor=parse_cursor(answer.body),
        server_time=answer.server_time,
        unreadable=unreadable,
    )


def parse_proposal(body: Any) -> tuple[Proposal, Candidate | None]:
    """A proposal and who made it; `verification` is personal and has no column, so nothing of it is kept."""
    fields = Fields(body, "a proposal")
    fields.drop("verification")
    candidate = _parse_candidate(fields)
    status, status_label = _parse_status(fields)
    bid, metrics, ai_interview = (fields.group(name) for name in ("bid", "metrics", "aiInterview"))
    ai_interview.drop("score", "summary")  # the interview's own row holds them
    proposal = Proposal(
        id=fields.id(),
        job_id=fields.key("jobId"),
        job_title=fields.text("jobTitle"),
        candidate_id=None if candidate is None else candidate.id,
        status=status,
        status_label=status_label,
        bid_amount_usd=bid.real("amountUsd"),
        bid_unit=bid.text("unit"),
        interview_score=metrics.real("interviewScore"),
        match_score=metrics.real("matchScore"),
        transcript_available=ai_interview.boolean("transcriptAvailable"),
        created_at=fields.time("createdAt"),
        updated_at=fields.time("updatedAt"),
        extra=fields.extra(bid=bid, metrics=metrics, aiInterview=ai_interview),
    )
    return proposal, candidate


def parse_transcript(answer: Answer, proposal_id: str) -> Transcript:
    """The interview of that proposal (GET /proposals/{id}/interview documentation: in an envelope)."""
    body = _unwrap(answer.body, "interview")
    if body is None:  # [?] none is recorded: documented as a 404, said here in another way
        raise NotFoundError("no interview is recorded", reason="no_interview", status=answer.status)
    fields = Fields(body, "an interview")
    turns = parse_list(fields.rest, ("messages",))
    fields.drop("messages")
    if fields.rest.get("proposalId") == proposal_id:
        fields.drop("proposalId")
    interview = Interview(
        proposal_id=proposal_id,
        interview_id=fields.key("interviewId"),
        score=fields.real("score"),
        summary=fields.text("summary"),
        extra=fields.extra(),
    )
    numbers = iter(range(len(turns)))
    messages, unreadable = parse_each(
        turns, lambda body: _parse_turn(body, proposal_id, numbers), "interview_message", f"interview:{proposal_id}"
    )
    return Transcript(
        interview=interview,
        messages=tuple(replace(turn, seq=seq) for seq, turn in enumerate(unique(messages, lambda turn: turn.id))),
        server_time=answer.server_time,
        unreadable=unreadable,
    )


def _parse_turn(body: Any, proposal_id: str, numbers: Iterator[int]) -> InterviewMessage:
    """A turn; one without an id is known by its number among those that can be read."""
    fields = Fields(body, "an interview message")
    if not fields.rest:
        raise shape_error("an interview message that is empty")
    named = fields.id() if fields.rest.get("id") is not None else None
    seq = next(numbers)
    return InterviewMessage(
        proposal_id=proposal_id,
        id=named or f"#{seq}",
        seq=seq,
        role=fields.text("role"),
        content=fields.text("content"),
        sent_at=fields.time("sentAt"),
        extra=fields.extra(),
    )


def _parse_candidate(proposal: Fields) -> Candidate | None:
    """Who made the proposal, taken out of it: what has no column (photo, earnings, country's name…) is not kept.

    Names are masked upstream: a display name, or the first name and an initial.
    """
    fields = proposal.group("candidate")
    proposal.drop("candidate")
    id_ = fields.key("id")
    if not id_:
        return None
    parts = (fields.text("firstName"), fields.text("lastNameInitial"))
    return Candidate(
        id=id_,
        name=fields.text("displayName") or " ".join(part for part in parts if part) or None,
        slug=fields.text("profileSlug"),
        title=fields.text("profileTitle"),
        country_code=fields.text("countryCode"),
    )


def _parse_status(proposal: Fields) -> tuple[str | None, str | None]:
    """`status{raw,label}`, or a plain text [?]; whatever else is in it stays in the rest."""
    if isinstance(proposal.rest.get("status"), str):
        return proposal.text("status"), None
    group = proposal.group("status")
    raw, label = group.text("raw"), group.text("label")
    proposal.give_back("status", group)
    return raw, label


def _unwrap(body: Any, name: str) -> Any:
    """What the envelope holds under that name, or the body itself where it is bare [?]."""
    return body[name] if isinstance(body, dict) and name in body else body
