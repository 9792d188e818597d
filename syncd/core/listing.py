"""Plans for what comes as a list: what each entry makes us look at, and what the list's end proves."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.conversation import fell, next_failure
from syncd.core.model import Conversation, Event, Instant, Row
from syncd.core.observations import (
    Entries,
    Failed,
    FeedRead,
    HeldEntries,
    HeldJobs,
    HeldListing,
    HeldTask,
    JobsRead,
    ListingProved,
    ListingsDue,
    ListWalked,
    ProposalsListed,
    UnreadList,
)
from syncd.core.plan import PendingTask, Plan
from syncd.core.times import LONGEST_BACKOFF_SECONDS, after, is_due
from syncd.core.walk import ConversationCheckpoint, Reason, Walk, begin


class Signals(Struct, frozen=True, kw_only=True):
    """What a page of the list means for its walk.

    `unknown`: how many conversations were never seen before. `done`: the walk need not go on. `pending`: who is to be
    looked at now, and `walks` of whom it is known already which walk that begins.
    """

    unknown: int = 0
    done: bool = False
    pending: tuple[str, ...] = ()
    walks: dict[str, Walk] = {}


def plan_entries(held: HeldEntries, seen: Entries) -> Plan:
    """Owe a look to each conversation whose entry is not the one held; the answer is a Signals."""
    plans = [
        _plan_entry(held, entry, seen, index * seen.spread)
        for index, entry in enumerate(seen.entries, start=seen.seen_before)
    ]
    pending = tuple(pending for plan in plans for pending in plan.tasks)
    return Plan(
        rows=tuple(row for plan in plans for row in plan.rows),
        events=tuple(event for plan in plans for event in plan.events),
        tasks=pending,
        checkpoints=tuple(checkpoint for plan in plans for checkpoint in plan.checkpoints),
        unsuspect=tuple(("conversation", e.id) for e in seen.entries if e.id in held.suspects),
        answer=Signals(
            unknown=sum(entry.id not in held.conversations for entry in seen.entries),
            done=_reaches(held, seen, frozenset(task.subject_id for task in pending)),
            pending=tuple(
                task.subject_id for task in pending if task.kind == "conversation" and task.due_at <= seen.now
            ),
            walks=_walks(seen.entries, plans),
        ),
    )


def _reaches(held: HeldEntries, seen: Entries, changed: frozenset[str]) -> bool:
    """Whether the walk is down at the mark: nothing at or below it is new, so nothing further down is.

    A reconcile, and a first pass, have no mark: they go to the list's end.
    """
    mark = held.account_checkpoint.list_mark
    if seen.reconcile or mark is None or held.account.complete_since is None or not seen.entries:
        return False
    below = [entry for entry in seen.entries if (entry.updated_at or "") <= mark]
    return bool(below) and below[-1] is seen.entries[-1] and not any(entry.id in changed for entry in below)


def _plan_entry(held: HeldEntries, entry: Conversation, seen: Entries | UnreadList, delay: float) -> Plan:
    row, pending = held.conversations.get(entry.id), held.pending.get(entry.id)
    reconcile = isinstance(seen, Entries) and seen.reconcile
    known = _latest_known(row, pending)
    changed = known is None or replace(known, gone_at=None) != entry or (row is not None and row.gone_at is not None)
    if not changed and not reconcile:
        return Plan()
    first_pass = held.account.complete_since is None
    reason = Reason(entry=entry, verify=reconcile, first_pass=first_pass and row is None)
    due = seen.now if changed else after(seen.now, min(delay, LONGEST_BACKOFF_SECONDS))
    tasks = [PendingTask(kind="conversation", subject_id=entry.id, due_at=due, reason=reason)]
    if entry.proposal_id is not None and entry.proposal_id not in held.proposals:
        tasks.append(
            PendingTask(kind="proposal", subject_id=entry.proposal_id, due_at=due, reason=Reason(first_pass=first_pass))
        )
    rows, events = _appearance(row, entry, first_pass=first_pass)
    if row is not None:
        return Plan(rows=rows, events=events, tasks=tuple(tasks))
    checkpoint = _new_thread(held, seen)
    walk = None if pending is not None or reconcile else begin(checkpoint, reason, entry, last=None, change_id=0)
    return Plan(rows=rows, events=events, tasks=tuple(tasks), checkpoints=((entry.id, checkpoint),), answer=walk)


def _walks(entries: Iterable[Conversation], plans: Iterable[Plan]) -> dict[str, Walk]:
    """Where the walks of conversations that are seen for the first time begin."""
    return {entry.id: plan.answer for entry, plan in zip(entries, plans, strict=True) if plan.answer is not None}


def _latest_known(row: Conversation | None, pending: PendingTask | None) -> Conversation | None:
    """The entry as it was last seen: the one that is owed a look, else the row."""
    if pending is not None and pending.reason is not None and pending.reason.entry is not None:
        return pending.reason.entry
    return row


def _appearance(
    row: Conversation | None, entry: Conversation, *, first_pass: bool
) -> tuple[tuple[Row, ...], tuple[Event, ...]]:
    """A conversation that was not there is, without the counts that its messages have yet to prove."""
    if row is None:
        bare = replace(
            entry,
            last_message_id=None,
            last_message_at=None,
            unread_count=None,
            needs_reply_count=None,
            updated_at=None,
        )
        new = () if first_pass else (Event(kind="conversation.new", conversation_id=entry.id),)
        return (bare,), new
    if row.gone_at is not None:
        return (replace(row, gone_at=None),), (Event(kind="conversation.returned", conversation_id=entry.id),)
    return (), ()


def _new_thread(held: HeldEntries, seen: Entries | UnreadList) -> ConversationCheckpoint:
    """The thread of a conversation that is seen for the first time.

    In the first pass history ends when that began, later with the poll ahead of the discovery; both by the server's
    clock, and not after the answer that shows it: a server without `Date` had ours stand for it, which may be wrong.
    """
    first_pass = held.account.complete_since is None
    since = held.account.first_started_at if first_pass else held.account_checkpoint.surveyed_at
    return ConversationCheckpoint(history_before=min(since or seen.now, seen.server_time))


def plan_unread(held: HeldEntries, seen: UnreadList) -> Plan:
    """Owe what the unread list shows anew; what is not on a whole one was read in the app."""
    plans = [_plan_entry(held, entry, seen, 0.0) for entry in seen.entries]
    pending = tuple(task for plan in plans for task in plan.tasks)
    listed = {entry.id for entry in seen.entries}
    read = [
        row
        for id_, row in held.unread.items()
        if seen.complete and id_ not in listed and row.gone_at is None and not _is_uncounted(held.pending.get(id_), row)
    ]
    # a debt that holds what the row shows, a comparison's say, would bring the old count back
    pending += tuple(
        replace(task, reason=replace(task.reason, entry=replace(row, unread_count=0)))
        for row in read
        if (task := held.pending.get(row.id)) is not None and task.reason is not None and task.reason.entry is not None
    )
    return Plan(
        rows=(*(row for plan in plans for row in plan.rows), *(replace(row, unread_count=0) for row in read)),
        events=(
            *(event for plan in plans for event in plan.events),
            *(fell("conversation.read", row.id, row.unread_count or 0) for row in read),
        ),
        tasks=pending,
        checkpoints=tuple(checkpoint for plan in plans for checkpoint in plan.checkpoints),
        answer=Signals(pending=_conversations(pending), walks=_walks(seen.entries, plans)),
    )


def _is_uncounted(pending: PendingTask | None, row: Conversation) -> bool:
    """Whether a newer entry is owed a look: the poll after it will tell."""
    entry = None if pending is None or pending.reason is None else pending.reason.entry
    return entry is not None and replace(entry, gone_at=row.gone_at) != row


def plan_list_walked(held: HeldListing, walked: ListWalked) -> Plan:
    """Set the mark, now that the walk down to the old one is finished: a crash in between has to walk again.

    After a whole walk, what was not listed is asked for itself: absence from a list proves nothing. The list's failure
    is over, unless a reconcile still waits for its end.
    """
    mark = max(filter(None, (held.account_checkpoint.list_mark, walked.head)), default=None)
    account_checkpoint = replace(held.account_checkpoint, list_mark=mark, surveyed_at=walked.server_time)
    if walked.listed is not None and account_checkpoint.reconciling_since is not None:
        account_checkpoint = replace(account_checkpoint, reconcile_listed=True)
    waits = account_checkpoint.reconciling_since is not None and not account_checkpoint.reconcile_listed
    return Plan(
        recovered=() if held.failure is None or waits else ((held.failure.kind, held.failure.subject_id),),
        account_checkpoint=None if account_checkpoint == held.account_checkpoint else account_checkpoint,
        tasks=tuple(
            PendingTask(kind="conversation", subject_id=id_, due_at=walked.now, reason=Reason(verify=True))
            for id_ in sorted(held.unlisted)
        ),
    )


def plan_listings_due(held: HeldTask, due: ListingsDue) -> Plan:
    """Owe the walk over the owner's jobs."""
    del held
    return Plan(tasks=(PendingTask(kind="jobs", subject_id="mine", due_at=due.now),))


