"""What an outgoing message does next. Pure: rows in, plans out."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.conversation import message_event
from syncd.core.listing import plan_entries
from syncd.core.model import Conversation, Instant, Message, Outgoing, normal
from syncd.core.observations import Entries, HeldConversation, HeldEntries, Observation
from syncd.core.plan import Plan
from syncd.core.times import AHEAD_SECONDS, after, is_due, seconds_between
from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    UnreachableError,
    UsageError,
)


class MatchCandidate(Struct, frozen=True, kw_only=True):
    """A message of the viewer's that no row of the outbox claims; `first_seen_at` None: it is not held."""

    message: Message
    first_seen_at: Instant | None = None


class HeldOutbox(Struct, frozen=True, kw_only=True):
    """One conversation's outbox, as far as a plan needs it.

    `outgoing`: the row asked for; `next_id`: the number of the next one. `open`: the rows that are sending or
    unconfirmed. `candidates`: messages held that may be theirs. `claimed`: messages that rows have found. `checkpoint`:
    the conversation with those of the messages asked for that are held.
    """

    checkpoint: HeldConversation
    next_id: int
    outgoing: Outgoing | None = None
    open: tuple[Outgoing, ...] = ()
    candidates: tuple[MatchCandidate, ...] = ()
    claimed: frozenset[str] = frozenset()


class Queued(Observation, frozen=True, kw_only=True):
    """Somebody wants a text sent; the same `key` is the same wish."""

    conversation_id: str
    content: str
    key: str | None = None
    later: bool = False


class Attempted(Observation, frozen=True, kw_only=True):
    """The message's turn has come: it is to be sent now."""

    id: int


class Answered(Observation, frozen=True, kw_only=True):
    """The server took the message, and answered with it."""

    id: int
    message: Message


class Unanswered(Observation, frozen=True, kw_only=True):
    """The attempt brought no message; `state` is what becomes of it, `error` what to tell a person."""

    id: int
    state: str
    error: str


class Looked(Observation, frozen=True, kw_only=True):
    """A conversation was read back beyond the attempts, to see what of the messages `ids` has arrived.

    `gone`: the server is well, and has no such conversation for us.
    """

    conversation_id: str
    ids: frozenset[int]
    messages: tuple[Message, ...]
    server_time: Instant
    gone: bool = False


class Ordered(Observation, frozen=True, kw_only=True):
    """A person cancels the message, or wants it sent (again)."""

    id: int
    again: bool


class Found(Observation, frozen=True, kw_only=True):
    """A proposal's conversation was opened or found; `entry` None: the list does not show it yet."""

    conversation_id: str
    proposal_id: str
    entry: Conversation | None


# What an outgoing message does next. Pure: rows in, plans out.
#
# queued → sending → sent | failed | queued again (it surely never left); what may have arrived stays `sending` until
# the conversation was read: found, it is sent; not found in two looks a minute apart, it is unconfirmed. A queued one
# that is late is expired, and a person may cancel it. Only a person sends an unconfirmed one again.


LATER_SECONDS = 60.0
"""How long a message for later can be cancelled before it leaves, in seconds."""

EXPIRES_SECONDS = 3600.0
"""How long a queued message waits before it is given up, in seconds."""

SETTLE_SECONDS = 60.0
"""How far apart two looks must lie before a message that neither found is unconfirmed, in seconds."""

TOLERANCE_SECONDS = 5.0
"""How much earlier than its attempt a message may seem created: servers' clocks differ, and `Date` has no fractions."""

_LOOKS = (0.0, 2.0, 5.0, 10.0, 15.0, 30.0)
_RETRIED = frozenset({"unconfirmed", "failed", "expired", "cancelled"})
_UNCONFIRMED = "its reply was lost and it is not in the conversation; look there, then send it again with: {}"
_EXPIRED = "it could not leave before {}; send it after all with: {}"


def look_delay(looks: int) -> float:
    """Seconds from one look for a lost message to the next, after so many."""
    return _LOOKS[min(looks, len(_LOOKS) - 1)]


def next_state(error: FetchError) -> str:
    """What becomes of a message whose attempt ended so: failed, where the server refused this very message.

    `queued`: it surely never left, or the refusal is about the account. `sending`: it may have arrived.
    """
    if isinstance(error, ForbiddenError | NotFoundError | RejectedError):
        return "failed"
    if isinstance(error, AuthError | RateLimitedError):
        return "queued"
    return "queued" if isinstance(error, UnreachableError) and error.reason == "connect" else "sending"


def retry_command(id: int) -> str:
    """What a person types to send it (again)."""
    return f"syncd outbox retry {id}"


def plan_queued(held: HeldOutbox, queued: Queued) -> Plan:
    """Put a text into the outbox, unless that was done; the answer is its row."""
    if held.outgoing is not None:
        return Plan(answer=held.outgoing)
    outgoing = Outgoing(
        id=held.next_id,
        conversation_id=queued.conversation_id,
        state="queued",
        content=queued.content,
        created_at=queued.now,
        expires_at=after(queued.now, EXPIRES_SECONDS),
        key=queued.key,
        leaves_at=after(queued.now, LATER_SECONDS) if queued.later else None,
    )
    return _changed(outgoing)


