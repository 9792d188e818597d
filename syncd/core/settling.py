"""The debt of a conversation, and its payment: an entry is believed once its messages are stored."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.counts import count_events, is_counted
from syncd.core.held import HeldThread
from syncd.core.model import Conversation, Event, Instant, Key, Message
from syncd.core.pacing import INTERVIEW_LOOK_SECONDS
from syncd.core.plan import Owed, Plan
from syncd.core.thread import Errand, Thread
from syncd.core.times import after


class Debt(Struct, frozen=True, kw_only=True):
    """A conversation that is owed a look: its checkpoint, the entry to be settled, and why."""

    owed: Owed
    thread: Thread
    entry: Conversation
    errand: Errand


def find_debt(held: HeldThread) -> Debt | None:
    """What is owed, or None when it was paid in the meantime."""
    if held.owed is None or held.thread is None:
        return None
    errand = held.owed.errand or Errand()
    entry = errand.entry or held.conversation
    if entry is None:
        return None
    if errand.want in held.messages:
        errand = replace(errand, want=None)  # it came with something else
    return Debt(owed=held.owed, thread=held.thread, entry=entry, errand=errand)


def last_place(debt: Debt, messages: dict[str, Message]) -> Key | None:
    """Where the entry's last message stands, if it is held."""
    message = messages.get(debt.entry.last_message_id or "")
    return None if message is None else message.place


def settle(held: HeldThread, debt: Debt, thread: Thread, messages: dict[str, Message], now: Instant) -> Plan:
    """Believe the entry: its messages are stored, so its counts are too, and what they mean is told."""
    counted, rest = count_entry(held, debt, thread, messages, now)
    events = counted.events
    if debt.thread.whole_since is None:
        rest = replace(rest, whole_since=now)
        events = (*_first_pass_news(debt, thread), *events)
    return replace(
        counted,
        threads=((debt.entry.id, rest),),
        events=events,
        pay=(("conversation", debt.entry.id, debt.owed.version),),
        recovered=() if held.failure is None else (("conversation", debt.entry.id),),
    )


def _first_pass_news(debt: Debt, thread: Thread) -> Iterable[Event]:
    """The first pass finds a conversation new only if everything in it is newer than the pass."""
    oldest = thread.oldest or debt.entry.updated_at
    if debt.errand.first_pass and oldest is not None and oldest >= thread.history_before:
        yield Event(kind="conversation.new", conversation_id=debt.entry.id, occurred_at=oldest)


def count_entry(
    held: HeldThread, debt: Debt, thread: Thread, messages: dict[str, Message], now: Instant
) -> tuple[Plan, Thread]:
    """Write the entry's counts and tell what they mean; also where its messages could not be had."""
    entry, last = debt.entry, last_place(debt, messages)
    row = replace(entry, gone_at=None)
    returned = held.conversation is not None and held.conversation.gone_at is not None
    events = count_events(held, thread, entry, last)
    if returned:  # it answers again, though the list has not shown it
        events = (Event(kind="conversation.returned", conversation_id=entry.id), *events)
    owe: list[Owed] = []
    if events and (entry.needs_reply_count or 0) > 0 and entry.channel_name is None:
        owe.append(Owed(kind="overdue", subject_id=entry.id, due_at=now))
    if thread.fresh and entry.proposal_id is not None and not held.interview_looked_for:
        owe.append(Owed(kind="proposal", subject_id=entry.proposal_id, due_at=after(now, INTERVIEW_LOOK_SECONDS)))
    left = tuple(fresh for fresh in thread.fresh if not is_counted(fresh, last))
    plan = Plan(rows=() if row == held.conversation else (row,), events=events, owe=tuple(owe))
    return plan, replace(thread, fresh=left)
