"""What the engine needs from the outside; each interface is owned here, by its consumer."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

from syncd.core.model import (
    ChangePage,
    EntryPage,
    Identity,
    Instant,
    JobPage,
    Message,
    NotModified,
    OpenedConversation,
    Outgoing,
    Page,
    ProposalPage,
    ProposalWithCandidate,
    Snapshot,
    Subject,
    SubjectKind,
    SubjectList,
    Transcript,
)
from syncd.core.observations import HeldAccount, Observation

Direction = Literal["older", "newer"]


class Clock(Protocol):
    """The time: what the wall says, what only grows, what was worked, and how to wait."""

    def now(self) -> Instant:
        """The wall clock's time."""

    def monotonic(self) -> float:
        """Seconds that only grow; they stand still while the machine sleeps."""

    def cpu(self) -> float:
        """Seconds of processor time that this process has used."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Backlog(Struct, frozen=True, kw_only=True):
    """Comparisons that are owed and have not failed, and suspicions that they left."""

    comparisons: int
    suspects: int


class ChangeFeed(Protocol):
    """A server's own feed of what changed: ids only."""

    async def fetch_changes(self, cursor: str | None) -> ChangePage:
        """One page from after `cursor` (None: from the beginning), oldest first."""


class Cost(Protocol):
    """What the requests of a source have cost since it was opened."""

    @property
    def requests(self) -> int:
        """How many were sent."""

    @property
    def received_bytes(self) -> int:
        """How many bytes of answers came."""

    @property
    def by_status(self) -> Mapping[int, int]:
        """How many answers came, by HTTP status."""


class Source(Protocol):
    """A server that is mirrored."""

    @property
    def cost(self) -> Cost:
        """What it has cost so far."""

    def drop_connections(self) -> None:
        """Connect anew for what comes next: after a suspend the old connections lead nowhere."""

    async def close(self) -> None:
        """Let go of every connection."""


class PagedSource(Source, ChangeFeed, Protocol):
    """A server whose conversations come in pages.

    Every call raises a subclass of FetchError: UnreachableError, ProtocolError, AuthError, ForbiddenError,
    NotFoundError, RejectedError, RateLimitedError. Retries of passing faults are already inside; waiting out a 429 is
    not.
    """

    @property
    def cost(self) -> Cost:
        """What it has cost so far."""

    @property
    def tokens_taken(self) -> int:
        """How many different tokens it has used so far: one that was renewed may be another user's."""

    async def fetch_identity(self) -> Identity:
        """Whose token it is."""

    async def fetch_entries(self, cursor: str | None, *, unread_only: bool = False) -> EntryPage:
        """A page of the conversation list, newest activity first."""

    async def fetch_messages(self, conversation_id: str, direction: Direction, cursor: str | None) -> Page:
        """A page of one conversation's messages."""

    async def fetch_proposal(self, proposal_id: str) -> ProposalWithCandidate:
        """A proposal with its candidate."""

    async def fetch_interview(self, proposal_id: str) -> Transcript:
        """A proposal's interview; NotFoundError when none is recorded."""

    async def fetch_jobs(self, cursor: str | None) -> JobPage:
        """A page of the owner's jobs."""

    async def fetch_job_proposals(self, job_id: str, cursor: str | None) -> ProposalPage:
        """A page of one job's proposals, newest first."""


class SnapshotSource(Source, Protocol):
    """A server whose chats come whole; it raises what a PagedSource does."""

    async def fetch_chat(self, kind: SubjectKind, id: str, etag: str | None) -> Snapshot | NotModified:
        """All messages of one chat; NotModified when it still is what `etag` names."""

    async def fetch_jobs(self) -> SubjectList:
        """Every job; as the server must answer this whatever it holds, it also tells an outage from one bad id."""

    async def fetch_job(self, id: str) -> Subject:
        """One job; NotFoundError when there is none."""

    async def fetch_candidates(self, job_id: str) -> SubjectList:
        """The candidates of one job."""

    async def fetch_candidate(self, id: str) -> Subject:
        """One candidate; NotFoundError when there is none."""


@runtime_checkable
class Sender(Protocol):
    """A source that takes messages, too; neither call is repeated inside unless it surely never left."""

    async def send_message(self, conversation_id: str, content: str) -> Message:
        """Send one message, once: UnreachableError "connect" says that it never left, any other that it may have."""

    async def open_conversation(self, proposal_id: str) -> OpenedConversation:
        """The proposal's conversation, which is opened if there is none yet."""


class Store(Protocol):
    """The one writer: it reads the held rows, plans, and applies what it is given, in one transaction."""

    async def apply(self, observation: Observation) -> Any:
        """Commit all that the observation changes; the planner's answer comes back after the commit.

        Raises StoreTroubleError where the disk or the database refuses.
        """

    async def fetch_account(self, account: str) -> HeldAccount:
        """The account as it is now."""

    async def fetch_due(
        self, account: str, now: Instant, kinds: Sequence[str], *, failing: bool = False
    ) -> list[tuple[str, str]]:
        """Kind and subject of all of these kinds that is due, oldest first; `failing`: or fails, due or not."""

    async def fetch_failures(self, account: str) -> dict[tuple[str, str], Instant]:
        """When each thing that fails is tried again, by kind and subject."""

    async def fetch_backlog(self, account: str) -> Backlog:
        """What stands between the account and the end of a comparison."""

    async def fetch_waiting(self, account: str) -> list[Outgoing]:
        """The messages that are to be sent, or looked for, oldest first."""

    async def fetch_outgoing(self, account: str, id_: int) -> Outgoing | None:
        """A message of the account's outbox."""

    def rows_written(self, account: str) -> int:
        """How many rows of the account were written since the store was opened."""
