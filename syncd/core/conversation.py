"""Plans for one conversation: a page compared with what is held, and its entry believed once its messages are here."""

from collections.abc import Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import Conversation, Event, Instant, Key, Message
from syncd.core.observations import (
    CheckDue,
    Claim,
    ClaimDue,
    ConversationGone,
    CursorDied,
    Failed,
    HeldClaim,
    HeldConversation,
    HeldMessages,
    PageRead,
)
from syncd.core.plan import Failure, PendingTask, Plan, Revision, SuspectUnseen
from syncd.core.times import INTERVIEW_LOOK_SECONDS, after, backoff
from syncd.core.walk import (
    ConversationCheckpoint,
    Ending,
    Fresh,
    Reached,
    Reason,
    Walk,
    advance,
    after_dead_cursor,
    begin,
    identify,
    is_empty,
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
    prefetcher = [one for one in fresh if not is_counted(one, last)]
    return tuple(max(group, key=lambda one: one.place) for group in (counted, prefetcher) if group)


def count_events(
    held: HeldConversation, checkpoint: ConversationCheckpoint, entry: Conversation, last: Key | None
) -> tuple[Event, ...]:
    """The events of both counts: risen, fallen to nothing, or met by a new message while above nothing."""
    before = held.conversation
    arrived = max((one for one in checkpoint.fresh if is_counted(one, last)), key=lambda one: one.place, default=None)
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
    held: HeldConversation,
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


class ConversationTask(Struct, frozen=True, kw_only=True):
    """A conversation that is owed a look: its checkpoint, the entry to be settled, and why."""

    pending: PendingTask
    checkpoint: ConversationCheckpoint
    entry: Conversation
    reason: Reason


def find_task(held: HeldConversation) -> ConversationTask | None:
    """What is owed, or None when it was paid in the meantime."""
    if held.pending is None or held.checkpoint is None:
        return None
    reason = held.pending.reason or Reason()
    entry = reason.entry or held.conversation
    if entry is None:
        return None
    if reason.want in held.messages:
        reason = replace(reason, want=None)  # it came with something else
    return ConversationTask(pending=held.pending, checkpoint=held.checkpoint, entry=entry, reason=reason)


def last_place(task: ConversationTask, messages: dict[str, Message]) -> Key | None:
    """Where the entry's last message stands, if it is held."""
    message = messages.get(task.entry.last_message_id or "")
    return None if message is None else message.place


def settle(
    held: HeldConversation,
    task: ConversationTask,
    checkpoint: ConversationCheckpoint,
    messages: dict[str, Message],
    now: Instant,
) -> Plan:
    """Believe the entry: its messages are stored, so its counts are too, and what they mean is told."""
    counted, rest = count_entry(held, task, checkpoint, messages, now)
    events = counted.events
    if task.checkpoint.whole_since is None:
        rest = replace(rest, whole_since=now)
        events = (*_first_pass_news(task, checkpoint), *events)
    return replace(
        counted,
        checkpoints=((task.entry.id, rest),),
        events=events,
        completed=(("conversation", task.entry.id, task.pending.version),),
        recovered=() if held.failure is None else (("conversation", task.entry.id),),
    )


def _first_pass_news(task: ConversationTask, checkpoint: ConversationCheckpoint) -> Iterable[Event]:
    """The first pass finds a conversation new only if everything in it is newer than the pass."""
    oldest = checkpoint.oldest or task.entry.updated_at
    if task.reason.first_pass and oldest is not None and oldest >= checkpoint.history_before:
        yield Event(kind="conversation.new", conversation_id=task.entry.id, occurred_at=oldest)


def count_entry(
    held: HeldConversation,
    task: ConversationTask,
    checkpoint: ConversationCheckpoint,
    messages: dict[str, Message],
    now: Instant,
) -> tuple[Plan, ConversationCheckpoint]:
    """Write the entry's counts and tell what they mean; also where its messages could not be had."""
    entry, last = task.entry, last_place(task, messages)
    row = replace(entry, gone_at=None)
    returned = held.conversation is not None and held.conversation.gone_at is not None
    events = count_events(held, checkpoint, entry, last)
    if returned:  # it answers again, though the list has not shown it
        events = (Event(kind="conversation.returned", conversation_id=entry.id), *events)
    tasks: list[PendingTask] = []
    if events and (entry.needs_reply_count or 0) > 0 and entry.channel_name is None:
        tasks.append(PendingTask(kind="overdue", subject_id=entry.id, due_at=now))
    if checkpoint.fresh and entry.proposal_id is not None and not held.interview_looked_for:
        tasks.append(
            PendingTask(kind="proposal", subject_id=entry.proposal_id, due_at=after(now, INTERVIEW_LOOK_SECONDS))
        )
    left = tuple(fresh for fresh in checkpoint.fresh if not is_counted(fresh, last))
    plan = Plan(rows=() if row == held.conversation else (row,), events=events, tasks=tuple(tasks))
    return plan, replace(checkpoint, fresh=left)


# Plans for one conversation: a page compared with what is held, and the entry settled once its messages are.


class Unproved(Struct, frozen=True):
    """The server's pages lead nowhere before the conversation is proved whole."""

    reason: Ending


def plan_check(held: HeldConversation, look: CheckDue) -> Plan:
    """Say which walk the conversation's debt needs, or settle it if the rows held prove it already."""
    task = find_task(held)
    if task is None:
        return Plan()
    walk = begin(task.checkpoint, task.reason, task.entry, last_place(task, held.messages), held.change_id)
    if walk is not None:
        begins = walk.verify and walk != task.checkpoint.walk
        return Plan(answer=walk, forget_met=task.entry.id if begins else None)
    return settle(held, task, task.checkpoint, held.messages, look.now)


def plan_page(held: HeldConversation, read: PageRead) -> Plan:
    """Store a page, and say what is to be asked next: a Walk, Unproved, or None when the conversation is settled."""
    task = find_task(held)
    if task is None:
        return Plan()
    claims = weigh_claims(held, read.page.conversation_id, read.page.messages, read.now)
    compared = compare(held.messages, [m for m in read.page.messages if m.id not in claims.foreign])
    messages = held.messages | {message.id: message for message in read.page.messages}
    last = last_place(task, messages)
    reached = advance(
        task.checkpoint,
        read.walk,
        read.page,
        last_id=task.entry.last_message_id,
        last=last,
        leads_on=read.leads_on,
        is_nameless=task.entry.last_message_id is None and not is_empty(task.entry),
    )
    checkpoint = _noted(reached.checkpoint, compared, last, whole=task.checkpoint.whole_since is not None)
    if (
        checkpoint.walk is not None
        and read.walk.goal == "explain"
        and _is_found(checkpoint, task, {*messages, *read.page.ids}, compared)
    ):
        checkpoint = replace(checkpoint, walk=None)
    plan = Plan(
        rows=compared.new + compared.changed,
        revisions=compared.revisions,
        events=tuple(_message_events(compared, task.checkpoint)),
        unsuspect=tuple(("message", id_) for id_ in {*messages, *read.page.ids} if id_ in held.suspects),
        suspects=claims.made,
        failures=claims.quarrels,
        tasks=claims.tasks,
    )
    return _followed(held, plan, replace(reached, checkpoint=checkpoint), read, messages)


def _noted(
    checkpoint: ConversationCheckpoint, compared: Comparison, last: Key | None, *, whole: bool
) -> ConversationCheckpoint:
    """The thread, knowing the times and the inbound messages of what was just stored."""
    stored = compared.new + compared.changed
    times = [time for m in stored for time in (m.created_at, m.updated_at, m.edited_at) if time is not None]
    created = [m.created_at for m in compared.new if m.created_at is not None]
    fresh = tuple(
        Fresh(at=m.created_at or "", id=m.id, history=_is_history(m, checkpoint.history_before, whole=whole))
        for m in compared.new
        if m.is_inbound
    )
    return replace(
        checkpoint,
        latest=max([*times, *filter(None, [checkpoint.latest])], default=None),
        oldest=min([*created, *filter(None, [checkpoint.oldest])], default=None),
        fresh=keep_newest(checkpoint.fresh + fresh, last),
    )


def _is_history(message: Message, before: Instant, *, whole: bool) -> bool:
    """Whether it was there before anybody watched: created earlier, and stored before the thread was first whole."""
    return not whole and (message.created_at or "") < before


def _is_found(
    checkpoint: ConversationCheckpoint, task: ConversationTask, known: set[str], compared: Comparison
) -> bool:
    """Whether a search is over: all that was missing by name is here, and something explains the entry's time."""
    if any(id_ is not None and id_ not in known for id_ in (task.entry.last_message_id, task.reason.want)):
        return False
    return bool(compared.new or compared.edited or compared.restored) or is_explained(checkpoint, task.entry)


def _message_events(compared: Comparison, before: ConversationCheckpoint) -> Iterable[Event]:
    whole = before.whole_since is not None
    for message in compared.new:
        if not _is_history(message, before.history_before, whole=whole):
            yield message_event("message.new", message, message.created_at)
    for message in compared.edited:
        yield message_event("message.edited", message, message.edited_at or message.updated_at)
    for message in compared.restored:
        yield message_event("message.restored", message, None)


def _followed(
    held: HeldConversation, plan: Plan, reached: Reached, read: PageRead, messages: dict[str, Message]
) -> Plan:
    """The page's plan, with what comes after it."""
    checkpoint, walk, task = reached.checkpoint, read.walk, find_task(held)
    checkpoints = ((read.page.conversation_id, checkpoint),)
    met = read.page.ids
    if task is None:
        return plan
    if checkpoint.walk is not None:
        going_on = replace(plan, checkpoints=checkpoints, met=tuple(met) if walk.verify else (), answer=checkpoint.walk)
        return _counted_early(held, task, going_on, messages, read.now) if read.pausing else going_on
    if reached.ending is not None:
        return replace(plan, checkpoints=checkpoints, answer=Unproved(reached.ending))
    if reached.closed and walk.verify:
        suspect = SuspectUnseen(conversation_id=read.page.conversation_id, since=walk.since, met=met)
        plan = _without_claims(replace(plan, suspect=suspect), held, read.page.conversation_id, met, read.now)
    checkpoint = replace(
        checkpoint,
        sought=walk.sought or identify(task.entry),
        whole_since=checkpoint.whole_since or read.now,
    )
    rest = replace(task.reason, verify=task.reason.verify and not walk.verify, want=None)
    following = begin(checkpoint, rest, task.entry, last_place(task, messages), held.change_id)
    if following is not None:  # a comparison, say, behind a walk that a restart resumed
        again = replace(task.pending, reason=replace(rest, entry=task.reason.entry))
        return replace(
            plan,
            checkpoints=((task.entry.id, checkpoint),),
            tasks=(*plan.tasks, again),
            forget_met=task.entry.id,
            answer=following,
        )
    settled = settle(held, task, checkpoint, messages, read.now)
    return replace(
        settled,
        rows=plan.rows + settled.rows,
        revisions=plan.revisions,
        events=plan.events + settled.events,
        tasks=plan.tasks + settled.tasks,
        completed=plan.completed + settled.completed,
        failures=plan.failures,
        recovered=plan.recovered + settled.recovered,
        unsuspect=plan.unsuspect,
        suspects=plan.suspects,
        suspect=plan.suspect,
    )


def _counted_early(
    held: HeldConversation, task: ConversationTask, plan: Plan, messages: dict[str, Message], now: Instant
) -> Plan:
    """While an explanation is sought over several polls, the counts need not wait: the last message is held."""
    checkpoint = plan.checkpoints[0][1]
    if checkpoint.walk is None or checkpoint.walk.goal != "explain" or task.entry.last_message_id not in messages:
        return plan
    counted, rest = count_entry(held, task, checkpoint, messages, now)
    return replace(
        plan,
        rows=plan.rows + counted.rows,
        events=plan.events + counted.events,
        tasks=plan.tasks + counted.tasks,
        checkpoints=((task.entry.id, rest),),
    )


# A message belongs to one conversation, though several may show its id.


class Claims(Struct, frozen=True, kw_only=True):
    """What a page of one conversation says of messages that another one holds.

    `foreign`: those it shows that belong to another. `made`: which of them are claimed for the first time, so that
    their owners are compared: `tasks`. `quarrels`: its own that another claims.
    """

    foreign: frozenset[str] = frozenset()
    made: tuple[tuple[str, str, str], ...] = ()
    tasks: tuple[PendingTask, ...] = ()
    quarrels: tuple[Failure, ...] = ()


def weigh_claims(held: HeldMessages, conversation_id: str, messages: Iterable[Message], now: Instant) -> Claims:
    """Tell a page's own messages from those that belong to another conversation.

    One that is gone where it was held, or whose conversation is gone, has moved here. Of any other its owner decides:
    it is compared, and either shows the message no more, or there is a quarrel.
    """
    came = [message.id for message in messages]
    owners = {
        id_: row.conversation_id
        for id_ in came
        if (row := held.messages.get(id_)) is not None
        and row.conversation_id != conversation_id
        and row.gone_at is None
        and row.conversation_id not in held.gone
    }
    made = [id_ for id_ in owners if id_ not in held.claims]
    quarrels = [
        (id_, claim)
        for id_ in came
        if (claim := held.claims.get(id_)) is not None
        and not claim.fails
        and claim.message.conversation_id == conversation_id != claim.claimant
    ]
    failures = tuple(_quarrel(id_, claim, now) for id_, claim in quarrels)
    return Claims(
        foreign=frozenset(owners),
        made=tuple(("claim", id_, conversation_id) for id_ in made),
        tasks=(
            *_compared({owners[id_] for id_ in made}, now),
            *(PendingTask(kind="message", subject_id=f.subject_id, due_at=f.next_try_at) for f in failures),
        ),
        quarrels=failures,
    )


def _quarrel(message_id: str, claim: Claim, now: Instant) -> Failure:
    """The failure that names both conversations."""
    return Failure(
        kind="message",
        subject_id=message_id,
        reason=f"in_two_conversations: {claim.message.conversation_id}, {claim.claimant}",
        request_id=None,
        tries=1,
        first_failed_at=now,
        next_try_at=after(now, backoff(1)),
    )


def _compared(conversations: Iterable[str], now: Instant) -> Iterable[PendingTask]:
    for id_ in sorted(conversations):
        yield PendingTask(kind="conversation", subject_id=id_, due_at=now, reason=Reason(verify=True))


class ClaimsOver(Struct, frozen=True, kw_only=True):
    """The claims whose messages a conversation no longer shows; `moved`: what was its own, now the claimant's."""

    moved: tuple[Message, ...] = ()
    unsuspect: tuple[tuple[str, str], ...] = ()
    recovered: tuple[tuple[str, str], ...] = ()


def end_claims(held: HeldMessages, conversation_id: str, met: Collection[str]) -> ClaimsOver:
    """End the claims on messages that a comparison of the whole conversation has not met.

    A message that its owner lost moves to the claimant, as one change.
    """
    over = {
        id_: claim
        for id_, claim in held.claims.items()
        if (not claim.is_met and id_ not in met) or claim.message.conversation_id == claim.claimant
    }
    return ClaimsOver(
        moved=tuple(
            replace(claim.message, conversation_id=claim.claimant)
            for claim in over.values()
            if claim.message.conversation_id == conversation_id != claim.claimant
        ),
        unsuspect=tuple((kind, id_) for id_ in over for kind in ("claim", "message")),
        recovered=tuple(("message", id_) for id_, claim in over.items() if claim.fails),
    )


def _without_claims(
    plan: Plan, held: HeldConversation, conversation_id: str, met: frozenset[str], now: Instant
) -> Plan:
    """The plan of a comparison's end; who is given a message is compared, as it may show that otherwise."""
    over = end_claims(held, conversation_id, met)
    return replace(
        plan,
        rows=plan.rows + over.moved,
        tasks=(*plan.tasks, *_compared({message.conversation_id for message in over.moved}, now)),
        unsuspect=plan.unsuspect + over.unsuspect,
        recovered=plan.recovered + over.recovered,
    )


def plan_claim_due(held: HeldClaim, due: ClaimDue) -> Plan:
    """Have both conversations compared once more; where neither shows the message any longer, the task is done."""
    if held.pending is None:
        return Plan()
    if held.claim is None or held.failure is None:
        return Plan(
            completed=(("message", due.message_id, held.pending.version),),
            recovered=() if held.failure is None else (("message", due.message_id),),
        )
    tries = held.failure.tries + 1
    failure = replace(held.failure, tries=tries, next_try_at=after(due.now, backoff(tries)))
    both = {held.claim.message.conversation_id, held.claim.claimant}
    again = replace(held.pending, due_at=failure.next_try_at)
    return Plan(failures=(failure,), tasks=(*_compared(both, due.now), again))


# Plans for what went wrong with one conversation: a dead cursor, a failure, its end.


def plan_dead_cursor(held: HeldConversation, died: CursorDied) -> Plan:
    """Forget the cursor and begin the one recovery: the answer is its Walk, or None when it has failed already."""
    if held.checkpoint is None:
        return Plan()
    walk: Walk | None = after_dead_cursor(held.checkpoint, died.walk)
    tail = None if died.walk.direction == "newer" else held.checkpoint.tail_cursor
    checkpoint = replace(held.checkpoint, tail_cursor=tail, walk=walk)
    return Plan(checkpoints=((died.conversation_id, checkpoint),), answer=walk)


def plan_conversation_failed(held: HeldConversation, failed: Failed) -> Plan:
    """Put the conversation off, with the reason; its counts are believed all the same: nobody's reply goes untold."""
    task = find_task(held)
    if task is None:
        return Plan()
    failure = next_failure(held.failure, failed)
    counted, checkpoint = count_entry(held, task, task.checkpoint, held.messages, failed.now)
    again = replace(task.pending, due_at=failure.next_try_at)
    return replace(
        counted, checkpoints=((task.entry.id, checkpoint),), failures=(failure,), tasks=(*counted.tasks, again)
    )


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
        first_failed_at=failed.now if held is None else min(held.first_failed_at, failed.now),
        next_try_at=after(failed.now, wait),
    )


