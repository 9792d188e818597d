"""Plans for one conversation: a page compared with what is held, and the entry settled once its messages are."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.comparing import Comparison, compare, message_event
from syncd.core.counts import keep_newest
from syncd.core.held import HeldThread
from syncd.core.model import Event, Instant, Key, Message
from syncd.core.observations import Look, PageRead
from syncd.core.plan import Plan, SuspectUnseen
from syncd.core.settling import Debt, count_entry, find_debt, last_place, settle
from syncd.core.thread import Fresh, Thread
from syncd.core.walk import Reached, advance, begin, identify, is_explained


class Stuck(Struct, frozen=True):
    """The server's cursors lead nowhere before the conversation is proved whole."""


def plan_look(held: HeldThread, look: Look) -> Plan:
    """Say which walk the conversation's debt needs, or settle it if the rows held prove it already."""
    debt = find_debt(held)
    if debt is None:
        return Plan()
    walk = begin(debt.thread, debt.errand, debt.entry, last_place(debt, held.messages), held.change_id)
    if walk is not None:
        begins = walk.verify and walk != debt.thread.walk
        return Plan(answer=walk, forget_met=debt.entry.id if begins else None)
    return settle(held, debt, debt.thread, held.messages, look.now)


def plan_page(held: HeldThread, read: PageRead) -> Plan:
    """Store a page, and say what is to be asked next: a Walk, Stuck, or None when the conversation is settled."""
    debt = find_debt(held)
    if debt is None:
        return Plan()
    compared = compare(held.messages, read.page.messages)
    messages = held.messages | {message.id: message for message in read.page.messages}
    last = last_place(debt, messages)
    reached = advance(
        debt.thread, read.walk, read.page, last_id=debt.entry.last_message_id, last=last, leads_on=read.leads_on
    )
    thread = _noted(reached.thread, compared, last, whole=debt.thread.whole_since is not None)
    if thread.walk is not None and read.walk.goal == "explain" and _is_found(thread, debt, messages, compared):
        thread = replace(thread, walk=None)
    plan = Plan(
        rows=compared.new + compared.changed,
        revisions=compared.revisions,
        events=tuple(_message_events(compared, debt.thread)),
        unsuspect=tuple(("message", id_) for id_ in messages if id_ in held.suspects),
    )
    return _followed(held, plan, replace(reached, thread=thread), read, messages)


def _noted(thread: Thread, compared: Comparison, last: Key | None, *, whole: bool) -> Thread:
    """The thread, knowing the times and the inbound messages of what was just stored."""
    stored = compared.new + compared.changed
    times = [time for m in stored for time in (m.created_at, m.updated_at, m.edited_at) if time is not None]
    created = [m.created_at for m in compared.new if m.created_at is not None]
    fresh = tuple(
        Fresh(at=m.created_at or "", id=m.id, history=_is_history(m, thread.history_before, whole=whole))
        for m in compared.new
        if m.is_inbound
    )
    return replace(
        thread,
        latest=max([*times, *filter(None, [thread.latest])], default=None),
        oldest=min([*created, *filter(None, [thread.oldest])], default=None),
        fresh=keep_newest(thread.fresh + fresh, last),
    )


def _is_history(message: Message, before: Instant, *, whole: bool) -> bool:
    """Whether it was there before anybody watched: created earlier, and stored before the thread was first whole."""
    return not whole and (message.created_at or "") < before


def _is_found(thread: Thread, debt: Debt, messages: dict[str, Message], compared: Comparison) -> bool:
    """Whether a search is over: all that was missing by name is here, and something explains the entry's time."""
    if any(id_ is not None and id_ not in messages for id_ in (debt.entry.last_message_id, debt.errand.want)):
        return False
    return bool(compared.new or compared.edited or compared.restored) or is_explained(thread, debt.entry)


def _message_events(compared: Comparison, before: Thread) -> Iterable[Event]:
    whole = before.whole_since is not None
    for message in compared.new:
        if not _is_history(message, before.history_before, whole=whole):
            yield message_event("message.new", message, message.created_at)
    for message in compared.edited:
        yield message_event("message.edited", message, message.edited_at or message.updated_at)
    for message in compared.restored:
        yield message_event("message.restored", message, None)


def _followed(held: HeldThread, plan: Plan, reached: Reached, read: PageRead, messages: dict[str, Message]) -> Plan:
    """The page's plan, with what comes after it."""
    thread, walk, debt = reached.thread, read.walk, find_debt(held)
    threads = ((read.page.conversation_id, thread),)
    met = frozenset(message.id for message in read.page.messages)
    if debt is None:
        return plan
    if thread.walk is not None:
        going_on = replace(plan, threads=threads, met=tuple(met) if walk.verify else (), answer=thread.walk)
        return _counted_early(held, debt, going_on, messages, read.now) if read.pausing else going_on
    if reached.stuck:
        return replace(plan, threads=threads, answer=Stuck())
    if reached.closed and walk.verify:
        suspect = SuspectUnseen(conversation_id=read.page.conversation_id, since=walk.since, met=met)
        plan = replace(plan, suspect=suspect)
    thread = replace(
        thread,
        sought=walk.sought or identify(debt.entry),
        whole_since=thread.whole_since or read.now,
    )
    rest = replace(debt.errand, verify=debt.errand.verify and not walk.verify, want=None)
    following = begin(thread, rest, debt.entry, last_place(debt, messages), held.change_id)
    if following is not None:  # a comparison, say, behind a walk that a restart resumed
        again = replace(debt.owed, errand=replace(rest, entry=debt.errand.entry))
        return replace(
            plan, threads=((debt.entry.id, thread),), owe=(again,), forget_met=debt.entry.id, answer=following
        )
    settled = settle(held, debt, thread, messages, read.now)
    return replace(
        settled,
        rows=plan.rows + settled.rows,
        revisions=plan.revisions,
        events=plan.events + settled.events,
        unsuspect=plan.unsuspect,
        suspect=plan.suspect,
    )


def _counted_early(held: HeldThread, debt: Debt, plan: Plan, messages: dict[str, Message], now: Instant) -> Plan:
    """While an explanation is sought over several polls, the counts need not wait: the last message is held."""
    thread = plan.threads[0][1]
    if thread.walk is None or thread.walk.goal != "explain" or debt.entry.last_message_id not in messages:
        return plan
    counted, rest = count_entry(held, debt, thread, messages, now)
    return replace(
        plan,
        rows=plan.rows + counted.rows,
        events=plan.events + counted.events,
        owe=plan.owe + counted.owe,
        threads=((debt.entry.id, rest),),
    )
