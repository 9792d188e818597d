"""What the mirror holds of a source that answers with whole chats, as far as one plan needs it."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.conversation import (
    ClaimsOver,
    Comparison,
    compare,
    end_claims,
    message_event,
    next_failure,
    weigh_claims,
)
from syncd.core.deletions import Settlement, gone_events, is_large
from syncd.core.model import (
    Candidate,
    Chat,
    Conversation,
    Doubtful,
    Due,
    Event,
    Instant,
    Job,
    Message,
    Pace,
    Row,
    Snapshot,
    Subject,
    Unreadable,
    Wanted,
)
from syncd.core.observations import Failed, HeldMessages, Observation
from syncd.core.plan import Account, AccountCheckpoint, Failure, PendingTask, Plan
from syncd.core.times import SECOND_LOOK_SECONDS, after, clamp, elapsed, is_due, next_interval, seconds_between
from syncd.core.walk import Reason

UNPUBLISHED_SECONDS = 600.0
"""How often the candidates of a job are listed that is not published, in seconds."""

Suspicion = tuple[str, str]
"""The kind (message or conversation) and the id of what is suspected to be gone."""


class HeldRound(Struct, frozen=True, kw_only=True):
    """Every chat of the account. `failing`: when each failed subject, by kind and id, is tried again.

    `listings`: the tasks to list the candidates of a job, by job.
    """

    account_checkpoint: AccountCheckpoint
    chats: dict[str, Chat]
    jobs: dict[str, str | None]
    gone: frozenset[str]
    suspects: frozenset[str]
    failing: dict[tuple[str, str], Instant]
    listings: dict[str, PendingTask] = {}


class HeldSubjects(Struct, frozen=True, kw_only=True):
    """The subjects that a list names, with their chats. `failing`: what has a row in `failures`, by kind and id.

    `listings`: the tasks to list the candidates of the jobs named, and of the job whose candidates these are.
    """

    account: Account
    account_checkpoint: AccountCheckpoint
    subjects: dict[tuple[str, str], Job | Candidate]
    conversations: dict[str, Conversation]
    chats: dict[str, Chat]
    suspects: frozenset[str]
    failing: frozenset[tuple[str, str]]
    listings: dict[str, PendingTask] = {}


class HeldChat(HeldMessages, frozen=True, kw_only=True):
    """One chat with all of its messages, and whatever else is held under the ids asked for.

    `pending`: the task whose subject this is, where there is one.
    """

    conversation: Conversation | None
    chat: Chat | None
    failure: Failure | None
    pending: PendingTask | None = None
    suspects: frozenset[str]


class HeldChats(Struct, frozen=True, kw_only=True):
    """The state of several chats, and which of them have a row in `failures`."""

    chats: dict[str, Chat]
    failing: frozenset[str]


class HeldLosses(Struct, frozen=True, kw_only=True):
    """What is suspected to be gone, since when, and how much of each is held.

    `newest`: the last message that is neither gone nor suspected, of each chat that lost some.
    """

    account: Account
    account_checkpoint: AccountCheckpoint
    conversations: tuple[Conversation, ...]
    messages: tuple[Message, ...]
    since: dict[Suspicion, Instant]
    owners: dict[str, Conversation]
    subjects: dict[str, Job | Candidate]
    newest: dict[str, Message]
    chats: dict[str, Chat]
    all_conversations: int
    all_messages: int


# Observations of a source that answers with whole chats.


class SubjectsRead(Observation, frozen=True, kw_only=True):
    """Jobs or candidates came; those in `chats` have a chat that is to be mirrored.

    `single`: they were asked for one by one, which may tell more fields than a list does. `list_of`: the job whose
    candidates these are, which are listed again `again_in` seconds. `lists_candidates`: those of the jobs named are
    to be listed. `server_time`: when they came. `is_whole`: the list does not speak of more pages.
    """

    subjects: tuple[Subject, ...]
    chats: frozenset[str]
    single: bool = False
    list_of: str | None = None
    again_in: float = 0.0
    lists_candidates: bool = False
    server_time: Instant | None = None
    is_whole: bool = True
    unreadable: tuple[Unreadable, ...] = ()


class ListsRead(Observation, frozen=True, kw_only=True):
    """The lists that were due were read; `listed`: the chats found. Candidates of `unread_jobs` were not listed.

    `jobs`: every job that there is. `everything`: what is not listed is asked for, however lately it was.
    """

    wanted: Wanted
    listed: frozenset[str]
    jobs: frozenset[str]
    unread_jobs: frozenset[str]
    pace: Pace
    everything: bool
    server_time: Instant


class SubjectMissing(Observation, frozen=True, kw_only=True):
    """The job or the candidate itself answered 404, while the server answers others."""

    conversation_id: str
    pace: Pace


class RoundBegun(Observation, frozen=True, kw_only=True):
    """A round begins: which chats are due? `everything`: all are; `afresh`: whatever their ETags say."""

    wanted: Wanted
    everything: bool
    afresh: bool


class SnapshotRead(Observation, frozen=True, kw_only=True):
    """A chat came whole; `confirmed`: its subject exists, so that an empty answer means what it says."""

    conversation_id: str
    snapshot: Snapshot
    pace: Pace
    confirmed: bool = False


class ChatsUnchanged(Observation, frozen=True, kw_only=True):
    """Chats that still are what their ETags name."""

    conversation_ids: tuple[str, ...]
    pace: Pace


class SubjectFailed(Failed, frozen=True, kw_only=True):
    """A chat (kind conversation), or the candidates of a job (kind candidates), could not be had."""


class RoundEnded(Observation, frozen=True, kw_only=True):
    """Every chat that was due has been looked at; `compared`: all of them were, whatever their ETags said."""

    compared: bool


# Plans for what there is: the jobs and candidates that lists name, and the chats about them.


def plan_subject_list(held: HeldSubjects, read: SubjectsRead) -> Plan:
    """Store the subjects that changed, and take up the chats that are new or back."""
    rows: list[Row] = []
    events: list[Event] = []
    chats: list[tuple[str, Chat]] = []
    for subject in read.subjects:
        rows += _subject_rows(held, subject, single=read.single)
        if subject.conversation_id in read.chats:
            _take_up(held, subject, read, rows, events, chats)
    listed = ("candidates", read.list_of or "")
    return Plan(
        tasks=tuple(_candidates_due(held, read)),
        rows=tuple(rows),
        events=tuple(events),
        chats=tuple(chats),
        unsuspect=tuple(
            ("conversation", subject.conversation_id)
            for subject in read.subjects
            if subject.conversation_id in held.suspects
        ),
        recovered=(listed,) if listed in held.failing and read.is_whole else (),
    )


def _subject_rows(held: HeldSubjects, subject: Subject, *, single: bool) -> list[Row]:
    """The subject's row where it changed; lists decide what `extra` holds, so that it does not go to and fro."""
    known: Job | Candidate | None = held.subjects.get((subject.kind, subject.row.id))
    row = subject.row
    if isinstance(row, Candidate) and isinstance(known, Candidate):
        row = replace(row, erased_at=known.erased_at)
    if single and known is not None:
        row = replace(row, extra=known.extra)
    return [] if row == known else [row]


