"""What the mirror holds, as far as one plan needs it, read in the transaction that the plan is applied in."""

from msgspec import Struct

from syncd.core.model import Candidate, Conversation, Instant, Interview, InterviewMessage, Job, Message, Proposal
from syncd.core.plan import Account, Failure, Memo, Owed
from syncd.core.thread import Fresh, Thread


class HeldAccount(Struct, frozen=True, kw_only=True):
    """The account itself; `account` is None before it was first seen. `change_id`: the last transaction's number."""

    account: Account | None
    memo: Memo
    change_id: int


class HeldThread(Struct, frozen=True, kw_only=True):
    """One conversation.

    `messages`: those of the ids asked for that are held. `newest_inbound`: the newest inbound message held that is not
    gone, and `told` the kinds of event that it has had. `interview_looked_for`: its proposal's interview is held, or a
    look at the proposal is owed.
    """

    account: Account
    change_id: int
    conversation: Conversation | None = None
    thread: Thread | None = None
    owed: Owed | None = None
    failure: Failure | None = None
    messages: dict[str, Message] = {}
    suspects: frozenset[str] = frozenset()
    newest_inbound: Fresh | None = None
    told: frozenset[str] = frozenset()
    interview_looked_for: bool = True


class HeldEntries(Struct, frozen=True, kw_only=True):
    """The conversations that an answer names, with their debts, and those that count as unread here.

    `messages`: those that the server's feed names and that are held.
    """

    account: Account
    memo: Memo
    conversations: dict[str, Conversation]
    owed: dict[str, Owed]
    failing: frozenset[str]
    proposals: frozenset[str]
    unread: dict[str, Conversation]
    suspects: frozenset[str]
    messages: frozenset[str] = frozenset()


class HeldListing(Struct, frozen=True, kw_only=True):
    """The account's memory, and which conversations are held, not gone, and not on a list that was walked whole."""

    memo: Memo
    unlisted: frozenset[str] = frozenset()


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
    owed: Owed | None
    failure: Failure | None
    active_at: Instant | None
    nameless: bool = False
    erasure_since: Instant | None = None


class HeldJobs(Struct, frozen=True, kw_only=True):
    """Those of the jobs asked for that are held; `owed` and `failure`: while all of them could not be had."""

    jobs: dict[str, Job]
    owed: Owed | None = None
    failure: Failure | None = None


class HeldSuspects(Struct, frozen=True, kw_only=True):
    """What is suspected to be deleted upstream, beside how much of each is held and not gone.

    `since`: when each, by kind and id, was first missed. `deferred`: how much else is suspected in conversations that
    have yet to be looked at again.
    """

    account: Account
    memo: Memo
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

    owed: Owed | None
    turn: Turn | None
