"""Plans for one conversation: a page compared with what is held, and the entry settled once its messages are."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.counts import count_events, is_counted, keep_newest
from syncd.core.held import HeldThread
from syncd.core.model import Conversation, Event, Instant, Key, Message
from syncd.core.observations import ConversationGone, CursorDied, Failed, Look, PageRead
from syncd.core.pacing import INTERVIEW_LOOK_SECONDS, backoff
from syncd.core.plan import Failure, Owed, Plan, Revision, SuspectUnseen
from syncd.core.thread import Errand, Fresh, Thread, Walk
from syncd.core.times import after
from syncd.core.walk import Reached, advance, after_dead_cursor, begin, is_explained


class Stuck(Struct, frozen=True):
    """The server's cursors lead nowhere before the conversation is proved whole."""


class Debt(Struct, frozen=True, kw_only=True):
    """A conversation that is owed a look: its checkpoint, the entry to be settled, and why."""

    owed: Owed
    thread: Thread
    entry: Conversation
    errand: Errand


class Comparison(Struct, frozen=True, kw_only=True):
    """How a page differs from the rows held."""

    new: tuple[Message, ...] = ()
    changed: tuple[Message, ...] = ()
    edited: tuple[Message, ...] = ()
    restored: tuple[Message, ...] = ()
    revisions: tuple[Revision, ...] = ()


def plan_look(held: HeldThread, look: Look) -> Plan:
    """Say which walk the conversation's debt needs, or settle it if the rows held prove it already."""
    debt = _debt(held)
    if debt is None:
        return Plan()
    walk = begin(debt.thread, debt.errand, debt.entry, _last_place(debt, held.messages), held.change_id)
    if walk is not None:
        begins = walk.verify and walk != debt.thread.walk
        return Plan(answer=walk, forget_met=debt.entry.id if begins else None)
    return _settled(held, debt, debt.thread, held.messages, look.now)


def plan_page(held: HeldThread, read: PageRead) -> Plan:
    """Store a page, and say what is to be asked next: a Walk, Stuck, or None when the conversation is settled."""
    debt = _debt(held)
    if debt is None:
        return Plan()
    compared = compare(held.messages, read.page.messages)
    messages = held.messages | {message.id: message for message in read.page.messages}
    last = _last_place(debt, messages)
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


def _debt(held: HeldThread) -> Debt | None:
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


def _last_place(debt: Debt, messages: dict[str, Message]) -> Key | None:
    """Where the entry's last message stands, if it is held."""
    message = messages.get(debt.entry.last_message_id or "")
    return None if message is None else message.place


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


def message_event(kind: str, message: Message, occurred_at: Instant | None) -> Event:
    """An event of the kinds message.*."""
    return Event(
        kind=kind,
        conversation_id=message.conversation_id,
        message_id=message.id,
        occurred_at=occurred_at,
        data={"is_from_viewer": message.is_from_viewer, "is_system": message.is_system},
    )


def _followed(held: HeldThread, plan: Plan, reached: Reached, read: PageRead, messages: dict[str, Message]) -> Plan:
    """The page's plan, with what comes after it."""
    thread, walk, debt = reached.thread, read.walk, _debt(held)
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
        sought=(debt.entry.last_message_id, debt.entry.updated_at),
        whole_since=thread.whole_since or read.now,
    )
    rest = replace(debt.errand, verify=debt.errand.verify and not walk.verify, want=None)
    following = begin(thread, rest, debt.entry, _last_place(debt, messages), held.change_id)
    if following is not None:  # a comparison, say, behind a walk that a restart resumed
        again = replace(debt.owed, errand=replace(rest, entry=debt.errand.entry))
        return replace(
            plan, threads=((debt.entry.id, thread),), owe=(again,), forget_met=debt.entry.id, answer=following
        )
    settled = _settled(held, debt, thread, messages, read.now)
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
    counted, rest = _counted(held, debt, thread, messages, now)
    return replace(
        plan,
        rows=plan.rows + counted.rows,
        events=plan.events + counted.events,
        owe=plan.owe + counted.owe,
        threads=((debt.entry.id, rest),),
    )


def _settled(held: HeldThread, debt: Debt, thread: Thread, messages: dict[str, Message], now: Instant) -> Plan:
    """Believe the entry: its messages are stored, so its counts are too, and what they mean is told."""
    counted, rest = _counted(held, debt, thread, messages, now)
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


def _counted(
    held: HeldThread, debt: Debt, thread: Thread, messages: dict[str, Message], now: Instant
) -> tuple[Plan, Thread]:
    """Write the entry's counts and tell what they mean; also where its messages could not be had."""
    entry, last = debt.entry, _last_place(debt, messages)
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
    debt = _debt(held)
    if debt is None:
        return Plan()
    failure = next_failure(held.failure, failed)
    counted, thread = _counted(held, debt, debt.thread, held.messages, failed.now)
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