def _candidates_due(held: HeldSubjects, read: SubjectsRead) -> Iterable[PendingTask]:
    """When the candidates of which job are to be listed: those of a new job at once, those just listed again later."""
    if read.list_of is not None:
        task = held.listings.get(read.list_of) or PendingTask(
            kind="candidates", subject_id=read.list_of, due_at=read.now
        )
        yield replace(task, due_at=after(read.now, read.again_in), reason=Reason(since=read.server_time))
    elif read.lists_candidates:
        since = held.account_checkpoint.surveyed_at
        named = (one.id for one in read.unreadable if one.id is not None)
        for job_id in (*(subject.row.id for subject in read.subjects), *named):
            if job_id not in held.listings:
                yield PendingTask(kind="candidates", subject_id=job_id, due_at=read.now, reason=Reason(since=since))


def _take_up(
    held: HeldSubjects,
    subject: Subject,
    read: SubjectsRead,
    rows: list[Row],
    events: list[Event],
    chats: list[tuple[str, Chat]],
) -> None:
    seen = subject.conversation
    known, chat = held.conversations.get(seen.id), held.chats.get(seen.id)
    first_pass = held.account.complete_since is None
    if known is None or chat is None:
        rows.append(seen)
        chats.append((seen.id, Chat(history_before=_history_before(held, read), first_pass=first_pass)))
        if not first_pass:
            events.append(Event(kind="conversation.new", conversation_id=seen.id))
        return
    row = _renamed(known, seen)
    if row != known:
        rows.append(row)
    if read.single:
        chat = replace(chat, checked_at=read.now)
    if known.gone_at is not None:
        chat = replace(chat, etag=None, next_poll_at=None, doubted_until=None)
        events.append(Event(kind="conversation.returned", conversation_id=seen.id))
    if chat != held.chats.get(seen.id):
        chats.append((seen.id, chat))


