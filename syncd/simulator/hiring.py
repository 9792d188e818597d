"""What can happen to jobs, proposals, candidates and interviews."""

from typing import Any

from syncd.simulator.happenings import ConversationHappenings
from syncd.simulator.postings import Candidate, Interview, Job, Proposal
from syncd.simulator.records import Json
from syncd.simulator.stamps import iso
from syncd.simulator.state import locked
from syncd.simulator.texts import COUNTRIES, PROFILE_TITLES, masked_name

_LABELS = {"SUBMITTED": "Submitted", "SHORTLISTED": "Shortlisted", "HIRED": "Hired", "DECLINED": "Declined"}


class HiringHappenings(ConversationHappenings):
    """Jobs, proposals, candidates and interviews come and change."""

    @locked
    def new_job(self, title: str = "Label short videos", *, status: str = "OPEN", owner: str | None = None) -> str:
        """Post a job; returns its id."""
        now = self.now_ms()
        job = Job(self.new_id("j"), title, status, now, now, owner or self.viewer)
        self.jobs[job.id] = job
        return job.id

    @locked
    def set_job_status(self, job_id: str, status: str) -> None:
        """Change a job's status."""
        self.jobs[job_id].status = status
        self.jobs[job_id].updated = self.now_ms()

    @locked
    def rename_job(self, job_id: str, title: str) -> None:
        """Change a job's title, also in its proposals."""
        self.jobs[job_id].title = title
        self.jobs[job_id].updated = self.now_ms()

    def store_candidate(self, name: str) -> Candidate:
        """Create a trainer with a made-up profile."""
        code, country = self.random.choice(COUNTRIES)
        candidate = Candidate(self.new_id("u"), name, country_code=code, country=country)
        candidate.slug = f"trainer-{candidate.id[-6:]}"
        candidate.title = self.random.choice(PROFILE_TITLES)
        candidate.photo = f"https://images.example/{candidate.id}.jpg"
        self.candidates[candidate.id] = candidate
        return candidate

    def store_proposal(self, job: Job, candidate: Candidate, created: int) -> Proposal:
        """Create a proposal as it is just after being sent; milliseconds for `created`."""
        bid: Json = {"amountUsd": self.random.randint(8, 60), "unit": "HOUR", "labelerHourlyRateUsd": 12.5}
        proposal = Proposal(self.new_id("r"), job, candidate, created, created, "SUBMITTED", "Submitted", bid)
        self.proposals[proposal.id] = proposal
        job.proposal_ids.append(proposal.id)
        return proposal

    @locked
    def new_proposal(
        self, job_id: str | None = None, *, name: str | None = None, candidate_id: str | None = None
    ) -> str:
        """A candidate proposes for a job (default: the owner's first); returns the proposal's id."""
        job = self.jobs[job_id or self._first_job()]
        candidate = self.candidates[candidate_id] if candidate_id else None
        proposal = self.store_proposal(
            job, candidate or self.store_candidate(name or masked_name(self.random)), self.now_ms()
        )
        job.updated = proposal.created
        self._announce(proposal, "proposal.received", {"proposalId": proposal.id, "jobId": job.id})
        return proposal.id

    def _first_job(self) -> str:
        mine = [job.id for job in self.jobs.values() if job.owner == self.viewer]
        return mine[0] if mine else self.new_job()

    def _announce(self, proposal: Proposal, type: str, data: Json) -> None:
        if proposal.job.owner == self.viewer:
            self.add_event(type, proposal.id, data, job_id=proposal.job.id)

    @locked
    def set_proposal_status(self, proposal_id: str, raw: str, label: str | None = None) -> None:
        """Change a proposal's status; it does not resurface in its job's list."""
        proposal = self.proposals[proposal_id]
        proposal.status, proposal.status_label = raw, label or _LABELS.get(raw)
        proposal.updated = self.now_ms()
        self._announce(proposal, "proposal.status_changed", {"proposalId": proposal_id, "status": raw})

    @locked
    def interview_appears(
        self,
        proposal_id: str,
        *,
        ready: bool = True,
        score: float | None = 86,
        summary: str | None = "Clear answers.",
        messages: list[Json] | None = None,
    ) -> None:
        """An interview is recorded (or replaced); without `ready` its transcript answers 404 for now."""
        proposal = self.proposals[proposal_id]
        exchange = messages if messages is not None else self._default_exchange()
        proposal.interview = Interview(self.new_id("i"), score, summary, exchange, ready)
        proposal.updated = self.now_ms()

    def _default_exchange(self) -> list[Json]:
        now = self.now_ms()
        lines = [
            ("interviewer", "How do you label a sarcastic post?"),
            ("candidate", "By what it means, not by its words."),
        ]
        return [
            {"id": self.new_id("t"), "role": role, "content": text, "sentAt": iso(now + n * 30_000 - 60_000)}
            for n, (role, text) in enumerate(lines)
        ]

    @locked
    def interview_ready(self, proposal_id: str) -> None:
        """The transcript that was announced can now be read."""
        interview = self.proposals[proposal_id].interview
        if interview is not None:
            interview.ready = True

    @locked
    def interview_erased(self, proposal_id: str) -> None:
        """The interview is gone: 404, and `transcriptAvailable` false."""
        self.proposals[proposal_id].interview = None

    @locked
    def erase_candidate(self, candidate_id: str) -> None:
        """A trainer deletes the account: name, photo, profile and interviews go; nothing announces it."""
        old = self.candidates[candidate_id]
        erased = Candidate(candidate_id, "Freelancer", erased=True)
        self.candidates[candidate_id] = erased
        for proposal in self.proposals.values():
            if proposal.candidate is old:
                proposal.candidate = erased
                proposal.interview = None

    @locked
    def rename(self, candidate_id: str, name: str) -> None:
        """Change a candidate's displayed name; nothing announces it."""
        self.candidates[candidate_id].name = name

    @locked
    def new_conversation(
        self,
        *,
        kind: str = "proposal",
        proposal_id: str | None = None,
        job_id: str | None = None,
        channel_name: str | None = None,
        **fields: Any,
    ) -> str:
        """Open a conversation of kind proposal, job or channel and return its id.

        A proposal thread gets its proposal (candidate's `name`) unless one is given. `fields`: type, name, extra.
        """
        type_ = fields.get("type", "DIRECT_MESSAGE")
        if kind == "proposal":
            chosen = proposal_id or self.new_proposal(job_id, name=fields.get("name"))
            return self.open_proposal_thread(chosen, type=type_, extra=fields.get("extra"))
        name = channel_name or ("general" if kind == "channel" else None)
        return self.new_room(
            job_id=job_id or self._first_job(), channel_name=name, type=type_, extra=fields.get("extra")
        )

    @locked
    def open_proposal_thread(self, proposal_id: str, *, type: str = "DIRECT_MESSAGE", extra: Json | None = None) -> str:
        """Open (or find) a proposal's conversation; returns its id."""
        proposal = self.proposals[proposal_id]
        if proposal.conversation_id is None:
            conversation = self.store_conversation(
                type, "proposal", updated=self.now_ms(), proposal_id=proposal_id, extra=extra
            )
            conversation.participants.add(proposal.candidate.id)
            proposal.conversation_id = conversation.id
        return proposal.conversation_id
