"""The planner's input: what was fetched or what failed, and what the mirror holds of it."""

from msgspec import Struct

from syncd.core.model import (
    Candidate,
    Conversation,
    Identity,
    Instant,
    Interview,
    InterviewMessage,
    Job,
    Message,
    Page,
    Proposal,
    ProposalWithCandidate,
    Transcript,
    Unreadable,
)
from syncd.core.plan import Account, AccountCheckpoint, Failure, PendingTask, PollCost
from syncd.core.walk import ConversationCheckpoint, Fresh, Walk


class Observation(Struct, frozen=True, kw_only=True):
    """Something seen of one account."""

    account: str
    now: Instant


class Opened(Observation, frozen=True, kw_only=True):
    """The account is configured with this source and address."""

    source: str
    base_url: str


class Accepted(Observation, frozen=True, kw_only=True):
    """A person takes the account over as it is configured and identified now."""

    source: str
    base_url: str


class Removed(Observation, frozen=True, kw_only=True):
    """The account is no longer configured."""


class Identified(Observation, frozen=True, kw_only=True):
    """The server said whose token it is."""

    identity: Identity


class Entries(Observation, frozen=True, kw_only=True):
    """One page of the conversation list, behind `seen_before` entries.

    `reconcile`: each entry is to be compared whole, at `spread` seconds from one another.
    """

    entries: tuple[Conversation, ...]
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()
    reconcile: bool = False
    seen_before: int = 0
    spread: float = 0.0


class UnreadList(Observation, frozen=True, kw_only=True):
    """The first page of the unread list; `complete`: it was also the last, so that what is not on it is read."""

    entries: tuple[Conversation, ...]
    complete: bool
    server_time: Instant
    unreadable: tuple[Unreadable, ...] = ()


class ListWalked(Observation, frozen=True, kw_only=True):
    """The list was walked down to the mark, or to its end.

    `head` is its newest `updated_at`, as seen before the walk. `listed`: every id, if a reconcile walked it whole.
    `met`: what of it could not be read, if it went to the list's end.
    """

    head: Instant | None
    server_time: Instant
    listed: frozenset[str] | None = None
    met: frozenset[str] | None = None


class CheckDue(Observation, frozen=True, kw_only=True):
    """A conversation's turn has come: what has to be asked?"""

    conversation_id: str


class ClaimDue(Observation, frozen=True, kw_only=True):
    """It is time to look again which of two conversations a message belongs to."""

    message_id: str


class PageRead(Observation, frozen=True, kw_only=True):
    """A page that `walk` asked for; `leads_on` is the trail's verdict on its cursor.

    `pausing`: a search that has not found what it seeks goes on at the next poll only.
    """

    walk: Walk
    page: Page
    leads_on: bool
    pausing: bool = False


class CursorDied(Observation, frozen=True, kw_only=True):
    """The server refused the walk's cursor."""

    conversation_id: str
    walk: Walk


class ConversationGone(Observation, frozen=True, kw_only=True):
    """The conversation itself answered 404, or 403 while the list still answers for the same viewer."""

    conversation_id: str
    status: int


class ProposalRead(Observation, frozen=True, kw_only=True):
    """A proposal with its candidate."""

    with_candidate: ProposalWithCandidate


class TranscriptRead(Observation, frozen=True, kw_only=True):
    """A proposal's interview came."""

    transcript: Transcript


class InterviewMissing(Observation, frozen=True, kw_only=True):
    """The interview answered 404."""

    proposal_id: str


class ProposalMissing(Observation, frozen=True, kw_only=True):
    """The proposal answered 404."""

    proposal_id: str


class ListingsDue(Observation, frozen=True, kw_only=True):
    """The lists beside that of the conversations are to be walked."""


class JobsRead(Observation, frozen=True, kw_only=True):
    """A page of the owner's jobs; `every_proposal`: those of each are wanted."""

    jobs: tuple[Job, ...]
    every_proposal: bool = False
    unreadable: tuple[Unreadable, ...] = ()


class ProposalsListed(Observation, frozen=True, kw_only=True):
    """What of a page of a job's proposals could not be read."""

    job_id: str
    unreadable: tuple[Unreadable, ...]


class ListingProved(Observation, frozen=True, kw_only=True):
    """A list was walked to a proved end, and nothing of it failed; `met`: what of it could not be read."""

    kind: str
    subject_id: str
    met: frozenset[str] = frozenset()


class ListingDue(Observation, frozen=True, kw_only=True):
    """It is time to read a listing again, as some of it could not be read."""

    listing: str


class FeedRead(Observation, frozen=True, kw_only=True):
    """What the server's feed named: messages that were received and proposals that changed, and the place reached."""

    messages: tuple[tuple[str, str, Instant | None], ...]
    proposals: tuple[tuple[str, Instant | None], ...]
    cursor: str | None
    every_proposal: bool


class Failed(Observation, frozen=True, kw_only=True):
    """A subject could not be mirrored; `retry_after` seconds override the backoff."""

    kind: str
    subject_id: str
    reason: str
    request_id: str | None = None
    retry_after: float | None = None


class Waiting(Observation, frozen=True, kw_only=True):
    """The server told the account to ask nothing before `until`."""

    until: Instant


class Overdue(Observation, frozen=True, kw_only=True):
    """It is time to look whether somebody waits too long, that is more than `after` seconds."""

    conversation_id: str
    after: float


class PollEnded(Observation, frozen=True, kw_only=True):
    """A poll came to its end.

    `state` is what it found (ok, or a trouble), `error` why, `retry_at` when to try again, if the server said so.
    `caught_up`: everything that was owed has been looked at.
    """

    state: str
    error: str | None
    cost: PollCost
    poll_seconds: float
    retry_at: Instant | None = None
    caught_up: bool = False
    missing_scopes: tuple[str, ...] = ()


