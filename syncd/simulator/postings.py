"""Jobs, proposals, candidates and interviews, and how the API prints each."""

from dataclasses import dataclass, field

from syncd.simulator.records import Json
from syncd.simulator.stamps import iso


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