def _renamed(known: Conversation, seen: Conversation) -> Conversation:
    return replace(known, type=seen.type, title=seen.title, job_id=seen.job_id, gone_at=None)


def _history_before(held: HeldSubjects, read: SubjectsRead) -> Instant:
    """In the first pass history ends when that began, later with the list read before; both by the server's clock."""
    if held.account.complete_since is None:
        return held.account.first_started_at or read.now
    listing = held.listings.get(read.list_of or "")
    since = None if listing is None or listing.reason is None else listing.reason.since
    return since or held.account_checkpoint.surveyed_at or read.now


def plan_lists_read(held: HeldRound, read: ListsRead) -> Plan:
    """Remember when the lists were read; the answer is the chats that must be asked for themselves.

    Absence from a list is no proof. What is gone and asked for by name may be back without being listed.
    """
    unlisted = tuple(
        id_
        for id_, chat in held.chats.items()
        if read.wanted.includes(id_)
        and id_ not in read.listed
        and held.jobs.get(id_) not in read.unread_jobs
        and (id_ not in held.gone or id_ in read.wanted.named)
        and (read.everything or _is_check_due(chat, read, gone=id_ in held.gone))
    )
    return Plan(
        account_checkpoint=replace(held.account_checkpoint, surveyed_at=read.server_time),
        completed=tuple(
            ("candidates", job_id, task.version) for job_id, task in held.listings.items() if job_id not in read.jobs
        ),
        recovered=(("jobs", "all"),) if ("jobs", "all") in held.failing else (),
        answer=unlisted,
    )


def _is_check_due(chat: Chat, read: ListsRead, *, gone: bool) -> bool:
    """Whether a subject that no list shows is to be asked for itself again."""
    seconds = UNPUBLISHED_SECONDS if gone else read.pace.idle_seconds
    return chat.checked_at is None or elapsed(chat.checked_at, read.now) >= seconds


def plan_round_begun(held: HeldRound, begun: RoundBegun) -> Plan:
    """Say which chats are due, the longest waiting first; what is no longer wanted has no failures."""
    due = [
        Due(
            conversation_id=id_,
            etag=None if begun.afresh or _wants_second_look(chat, begun.now) else chat.etag,
            ask_subject=id_ in held.suspects,
        )
        for id_, chat in sorted(held.chats.items(), key=lambda item: item[1].next_poll_at or "")
        if begun.wanted.includes(id_) and id_ not in held.gone and _is_due(held, id_, begun)
    ]
    unknown = [
        Due(conversation_id=id_, ask_subject=True)
        for id_ in sorted(begun.wanted.named - held.chats.keys())
        if begun.everything or _may_try(held, id_, begun.now)
    ]
    over = tuple(
        (kind, id_)
        for kind, id_ in held.failing
        if (kind == "conversation" and not begun.wanted.includes(id_))
        or (kind == "candidates" and begun.wanted.candidates is not None)
    )
    return Plan(recovered=over, answer=(*due, *unknown))