def plan_jobs(held: HeldJobs, read: JobsRead) -> Plan:
    """Store the jobs that changed, and owe the lists of their proposals; a job that is not listed proves nothing."""
    return Plan(
        rows=tuple(job for job in read.jobs if held.jobs.get(job.id) != job),
        tasks=tuple(
            PendingTask(kind="proposals", subject_id=job.id, due_at=read.now)
            for job in read.jobs
            if read.every_proposal
        )
        + tuple(
            PendingTask(kind="proposals", subject_id=one.id, due_at=read.now)
            for one in read.unreadable
            if read.every_proposal and one.id is not None
        ),
    )


def plan_proposals_listed(listed: ProposalsListed) -> Plan:
    """Ask for each proposal itself whose entry in the list can't be read."""
    ids = (one.id for one in listed.unreadable if one.id is not None)
    return Plan(tasks=tuple(PendingTask(kind="proposal", subject_id=id_, due_at=listed.now) for id_ in ids))


def plan_listing_proved(held: HeldTask, proved: ListingProved) -> Plan:
    """The list's task is done, and its failure over."""
    subject = (proved.kind, proved.subject_id)
    return Plan(
        completed=() if held.pending is None else ((*subject, held.pending.version),),
        recovered=() if held.failure is None else (subject,),
    )