def is_late(outgoing: Outgoing, now: Instant) -> bool:
    """Whether a queued message's hour is over; one whose hour has yet to begin was queued by a clock that was wrong."""
    return outgoing.expires_at is not None and is_due(outgoing.expires_at, now, EXPIRES_SECONDS)


def seconds_until_leaving(outgoing: Outgoing, now: Instant) -> float:
    """How long a message for later still waits; an instant further off than it can be, of a wrong clock, is none."""
    left = 0.0 if outgoing.leaves_at is None else seconds_between(now, outgoing.leaves_at)
    return left if 0 < left <= LATER_SECONDS else 0.0


def plan_attempted(held: HeldOutbox, attempted: Attempted) -> Plan:
    """Say, before it is sent, that it is being sent; the answer is the row: it may be too late for it, or cancelled."""
    outgoing = held.outgoing
    if outgoing is None or outgoing.state != "queued":
        return Plan(answer=outgoing)
    if is_late(outgoing, attempted.now):
        error = _EXPIRED.format(outgoing.expires_at, retry_command(outgoing.id))
        return _changed(replace(outgoing, state="expired", error=error))
    if seconds_until_leaving(outgoing, attempted.now):
        return Plan(answer=outgoing)
    since = outgoing.since or attempted.now
    return _changed(replace(outgoing, state="sending", attempted_at=attempted.now, since=since, error=None))


def _changed(outgoing: Outgoing) -> Plan:
    return Plan(outgoing=(outgoing,), answer=outgoing)


def plan_answered(held: HeldOutbox, answered: Answered) -> Plan:
    """The message is sent: it is stored as one that was met, and its text leaves the outbox."""
    outgoing = held.outgoing
    if outgoing is None:
        return Plan()
    message = replace(
        answered.message,
        is_from_viewer=answered.message.is_from_viewer is not False,
        content=outgoing.content if answered.message.content is None else answered.message.content,
    )
    row = _sent(outgoing, message.id)
    return replace(_stored(held.checkpoint, [message]), outgoing=(row,), answer=row)


def _sent(outgoing: Outgoing, message_id: str) -> Outgoing:
    return replace(outgoing, state="sent", message_id=message_id, content=None, error=None, since=None, missed_at=None)


def _stored(held: HeldConversation, messages: Iterable[Message]) -> Plan:
    """Messages that we know of before their page was read; a place above the proved run proves nothing below it."""
    new = tuple(message for message in messages if message.id not in held.messages)
    if not new:
        return Plan()
    events = tuple(message_event("message.new", message, message.created_at) for message in new)
    if held.checkpoint is None:
        return Plan(rows=new, events=events)
    created = [message.created_at for message in new if message.created_at is not None]
    times = [*created, *(message.updated_at for message in new if message.updated_at is not None)]
    checkpoint = replace(
        held.checkpoint,
        latest=max([*times, *filter(None, [held.checkpoint.latest])], default=None),
        oldest=min([*created, *filter(None, [held.checkpoint.oldest])], default=None),
    )
    return Plan(rows=new, events=events, checkpoints=((new[0].conversation_id, checkpoint),))


def plan_unanswered(held: HeldOutbox, unanswered: Unanswered) -> Plan:
    """Note how the attempt ended; one that surely did not arrive leaves no trace of itself."""
    outgoing = held.outgoing
    if outgoing is None or outgoing.state != "sending":
        return Plan(answer=outgoing)
    outgoing = replace(outgoing, state=unanswered.state, error=unanswered.error)
    if unanswered.state != "sending" and outgoing.since == outgoing.attempted_at:
        outgoing = replace(outgoing, since=None)
    return _changed(outgoing)


def plan_looked(held: HeldOutbox, looked: Looked) -> Plan:
    """Settle what the look can settle; what it did not find is unconfirmed once two looks lie far enough apart."""
    conversation = held.checkpoint.conversation
    if not looked.messages and not looked.gone and conversation is not None and conversation.last_message_id:
        return Plan()  # an empty answer about a conversation that is not: it proves nothing
    met = [
        MatchCandidate(message=message)
        for message in looked.messages
        if message.id not in held.checkpoint.messages and message.id not in held.claimed
    ]
    found = match(held.open, (*held.candidates, *met), seconds_between(looked.now, looked.server_time))
    sent = tuple(_sent(row, found[row.id].id) for row in held.open if row.id in found)
    missed = [(row, _missed(row, looked.now)) for row in held.open if row.id in looked.ids and row.id not in found]
    changed = tuple(after_look for row, after_look in missed if after_look != row)
    return replace(_stored(held.checkpoint, found.values()), outgoing=(*sent, *changed))