def _is_due(held: HeldRound, id_: str, begun: RoundBegun) -> bool:
    if begun.everything:
        return True
    chat = held.chats[id_]
    turn = chat.next_poll_at is None or is_due(chat.next_poll_at, begun.now, chat.interval)
    turn = turn or _wants_second_look(chat, begun.now)
    return turn and _may_try(held, id_, begun.now)


def _may_try(held: HeldRound, id_: str, now: Instant) -> bool:
    return is_due(held.failing.get(("conversation", id_), ""), now)


def _wants_second_look(chat: Chat, now: Instant) -> bool:
    return chat.doubted_until is not None and is_due(chat.doubted_until, now, SECOND_LOOK_SECONDS)


# Plans for one chat: an answer compared, as a set, with what is held.


_FRESH_SECONDS = 3600.0  # a chat whose last message is younger than this when it is first seen is one that talks
_AHEAD_SECONDS = 60.0  # a time further ahead of its own answer is no clock's small error, and says nothing


def plan_snapshot(held: HeldChat, read: SnapshotRead) -> Plan:
    """Store what is new and changed, suspect what is missing; the answer is Doubtful, or whether anything differed."""
    conversation, chat = held.conversation, held.chat
    if conversation is None or chat is None:
        return Plan(answer=False)
    live = {m.id: m for m in held.messages.values() if m.gone_at is None and m.conversation_id == conversation.id}
    came = {message.id: message for message in read.snapshot.messages}
    unreadable = {one.subject_id for one in read.snapshot.unreadable}
    if not came and not unreadable and live and not read.confirmed:
        return Plan(answer=Doubtful())
    claims = weigh_claims(held, conversation.id, read.snapshot.messages, read.now)
    over = end_claims(held, conversation.id, {*came, *unreadable}) if read.snapshot.is_whole else ClaimsOver()
    moved = {message.id for message in over.moved}
    compared = compare(held.messages, [m for m in read.snapshot.messages if m.id not in claims.foreign])
    left = tuple(id_ for id_ in live if id_ not in came and id_ not in moved)
    # an entry without a usable id may be any of those that are missing
    nameless = any(one.id is None for one in read.snapshot.unreadable)
    certain = read.snapshot.is_whole and not nameless
    missing = tuple(id_ for id_ in left if id_ not in unreadable) if certain else ()
    row = with_last(conversation, (*came.values(), *(live[id_] for id_ in left)))
    differs = bool(compared.new or compared.changed or missing or moved)
    return Plan(
        rows=(*compared.new, *compared.changed, *over.moved, *(() if row == conversation else (row,))),
        revisions=compared.revisions,
        events=tuple(_events(compared, chat, read)),
        chats=((conversation.id, _looked_at(chat, read, row, busy=differs)),),
        suspects=(*claims.made, *(("message", id_, conversation.id) for id_ in missing)),
        unsuspect=(*over.unsuspect, *(("message", id_) for id_ in (*came, *unreadable) if id_ in held.suspects)),
        failures=claims.quarrels,
        recovered=(
            *over.recovered,
            *(() if held.failure is None or not read.snapshot.is_whole else (("conversation", conversation.id),)),
        ),
        answer=differs,
    )


def with_last(conversation: Conversation, messages: Iterable[Message]) -> Conversation:
    """The conversation, naming the last of these messages."""
    last = max(messages, key=lambda message: message.place, default=None)
    return replace(
        conversation,
        last_message_id=None if last is None else last.id,
        last_message_at=None if last is None else last.created_at,
    )


def _looked_at(chat: Chat, read: SnapshotRead, row: Conversation, *, busy: bool) -> Chat:
    """The chat after a whole answer; one seen for the first time is as busy as its last message is young."""
    if chat.whole_since is None:
        last = row.last_message_at
        busy = last is not None and seconds_between(last, read.snapshot.server_time) < _FRESH_SECONDS
        chat = replace(chat, whole_since=read.now, interval=read.pace.idle_seconds)
    etag = read.snapshot.etag if read.snapshot.is_whole else None
    return replace(settled(chat, read.now, read.pace, busy=busy), etag=etag)


