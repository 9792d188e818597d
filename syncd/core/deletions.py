"""What a reconcile may believe.

Absence is a suspicion until every conversation was compared, and a large loss needs a second look.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.conversation import message_event
from syncd.core.model import Conversation, Event, Instant, Message
from syncd.core.observations import HeldProposals, HeldSuspects, HeldTurn, Overdue, ReconcileBegun, SuspectsSettled
from syncd.core.plan import AccountCheckpoint, PendingTask, Plan
from syncd.core.times import LONGEST_BACKOFF_SECONDS, SECOND_LOOK_SECONDS, after, clamp, seconds_between
from syncd.core.walk import Reason


class Settlement(Struct, frozen=True, kw_only=True):
    """How the suspicions ended: believed and marked gone, or held back until a second look."""

    believed: int = 0
    held_back: int = 0


def plan_reconcile_begun(held: HeldProposals, begun: ReconcileBegun) -> Plan:
    """Remember that a comparison of everything is under way, and owe what the conversation list does not name.

    That is the jobs, and every proposal that is held, whether or not a conversation shows it.
    """
    jobs = (PendingTask(kind="jobs", subject_id="mine", due_at=begun.now),) if begun.jobs else ()
    proposals = tuple(
        PendingTask(
            kind="proposal",
            subject_id=id_,
            due_at=after(begun.now, number * begun.spread),
            reason=Reason(verify=True),
        )
        for number, id_ in enumerate(held.proposals)
        if begun.proposals
    )
    return Plan(
        account_checkpoint=replace(held.account_checkpoint, reconciling_since=begun.now, reconcile_listed=False),
        tasks=(*jobs, *proposals),
    )


class _Loss(Struct, frozen=True, kw_only=True):
    """Some of the suspicions."""

    conversations: tuple[Conversation, ...] = ()
    messages: tuple[Message, ...] = ()

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.conversations) + len(self.messages)


def plan_suspects_settled(held: HeldSuspects, settled: SuspectsSettled) -> Plan:
    """Believe the suspicions that a comparison left, or hold a loss back; the answer is a Settlement.

    A reconcile is over once the end of its list was proved.
    """
    account_checkpoint = held.account_checkpoint
    reconciled = account_checkpoint.reconciling_since is not None and account_checkpoint.reconcile_listed
    if reconciled:
        account_checkpoint = replace(account_checkpoint, reconciling_since=None, reconcile_listed=False)
    believed, doubted = _weighed(held, settled.now)
    tasks: tuple[PendingTask, ...] = ()
    if doubted.size:
        second = _second_look_at(held.account_checkpoint, settled.now)
        waits = second is not None and second > settled.now
        due = second if waits and second else after(settled.now, SECOND_LOOK_SECONDS)
        account_checkpoint = replace(account_checkpoint, second_look_at=due, loss_guard=_guard(held, doubted))
        tasks = tuple(_looked_at_again(doubted, due))
    elif not held.deferred:
        account_checkpoint = replace(
            account_checkpoint, second_look_at=None, loss_guard=None, trusted_scopes=account_checkpoint.scopes
        )
    return Plan(
        rows=tuple(replace(row, gone_at=settled.now) for row in (*believed.conversations, *believed.messages)),
        events=tuple(gone_events(believed.conversations, believed.messages, settled.now)),
        unsuspect=(
            *(("conversation", row.id) for row in believed.conversations),
            *(("message", row.id) for row in believed.messages),
        ),
        account=replace(held.account, last_reconciled_at=settled.now) if reconciled else None,
        account_checkpoint=None if account_checkpoint == held.account_checkpoint else account_checkpoint,
        tasks=tasks,
        answer=Settlement(believed=believed.size, held_back=doubted.size),
    )


def _weighed(held: HeldSuspects, now: Instant) -> tuple[_Loss, _Loss]:
    """What is believed and what is not yet: of a large loss only what was missing before the second look, too.

    What another viewer's eyes don't see is not gone: after a change of the token's scopes nothing is believed until a
    person accepts it, or until a look finds nothing missing.
    """
    every = _Loss(conversations=held.conversations, messages=held.messages)
    if _have_scopes_changed(held):
        return _Loss(), every
    if not _is_large_loss(held):
        return every, _Loss()
    second_look = _second_look_at(held.account_checkpoint, now)
    if second_look is None or second_look > now:
        return _Loss(), every
    first_look = after(second_look, -SECOND_LOOK_SECONDS)
    twice = frozenset(subject for subject, since in held.since.items() if since <= first_look)
    return _part(every, twice, is_in=True), _part(every, twice, is_in=False)


def _second_look_at(checkpoint: AccountCheckpoint, now: Instant) -> Instant | None:
    """When a large loss is looked at again: never later than it would be if it were first seen now."""
    return None if checkpoint.second_look_at is None else clamp(checkpoint.second_look_at, now, SECOND_LOOK_SECONDS)


def _part(loss: _Loss, subjects: frozenset[tuple[str, str]], *, is_in: bool) -> _Loss:
    return _Loss(
        conversations=tuple(row for row in loss.conversations if (("conversation", row.id) in subjects) is is_in),
        messages=tuple(row for row in loss.messages if (("message", row.id) in subjects) is is_in),
    )


def _have_scopes_changed(held: HeldSuspects) -> bool:
    return held.account_checkpoint.trusted_scopes not in (None, held.account_checkpoint.scopes)


def _guard(held: HeldSuspects, doubted: _Loss) -> str:
    """Why the loss is not believed yet."""
    loss = f"{len(doubted.messages)} messages and {len(doubted.conversations)} conversations look deleted"
    if _have_scopes_changed(held):
        return f"{loss} since the token's scopes have changed; restore them, or run syncd accept"
    return f"{loss}; nothing is marked before a second look agrees"


def _is_large_loss(held: HeldSuspects) -> bool:
    return is_large(len(held.conversations), held.all_conversations) or is_large(len(held.messages), held.all_messages)


def is_large(lost: int, of: int) -> bool:
    """Whether a loss wants a second look: all of an account's, or more than a fifth and more than five of them."""
    return lost > 0 and (lost >= of or (lost > 5 and lost * 5 > of))  # noqa: PLR2004 - the contract's own numbers