class ReconcileBegun(Observation, frozen=True, kw_only=True):
    """Everything is to be compared again: jobs and proposals, too, if they may be read.

    The proposals that are held stand `spread` seconds from one another.
    """

    jobs: bool = False
    proposals: bool = False
    spread: float = 0.0


class SuspectsSettled(Observation, frozen=True, kw_only=True):
    """Every comparison that was owed has been made, or has failed."""


class RunBegun(Observation, frozen=True, kw_only=True):
    """A first pass, a reconcile or a manual sync begins."""

    kind: str


class RunEnded(Observation, frozen=True, kw_only=True):
    """The run numbered `run_id` is over."""

    run_id: int
    kind: str
    started_at: Instant
    requests: int
    rows_written: int
    error: str | None


# What the mirror holds, as far as one plan needs it, read in the transaction that the plan is applied in.


class HeldAccount(Struct, frozen=True, kw_only=True):
    """The account itself; `account` is None before it was first seen. `change_id`: the last transaction's number."""

    account: Account | None
    account_checkpoint: AccountCheckpoint
    change_id: int


class Claim(Struct, frozen=True, kw_only=True):
    """A message that is held in one conversation, and that `claimant` shows as well.

    `is_met`: the comparison of the conversation that is asked about has met it. `fails`: the quarrel is known.
    """

    message: Message
    claimant: str
    is_met: bool = False
    fails: bool = False


class HeldMessages(Struct, frozen=True, kw_only=True):
    """Messages of one conversation, and whatever else is held under the ids asked for.

    `claims`: the messages, by id, that it and another conversation show. `gone`: which other conversations that hold
    some of the messages are gone.
    """

    messages: dict[str, Message] = {}
    claims: dict[str, Claim] = {}
    gone: frozenset[str] = frozenset()


class HeldConversation(HeldMessages, frozen=True, kw_only=True):
    """One conversation.

    `messages`: those of the ids asked for that are held. `newest_inbound`: the newest inbound message held that is not
    gone, and `told` the kinds of event that it has had. `interview_looked_for`: its proposal's interview is held, or a
    look at the proposal is owed.
    """

    account: Account
    change_id: int
    conversation: Conversation | None = None
    checkpoint: ConversationCheckpoint | None = None
    pending: PendingTask | None = None
    failure: Failure | None = None
    suspects: frozenset[str] = frozenset()
    newest_inbound: Fresh | None = None
    told: frozenset[str] = frozenset()
    interview_looked_for: bool = True


class HeldEntries(Struct, frozen=True, kw_only=True):
    """The conversations that an answer names, with their debts, and those that count as unread here.

    `messages`: those that the server's feed names and that are held.
    """

    account: Account
    account_checkpoint: AccountCheckpoint
    conversations: dict[str, Conversation]
    pending: dict[str, PendingTask]
    failing: frozenset[str]
    proposals: frozenset[str]
    unread: dict[str, Conversation]
    suspects: frozenset[str]
    messages: frozenset[str] = frozenset()


class HeldListing(Struct, frozen=True, kw_only=True):
    """The account's memory, and which conversations are held, not gone, and not on a list that was walked whole.

    `failure`: the list's own.
    """

    account_checkpoint: AccountCheckpoint
    unlisted: frozenset[str] = frozenset()
    failure: Failure | None = None


class HeldTask(Struct, frozen=True, kw_only=True):
    """A task that may be pending, and the failure of its subject."""

    pending: PendingTask | None = None
    failure: Failure | None = None


class HeldClaim(HeldTask, frozen=True, kw_only=True):
    """The task and the failure of a message that two conversations show; `claim` None: they no longer do."""

    claim: Claim | None = None


class HeldProposals(Struct, frozen=True, kw_only=True):
    """The account's memory, and the ids of every proposal that is held."""

    account_checkpoint: AccountCheckpoint
    proposals: tuple[str, ...]


class HeldProposal(Struct, frozen=True, kw_only=True):
    """One proposal with everything that hangs on it.

    `active_at`: when somebody last wrote in its conversation. `nameless`: its candidate had a name once.
    `erasure_since`: when the signs of the candidate's erasure were first seen.
    """

    account: Account
    proposal: Proposal | None
    candidate: Candidate | None
    interview: Interview | None
    messages: dict[str, InterviewMessage]
    pending: PendingTask | None
    failure: Failure | None
    active_at: Instant | None
    nameless: bool = False
    erasure_since: Instant | None = None


class HeldJobs(Struct, frozen=True, kw_only=True):
    """Those of the jobs asked for that are held."""

    jobs: dict[str, Job]


class HeldSuspects(Struct, frozen=True, kw_only=True):
    """What is suspected to be deleted upstream, beside how much of each is held and not gone.

    `since`: when each, by kind and id, was first missed. `deferred`: how much else is suspected in conversations that
    have yet to be looked at again.
    """

    account: Account
    account_checkpoint: AccountCheckpoint
    conversations: tuple[Conversation, ...]
    messages: tuple[Message, ...]
    all_conversations: int
    all_messages: int
    since: dict[tuple[str, str], Instant] = {}
    deferred: int = 0


class Turn(Struct, frozen=True, kw_only=True):
    """The inbound message that has waited longest for an answer in a two-sided conversation."""

    message_id: str
    asked_at: Instant
    history: bool
    told: bool


class HeldTurn(Struct, frozen=True, kw_only=True):
    """The open turn of a conversation whose needs-reply count is above 0; None when nobody waits."""

    pending: PendingTask | None
    turn: Turn | None