def settled(chat: Chat, now: Instant, pace: Pace, *, busy: bool) -> Chat:
    """The chat after a look that was no 304: its next turn, and a second look done if it was time for one."""
    until = None if chat.doubted_until is None else clamp(chat.doubted_until, now, SECOND_LOOK_SECONDS)
    doubted = until if until is not None and until > now else None
    return replace(rested(chat, now, pace, busy=busy), looked_at=now, doubted_until=doubted)


def rested(chat: Chat, now: Instant, pace: Pace, *, busy: bool) -> Chat:
    """The chat with its next turn: soon while it talks, ever later while it does not."""
    interval = next_interval(chat.interval, busy=busy, poll_seconds=pace.poll_seconds, idle_seconds=pace.idle_seconds)
    return replace(chat, interval=interval, next_poll_at=after(now, interval))


def _events(compared: Comparison, chat: Chat, read: SnapshotRead) -> Iterable[Event]:
    news = [message for message in compared.new if not _is_history(message, chat, read.snapshot.server_time)]
    if chat.whole_since is None and chat.first_pass and news and len(news) == len(read.snapshot.messages):
        oldest = min(message.place for message in news)[0]
        yield Event(kind="conversation.new", conversation_id=read.conversation_id, occurred_at=oldest)
    for message in news:
        yield message_event("message.new", message, message.created_at)
    for message in compared.edited:
        yield message_event("message.edited", message, None)
    for message in compared.restored:
        yield message_event("message.restored", message, None)


def _is_history(message: Message, chat: Chat, server_time: Instant) -> bool:
    """Whether the message was there before anybody watched: created earlier, and in the chat's first snapshot.

    A time far ahead of the answer that brought it is a clock's mistake; what the first look finds with it is history.
    """
    created = message.created_at or ""
    return chat.whole_since is None and (created < chat.history_before or created > after(server_time, _AHEAD_SECONDS))


def plan_unchanged(held: HeldChats, seen: ChatsUnchanged) -> Plan:
    """Let quiet chats rest a little longer."""
    return Plan(
        chats=tuple((id_, rested(chat, seen.now, seen.pace, busy=False)) for id_, chat in held.chats.items()),
        recovered=tuple(("conversation", id_) for id_ in sorted(held.failing)),
    )


def plan_subject_missing(held: HeldChat, missing: SubjectMissing) -> Plan:
    """Suspect the chat to be gone, and nothing in it; the answer is whether such a chat is held at all."""
    conversation, chat = held.conversation, held.chat
    if conversation is None or chat is None:
        return Plan(answer=False)
    recovered = () if held.failure is None else (("conversation", conversation.id),)
    if conversation.gone_at is not None:
        checked = replace(chat, checked_at=missing.now)
        return Plan(chats=((conversation.id, checked),), recovered=recovered, answer=True)
    missed = settled(chat, missing.now, missing.pace, busy=False)
    return Plan(
        chats=((conversation.id, replace(missed, checked_at=missing.now)),),
        suspects=(("conversation", conversation.id, conversation.id),),
        unsuspect=tuple(("message", id_) for id_ in sorted(held.suspects)),
        recovered=recovered,
        answer=True,
    )


def plan_subject_failed(held: HeldChat, failed: SubjectFailed) -> Plan:
    """Put the subject off, with the reason."""
    failure = next_failure(held.failure, failed)
    tasks = () if held.pending is None else (replace(held.pending, due_at=failure.next_try_at),)
    return Plan(failures=(failure,), tasks=tasks)


# What a round may believe of what it missed: a large loss needs a second look that agrees.


class _Losses(Struct, frozen=True):
    """Chats and messages that are missing."""

    conversations: tuple[Conversation, ...] = ()
    messages: tuple[Message, ...] = ()

    def __len__(self) -> int:
        return len(self.conversations) + len(self.messages)

    def keys(self) -> Iterable[Suspicion]:
        """How `_suspects` names them."""
        yield from (("conversation", row.id) for row in self.conversations)
        yield from (("message", row.id) for row in self.messages)

    def chats(self) -> frozenset[str]:
        """The chats that have to be looked at again for them."""
        return frozenset({row.id for row in self.conversations} | {row.conversation_id for row in self.messages})