def _looked_at_again(doubted: _Loss, due: Instant) -> Iterable[PendingTask]:
    conversations = {row.id for row in doubted.conversations} | {row.conversation_id for row in doubted.messages}
    for id_ in sorted(conversations):
        yield PendingTask(kind="conversation", subject_id=id_, due_at=due, reason=Reason(verify=True))


def gone_events(conversations: Iterable[Conversation], messages: Iterable[Message], now: Instant) -> Iterable[Event]:
    """What is told of losses that are believed."""
    for conversation in conversations:
        yield Event(kind="conversation.gone", conversation_id=conversation.id, occurred_at=now)
    for message in messages:
        yield message_event("message.deleted", message, now)


def plan_overdue(held: HeldTurn, overdue: Overdue) -> Plan:
    """Tell of a turn that has waited too long, once; look again when it will have."""
    if held.pending is None:
        return Plan()
    completed = (("overdue", overdue.conversation_id, held.pending.version),)
    turn = held.turn
    if turn is None or turn.told or overdue.after <= 0:
        return Plan(completed=completed)
    waited = seconds_between(turn.asked_at, overdue.now)
    if waited < overdue.after:
        due = clamp(after(turn.asked_at, overdue.after), overdue.now, LONGEST_BACKOFF_SECONDS)
        return Plan(tasks=(replace(held.pending, due_at=due),))
    event = Event(
        kind="conversation.overdue",
        conversation_id=overdue.conversation_id,
        message_id=turn.message_id,
        baseline=turn.history,
        occurred_at=after(turn.asked_at, overdue.after),
        data={"waiting_seconds": int(waited)},
    )
    return Plan(events=(event,), completed=completed)