def plan_listing_failed(held: HeldTask, failed: Failed) -> Plan:
    """Put a list off, with the reason.

    That of the conversations is no task, as each poll walks it: a failure that is not due for another try stays what
    it is, which the answer False says.
    """
    is_task = failed.kind != "conversations"
    if not is_task and held.failure is not None and not is_due(held.failure.next_try_at, failed.now):
        return Plan(answer=False)
    failure = next_failure(held.failure, failed)
    pending = held.pending or PendingTask(kind=failed.kind, subject_id=failed.subject_id, due_at=failed.now)
    return Plan(failures=(failure,), tasks=(replace(pending, due_at=failure.next_try_at),) if is_task else ())


def plan_feed(held: HeldEntries, feed: FeedRead) -> Plan:
    """Owe what the server's feed names and the rows held do not explain.

    What it told of before the first pass began is held already.
    """
    start = held.account.first_started_at or ""
    tasks = [
        PendingTask(kind="conversation", subject_id=id_, due_at=feed.now, reason=Reason(want=message_id))
        for id_, message_id, at in feed.messages
        if _is_wanted(held, id_, message_id) and (at or "") >= start
    ]
    tasks += [
        PendingTask(kind="proposal", subject_id=id_, due_at=feed.now)
        for id_, at in dict(feed.proposals).items()
        if (at or "") >= start and (feed.every_proposal or id_ in held.proposals)
    ]
    account_checkpoint = (
        held.account_checkpoint
        if held.account_checkpoint.feed_cursor == feed.cursor
        else replace(held.account_checkpoint, feed_cursor=feed.cursor)
    )
    return Plan(
        tasks=tuple(tasks),
        account_checkpoint=None if account_checkpoint is held.account_checkpoint else account_checkpoint,
        answer=Signals(pending=_conversations(tasks)),
    )


def _is_wanted(held: HeldEntries, conversation_id: str, message_id: str) -> bool:
    """Whether the feed names a message that is missing, and that nothing else is about to fetch."""
    busy = conversation_id in held.pending or conversation_id in held.failing
    return message_id not in held.messages and conversation_id in held.conversations and not busy


def _conversations(pending: Iterable[PendingTask]) -> tuple[str, ...]:
    return tuple(task.subject_id for task in pending if task.kind == "conversation")


def newest(entries: Iterable[Conversation]) -> Instant | None:
    """The newest `updated_at` among the entries."""
    return max((entry.updated_at for entry in entries if entry.updated_at is not None), default=None)