def plan_round_ended(held: HeldLosses, ended: RoundEnded) -> Plan:
    """Believe what a second look confirmed and what is a small loss, and hold a large one back.

    The answer is a Settlement.
    """
    confirmed = _sorted_out(held, confirmed=True)
    unconfirmed = _sorted_out(held, confirmed=False)
    large = is_large(len(unconfirmed.conversations), held.all_conversations) or is_large(
        len(unconfirmed.messages), held.all_messages
    )
    doubted = unconfirmed if large else _Losses()
    believed = (
        confirmed
        if large
        else _Losses(confirmed.conversations + unconfirmed.conversations, confirmed.messages + unconfirmed.messages)
    )
    chats = {id_: _doubting(held.chats[id_], ended) for id_ in doubted.chats() if id_ in held.chats}
    account = replace(held.account, last_reconciled_at=ended.now) if ended.compared else held.account
    account_checkpoint = _guarded(held.account_checkpoint, doubted, chats, ended)
    return Plan(
        rows=tuple(_gone_rows(held, believed, doubted, ended.now)),
        events=tuple(gone_events(believed.conversations, believed.messages, ended.now)),
        chats=tuple(sorted(chats.items())),
        unsuspect=tuple(believed.keys()),
        account=None if account == held.account else account,
        account_checkpoint=None if account_checkpoint == held.account_checkpoint else account_checkpoint,
        answer=Settlement(believed=len(believed), held_back=len(doubted)),
    )


def _sorted_out(held: HeldLosses, *, confirmed: bool) -> _Losses:
    """The losses that were seen twice, the second time long enough after the first; or those that were not."""

    def is_wanted(kind: str, id_: str, conversation_id: str) -> bool:
        chat = held.chats.get(conversation_id)
        looked_at = (chat and chat.looked_at) or ""
        return (looked_at >= after(held.since[kind, id_], SECOND_LOOK_SECONDS)) is confirmed

    return _Losses(
        tuple(row for row in held.conversations if is_wanted("conversation", row.id, row.id)),
        tuple(row for row in held.messages if is_wanted("message", row.id, row.conversation_id)),
    )


def _doubting(chat: Chat, ended: RoundEnded) -> Chat:
    return replace(chat, doubted_until=chat.doubted_until or after(ended.now, SECOND_LOOK_SECONDS))


def _guarded(
    account_checkpoint: AccountCheckpoint, doubted: _Losses, chats: dict[str, Chat], ended: RoundEnded
) -> AccountCheckpoint:
    """What is remembered, and told, of a loss that is held back."""
    since = None if ended.compared else account_checkpoint.reconciling_since
    if not doubted:
        return replace(account_checkpoint, reconciling_since=since, second_look_at=None, loss_guard=None)
    guard = (
        f"{len(doubted.messages)} messages and {len(doubted.conversations)} conversations look deleted; "
        "nothing is marked before a second look agrees"
    )
    looks = [chat.doubted_until for chat in chats.values() if chat.doubted_until is not None]
    return replace(
        account_checkpoint, reconciling_since=since, second_look_at=min(looks, default=None), loss_guard=guard
    )


def _gone_rows(held: HeldLosses, believed: _Losses, doubted: _Losses, now: str) -> Iterable[Row]:
    """The rows that are gone, with their subjects, and the chats that lost their last message."""
    yield from (replace(row, gone_at=now) for row in believed.messages)
    for row in believed.conversations:
        yield replace(row, gone_at=now)
        subject = held.subjects.get(row.id)
        if subject is not None and subject.gone_at is None:
            yield replace(subject, gone_at=now)
    gone = {row.id for row in believed.conversations}
    for id_ in sorted({row.conversation_id for row in believed.messages} - gone):
        left = [row for row in doubted.messages if row.conversation_id == id_]
        newest, owner = held.newest.get(id_), held.owners.get(id_)
        if owner is not None:
            row = with_last(owner, left if newest is None else [*left, newest])
            yield from () if row == owner else (row,)