def _missed(outgoing: Outgoing, now: Instant) -> Outgoing:
    if outgoing.state != "sending":
        return outgoing
    if outgoing.missed_at is None or outgoing.missed_at > after(now, AHEAD_SECONDS):
        return replace(outgoing, missed_at=now)
    if seconds_between(outgoing.missed_at, now) < SETTLE_SECONDS:
        return outgoing
    error = _UNCONFIRMED.format(retry_command(outgoing.id))
    return replace(outgoing, state="unconfirmed", error=error, missed_at=None)


def plan_met(held: HeldOutbox, now: Instant, server_time: Instant) -> Plan:
    """Join unconfirmed rows to what a poll has stored; not while one of the same text may be arriving right now."""
    arriving = {normal(row.content) for row in held.open if row.state == "sending"}
    rows = [row for row in held.open if row.state == "unconfirmed" and normal(row.content) not in arriving]
    found = match(rows, held.candidates, seconds_between(now, server_time))
    return Plan(outgoing=tuple(_sent(row, found[row.id].id) for row in rows if row.id in found))


def match(open_rows: Iterable[Outgoing], candidates: Iterable[MatchCandidate], skew: float) -> dict[int, Message]:
    """Which message is which row's: of the same text, and created after the row's first attempt that may have arrived.

    `skew` seconds are what the server's clock is ahead of ours. The last attempt chooses first: whatever it may take,
    the earlier ones may too, so no row goes without for want of order.
    """
    left = sorted(candidates, key=lambda candidate: candidate.message.place)
    found: dict[int, Message] = {}
    for row in sorted(open_rows, key=lambda row: (row.since or "", row.id), reverse=True):
        mine = next((candidate for candidate in left if _is_same(row, candidate, skew)), None)
        if mine is not None:
            left.remove(mine)
            found[row.id] = mine.message
    return found


def _is_same(row: Outgoing, candidate: MatchCandidate, skew: float) -> bool:
    message = candidate.message
    if row.since is None or message.created_at is None or not message.is_from_viewer or message.is_system:
        return False
    if candidate.first_seen_at is not None and candidate.first_seen_at < row.since:
        return False  # it was there before
    return message.created_at >= earliest(row.since, skew) and normal(message.content) == normal(row.content)


def earliest(since: Instant, skew: float) -> Instant:
    """By the server's clock, the first instant at which an attempt made at `since` can have arrived."""
    return after(since, skew - TOLERANCE_SECONDS)


def plan_ordered(held: HeldOutbox, ordered: Ordered) -> Plan:
    """Cancel what is queued, or queue again what was given up; the answer is the row. Raises UsageError."""
    outgoing = held.outgoing
    if outgoing is None:
        raise UsageError(f"there is no message {ordered.id} in the outbox; syncd outbox lists them")
    if not ordered.again:
        if outgoing.state != "queued":
            raise UsageError(f"message {outgoing.id} is {outgoing.state}: only a queued one can be cancelled")
        return _changed(replace(outgoing, state="cancelled"))
    if outgoing.state not in _RETRIED or outgoing.content is None:
        raise UsageError(f"message {outgoing.id} is {outgoing.state}: there is nothing to send again")
    expires_at = after(ordered.now, EXPIRES_SECONDS)
    again = replace(outgoing, state="queued", expires_at=expires_at, error=None, missed_at=None, leaves_at=None)
    return _changed(again)


def plan_found(held: HeldEntries, found: Found) -> Plan:
    """Hold the conversation as the list shows it, else as much as is known of it, unless it is held already."""
    entry = found.entry
    if entry is None:
        if found.conversation_id in held.conversations:
            return Plan()
        entry = Conversation(id=found.conversation_id, bucket="proposal", proposal_id=found.proposal_id)
    seen = Entries(account=found.account, now=found.now, entries=(entry,), server_time=found.now)
    return plan_entries(held, seen)


# What a person can do about a refused message or conversation; the server's own words go with it.


_ADVICE = {
    "account_claim_required": "claim the account first",
    "message_policy_blocked": "the server's policy forbids this text; write it in another way",
    "employer_first_message_required": "the employer has to write first in this conversation",
    "read_only_conversation": "this conversation takes no messages any more",
    "message_blocked": "the server takes no messages to this person",
    "proposal_not_ready_for_messaging": "this proposal can't be written to yet",
    "unusable": "nothing was sent; correct it",
    "feature_disabled": "messages through the API are switched off for this account; ask OpenTrain to switch them on",
}
_ADVICE_BY_STATUS = {
    400: "the server takes no such message; change it",
    403: "the token may not write here",
    404: "the server knows no such conversation or proposal",
}
_MISSING_SCOPE = "the token lacks the scope messages:write; give the account one that has it"


def advise(error: FetchError, *, may_write: bool) -> str:
    """The refusal in one line: what to do, then the server's reason. `may_write`: the token has the scope."""
    known = _ADVICE.get(error.reason) or _ADVICE_BY_STATUS.get(error.status or 0) or "the server refuses it"
    advice = _MISSING_SCOPE if error.status == 403 and not may_write else known  # noqa: PLR2004 - HTTP's own number
    request = f", request {error.request_id}" if error.request_id else ""
    return f"{advice} ({error.said or error.reason}{request})"
