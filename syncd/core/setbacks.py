"""Plans for what went wrong with one conversation: a dead cursor, a failure, its end."""

from msgspec.structs import replace

from syncd.core.held import HeldThread
from syncd.core.model import Event
from syncd.core.observations import ConversationGone, CursorDied, Failed
from syncd.core.pacing import backoff
from syncd.core.plan import Failure, Plan
from syncd.core.settling import count_entry, find_debt
from syncd.core.thread import Walk
from syncd.core.times import after
from syncd.core.walk import after_dead_cursor


def plan_dead_cursor(held: HeldThread, died: CursorDied) -> Plan:
    """Forget the cursor and begin the one recovery: the answer is its Walk, or None when it has failed already."""
    if held.thread is None:
        return Plan()
    walk: Walk | None = after_dead_cursor(held.thread, died.walk)
    tail = None if died.walk.direction == "newer" else held.thread.tail_cursor
    thread = replace(held.thread, tail_cursor=tail, walk=walk)
    return Plan(threads=((died.conversation_id, thread),), answer=walk)


def plan_conversation_failed(held: HeldThread, failed: Failed) -> Plan:
    """Put the conversation off, with the reason; its counts are believed all the same: nobody's reply goes untold."""
    debt = find_debt(held)
    if debt is None:
        return Plan()
    failure = next_failure(held.failure, failed)
    counted, thread = count_entry(held, debt, debt.thread, held.messages, failed.now)
    again = replace(debt.owed, due_at=failure.next_try_at)
    return replace(counted, threads=((debt.entry.id, thread),), failures=(failure,), owe=(*counted.owe, again))


def next_failure(held: Failure | None, failed: Failed) -> Failure:
    """The row in `failures` after one more try."""
    tries = 1 if held is None else held.tries + 1
    wait = backoff(tries) if failed.retry_after is None else failed.retry_after
    return Failure(
        kind=failed.kind,
        subject_id=failed.subject_id,
        reason=failed.reason,
        request_id=failed.request_id,
        tries=tries,
        first_failed_at=failed.now if held is None else held.first_failed_at,
        next_try_at=after(failed.now, wait),
    )


def plan_conversation_gone(held: HeldThread, gone: ConversationGone) -> Plan:
    """Mark a conversation that the server no longer has, or no longer shows us; its messages stay as they were.

    In a comparison of everything it is a suspicion at first, so that a large loss is looked at twice.
    """
    if held.owed is None:
        return Plan()
    pay = (("conversation", gone.conversation_id, held.owed.version),)
    recovered = () if held.failure is None else (("conversation", gone.conversation_id),)
    if held.conversation is None or held.conversation.gone_at is not None:
        return Plan(pay=pay, recovered=recovered)
    threads = () if held.thread is None else ((held.conversation.id, replace(held.thread, walk=None, sought=None)),)
    if held.owed.errand is not None and held.owed.errand.verify:
        suspect = ("conversation", gone.conversation_id, gone.conversation_id)
        return Plan(threads=threads, suspects=(suspect,), pay=pay, recovered=recovered)
    return Plan(
        rows=(replace(held.conversation, gone_at=gone.now),),
        events=(Event(kind="conversation.gone", conversation_id=held.conversation.id, occurred_at=gone.now),),
        threads=threads,
        pay=pay,
        recovered=recovered,
    )