def plan_conversation_gone(held: HeldConversation, gone: ConversationGone) -> Plan:
    """Mark a conversation that the server no longer has, or no longer shows us; its messages stay as they were.

    In a comparison of everything it is a suspicion at first, so that a large loss is looked at twice.
    """
    if held.pending is None:
        return Plan()
    left = _leave_claims(held, gone.conversation_id, gone.now)
    plan = replace(
        left,
        completed=(("conversation", gone.conversation_id, held.pending.version),),
        recovered=(*left.recovered, *(() if held.failure is None else (("conversation", gone.conversation_id),))),
    )
    if held.conversation is None or held.conversation.gone_at is not None:
        return plan
    if held.checkpoint is not None:
        checkpoint = replace(held.checkpoint, walk=None, sought=None)
        plan = replace(plan, checkpoints=((held.conversation.id, checkpoint),))
    if held.pending.reason is not None and held.pending.reason.verify:
        return replace(plan, suspects=(("conversation", gone.conversation_id, gone.conversation_id),))
    return replace(
        plan,
        rows=(replace(held.conversation, gone_at=gone.now),),
        events=(Event(kind="conversation.gone", conversation_id=held.conversation.id, occurred_at=gone.now),),
    )


def _leave_claims(held: HeldConversation, conversation_id: str, now: Instant) -> Plan:
    """What becomes of the messages that a conversation which is gone shared with another one.

    Those that it claimed are the other's alone; those that it held are the other's once it is gone, so that is
    compared.
    """
    over = {id_: claim for id_, claim in held.claims.items() if claim.claimant == conversation_id}
    claimants = {claim.claimant for id_, claim in held.claims.items() if id_ not in over}
    return Plan(
        tasks=tuple(_compared(claimants, now)),
        unsuspect=tuple(("claim", id_) for id_ in over),
        recovered=tuple(("message", id_) for id_, claim in over.items() if claim.fails),
    )
