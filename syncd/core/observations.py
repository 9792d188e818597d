"""Observations: what was fetched, or what failed; each is planned and committed as one.

`now` is our clock's time when it was made. What the writer's queue carries is observations, never plans: the plan is
made from the rows that the writing transaction itself has read.
"""

from msgspec import Struct

from syncd.core.answers import Dossier, Identity, Page, Transcript
from syncd.core.model import Conversation, Instant, Job
from syncd.core.plan import PollCost
from syncd.core.thread import Walk


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
    reconcile: bool = False
    seen_before: int = 0
    spread: float = 0.0


class UnreadList(Observation, frozen=True, kw_only=True):
    """The first page of the unread list; `complete`: it was also the last, so that what is not on it is read."""

    entries: tuple[Conversation, ...]
    complete: bool
    server_time: Instant


class ListWalked(Observation, frozen=True, kw_only=True):
    """The list was walked down to the mark.

    `head` is its newest `updated_at`, as seen before the walk. `listed`: every id, if the walk was whole.
    """

    head: Instant | None
    server_time: Instant
    listed: frozenset[str] | None = None


class Look(Observation, frozen=True, kw_only=True):
    """A conversation's turn has come: what has to be asked?"""

    conversation_id: str


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

    dossier: Dossier


class TranscriptRead(Observation, frozen=True, kw_only=True):
    """A proposal's interview came."""

    transcript: Transcript


class InterviewMissing(Observation, frozen=True, kw_only=True):
    """The interview answered 404."""

    proposal_id: str


class ProposalMissing(Observation, frozen=True, kw_only=True):
    """The proposal answered 404."""

    proposal_id: str


class JobsRead(Observation, frozen=True, kw_only=True):
    """A page of the owner's jobs; `whole`: all of them were read, and nothing failed."""

    jobs: tuple[Job, ...]
    whole: bool = False


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
    """Everything is to be compared again."""


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
