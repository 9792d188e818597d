"""What a reconcile may believe.

Absence is a suspicion until every conversation was compared, and a large loss needs a second look.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.held import HeldAccount, HeldSuspects, HeldTurn
from syncd.core.messages import message_event
from syncd.core.model import Conversation, Event, Instant, Message
from syncd.core.observations import Overdue, ReconcileBegun, SuspectsSettled
from syncd.core.pacing import SECOND_LOOK_SECONDS
from syncd.core.plan import Owed, Plan
from syncd.core.thread import Errand
from syncd.core.times import after, seconds_between


class Settlement(Struct, frozen=True, kw_only=True):
    """How the suspicions ended: believed and marked gone, or held back until a second look."""

    believed: int = 0
    held_back: int = 0


def plan_reconcile_begun(held: HeldAccount, begun: ReconcileBegun) -> Plan:
    """Remember that a comparison of everything is under way."""
    return Plan(memo=replace(held.memo, reconciling_since=begun.now, reconcile_listed=False))


def plan_suspects_settled(held: HeldSuspects, settled: SuspectsSettled) -> Plan:
    """Believe the suspicions that a comparison left, or hold a loss back; the answer is a Settlement."""
    memo = replace(held.memo, reconciling_since=None, reconcile_listed=False)
    account = replace(held.account, last_reconciled_at=settled.now) if held.memo.reconciling_since else None
    suspected = len(held.conversations) + len(held.messages)
    guard = _guard(held, settled)
    if guard is not None:
        due = after(settled.now, SECOND_LOOK_SECONDS)
        return Plan(
            account=account,
            memo=replace(memo, second_look_at=due, loss_guard=guard),
            owe=tuple(_looked_at_again(held, due)),
            answer=Settlement(held_back=suspected),
        )
    return Plan(
        rows=(
            *(replace(row, gone_at=settled.now) for row in held.conversations),
            *(replace(row, gone_at=settled.now) for row in held.messages),
        ),
        events=tuple(gone_events(held.conversations, held.messages, settled.now)),
        unsuspect=(
            *(("conversation", row.id) for row in held.conversations),
            *(("message", row.id) for row in held.messages),
        ),
        account=account,
        memo=replace(memo, second_look_at=None, loss_guard=None, trusted_scopes=memo.scopes),
        answer=Settlement(believed=suspected),
    )


def _guard(held: HeldSuspects, settled: SuspectsSettled) -> str | None:
    """Why the loss is not believed yet, or None.

    What another viewer's eyes don't see is not gone: after a change of the token's scopes nothing is believed until a
    person accepts it, or until a look finds nothing missing.
    """
    memo = held.memo
    loss = f"{len(held.messages)} messages and {len(held.conversations)} conversations look deleted"
    if memo.trusted_scopes not in (None, memo.scopes) and (held.messages or held.conversations):
        return f"{loss} since the token's scopes have changed; restore them, or run syncd accept"
    looked_twice = memo.second_look_at is not None and memo.second_look_at <= settled.now
    if _is_large_loss(held) and not looked_twice:
        return f"{loss}; nothing is marked before a second look agrees"
    return None


def _is_large_loss(held: HeldSuspects) -> bool:
    return is_large(len(held.conversations), held.all_conversations) or is_large(len(held.messages), held.all_messages)


def is_large(lost: int, of: int) -> bool:
    """Whether a loss wants a second look: all of an account's, or more than a fifth and more than five of them."""
    return lost > 0 and (lost >= of or (lost > 5 and lost * 5 > of))  # noqa: PLR2004 - the contract's own numbers


def _looked_at_again(held: HeldSuspects, due: str) -> Iterable[Owed]:
    conversations = {row.id for row in held.conversations} | {row.conversation_id for row in held.messages}
    for id_ in sorted(conversations):
        yield Owed(kind="conversation", subject_id=id_, due_at=due, errand=Errand(verify=True))


def gone_events(conversations: Iterable[Conversation], messages: Iterable[Message], now: Instant) -> Iterable[Event]:
    """What is told of losses that are believed."""
    for conversation in conversations:
        yield Event(kind="conversation.gone", conversation_id=conversation.id, occurred_at=now)
    for message in messages:
        yield message_event("message.deleted", message, now)


def plan_overdue(held: HeldTurn, overdue: Overdue) -> Plan:
    """Tell of a turn that has waited too long, once; look again when it will have."""
    if held.owed is None:
        return Plan()
    paid = (("overdue", overdue.conversation_id, held.owed.version),)
    turn = held.turn
    if turn is None or turn.told or overdue.after <= 0:
        return Plan(pay=paid)
    waited = seconds_between(turn.asked_at, overdue.now)
    if waited < overdue.after:
        return Plan(owe=(replace(held.owed, due_at=after(turn.asked_at, overdue.after)),))
    event = Event(
        kind="conversation.overdue",
        conversation_id=overdue.conversation_id,
        message_id=turn.message_id,
        baseline=turn.history,
        occurred_at=after(turn.asked_at, overdue.after),
        data={"waiting_seconds": int(waited)},
    )
    return Plan(events=(event,), pay=paid)
