"""A person who had their account deleted: the server says so to nobody, so two signs in two looks must agree.

OpenTrain then clears name, photo, profile and interview, and keeps proposals and direct messages without the name (its
privacy page). A 403, a lost scope or a job that is no longer owned is never a sign.
"""

from msgspec.structs import replace

from syncd.core.held import HeldProposal
from syncd.core.model import Candidate, Instant, Proposal, Row
from syncd.core.pacing import ERASURE_LOOK_SECONDS
from syncd.core.plan import Owed, Plan
from syncd.core.times import after

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
    since = held.erasure_since or now
    if now < after(since, ERASURE_LOOK_SECONDS):
        look = held.owed or Owed(kind="proposal", subject_id=proposal.id, due_at=now)
        again = replace(look, due_at=after(since, ERASURE_LOOK_SECONDS), errand=None)
        return Plan(suspects=(nameless, erasure), owe=(again,))
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
