"""Plans for one conversation: a page compared with what is held, and its entry believed once its messages are here."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import Conversation, Event, Instant, Key, Message
from syncd.core.observations import ConversationGone, CursorDied, Failed, HeldThread, Look, PageRead
from syncd.core.plan import Failure, Owed, Plan, Revision, SuspectUnseen
from syncd.core.times import INTERVIEW_LOOK_SECONDS, after, backoff
from syncd.core.walk import (
    Errand,
    Fresh,
    Reached,
    Thread,
    Walk,
    advance,
    after_dead_cursor,
    begin,
    identify,
    is_explained,
)


class Comparison(Struct, frozen=True, kw_only=True):
    """How a page differs from the rows held."""

    new: tuple[Message, ...] = ()
    changed: tuple[Message, ...] = ()
    edited: tuple[Message, ...] = ()
    restored: tuple[Message, ...] = ()
    revisions: tuple[Revision, ...] = ()


def compare(held: dict[str, Message], messages: Iterable[Message]) -> Comparison:
    """How the messages that came differ from those held; of an id that comes twice the last one counts."""
    came = {message.id: message for message in messages}
    new = tuple(message for id_, message in came.items() if id_ not in held)
    changed = tuple(message for id_, message in came.items() if id_ in held and held[id_] != message)
    edited = tuple(message for message in changed if _is_edit(held[message.id], message))
    return Comparison(
        new=new,
        changed=changed,
        edited=edited,
        restored=tuple(message for message in changed if held[message.id].gone_at is not None),
        revisions=tuple(
            Revision(message_id=old.id, content=old.content, edited_at=old.edited_at)
            for old in (held[message.id] for message in edited)
            if old.content != came[old.id].content
        ),
    )


def _is_edit(old: Message, new: Message) -> bool:
    return old.content != new.content or (new.edited_at is not None and old.edited_at != new.edited_at)


def message_event(kind: str, message: Message, occurred_at: Instant | None) -> Event:
    """An event of the kinds message.*."""
    return Event(
        kind=kind,
        conversation_id=message.conversation_id,
        message_id=message.id,
        occurred_at=occurred_at,
        data={"is_from_viewer": message.is_from_viewer, "is_system": message.is_system},
    )


# What a list's counts mean, weighed against the messages that came with them.


def is_counted(fresh: Fresh, last: Key | None) -> bool:
    """Whether an entry whose last message stands at `last` has counted this one; a newer one is counted later."""
    return last is None or fresh.place <= last


def keep_newest(fresh: tuple[Fresh, ...], last: Key | None) -> tuple[Fresh, ...]:
    """The newest that the entry counts, and the newest that it does not: no event ever names another."""
    counted = [one for one in fresh if is_counted(one, last)]
    ahead = [one for one in fresh if not is_counted(one, last)]
    return tuple(max(group, key=lambda one: one.place) for group in (counted, ahead) if group)


def count_events(held: HeldThread, thread: Thread, entry: Conversation, last: Key | None) -> tuple[Event, ...]:
    """The events of both counts: risen, fallen to nothing, or met by a new message while above nothing."""
    before = held.conversation
    arrived = max((one for one in thread.fresh if is_counted(one, last)), key=lambda one: one.place, default=None)
    unread = _count_event(
        held,
        entry,
        arrived,
        ("conversation.unread", "conversation.read", "unread_count"),
        (entry.unread_count, None if before is None else before.unread_count),
    )
    needs_reply = _count_event(
        held,
        entry,
        arrived,
        ("conversation.needs_reply", "conversation.answered", "needs_reply_count"),
        (entry.needs_reply_count, None if before is None else before.needs_reply_count),
    )
    return tuple(event for event in (unread, needs_reply) if event is not None)


def _count_event(
    held: HeldThread,
    entry: Conversation,
    arrived: Fresh | None,
    names: tuple[str, str, str],
    counts: tuple[int | None, int | None],
) -> Event | None:
    risen, fallen, column = names
    count, previous = (value or 0 for value in counts)
    if count == 0:
        return fell(fallen, entry.id, previous) if previous > 0 else None
    if arrived is None and count <= previous:
        return None
    message = arrived or held.newest_inbound
    if arrived is None and risen in held.told:
        return None  # a rise that nothing new explains, and whose newest message had its event
    return Event(
        kind=risen,
        conversation_id=entry.id,
        message_id=None if message is None else message.id,
        proposal_id=entry.proposal_id,
        baseline=message is not None and message.history,
        occurred_at=None if message is None else message.at or None,
        data={column: count, "previous": previous},
    )


def fell(kind: str, conversation_id: str, previous: int) -> Event:
    """The event of a count that fell to nothing."""
    return Event(kind=kind, conversation_id=conversation_id, data={"previous": previous})


# The debt of a conversation, and its payment: an entry is believed once its messages are stored.


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


# Plans for one conversation: a page compared with what is held, and the entry settled once its messages are.


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


# Plans for what went wrong with one conversation: a dead cursor, a failure, its end.


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
