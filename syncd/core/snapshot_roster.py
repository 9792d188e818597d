"""Plans for what there is: the jobs and candidates that lists name, and the chats about them."""

from msgspec.structs import replace

from syncd.core.model import Candidate, Conversation, Event, Instant, Job, Row
from syncd.core.plan import Plan
from syncd.core.snapshot import Chat, Due, Subject
from syncd.core.snapshot_held import HeldRoster, HeldRound
from syncd.core.snapshot_seen import ListsRead, RosterRead, RoundBegun


def plan_roster(held: HeldRoster, read: RosterRead) -> Plan:
    """Store the subjects that changed, and take up the chats that are new or back."""
    rows: list[Row] = []
    events: list[Event] = []
    chats: list[tuple[str, Chat]] = []
    for subject in read.subjects:
        rows += _subject_rows(held, subject, single=read.single)
        if subject.conversation_id in read.chats:
            _take_up(held, subject, read.now, rows, events, chats)
    listed = ("candidates", read.list_of or "")
    return Plan(
        rows=tuple(rows),
        events=tuple(events),
        chats=tuple(chats),
        unsuspect=tuple(
            ("conversation", subject.conversation_id)
            for subject in read.subjects
            if subject.conversation_id in held.suspects
        ),
        recovered=(listed,) if listed in held.failing else (),
    )


def _subject_rows(held: HeldRoster, subject: Subject, *, single: bool) -> list[Row]:
    """The subject's row where it changed; lists decide what `extra` holds, so that it does not go to and fro."""
    known: Job | Candidate | None = held.subjects.get((subject.kind, subject.row.id))
    row = subject.row
    if isinstance(row, Candidate) and isinstance(known, Candidate):
        row = replace(row, erased_at=known.erased_at)
    if single and known is not None:
        row = replace(row, extra=known.extra)
    return [] if row == known else [row]


def _take_up(
    held: HeldRoster,
    subject: Subject,
    now: Instant,
    rows: list[Row],
    events: list[Event],
    chats: list[tuple[str, Chat]],
) -> None:
    seen = subject.conversation
    known, chat = held.conversations.get(seen.id), held.chats.get(seen.id)
    first_pass = held.account.complete_since is None
    if known is None or chat is None:
        rows.append(seen)
        chats.append((seen.id, Chat(history_before=_history_before(held, now), first_pass=first_pass)))
        if not first_pass:
            events.append(Event(kind="conversation.new", conversation_id=seen.id))
        return
    row = _renamed(known, seen)
    if row != known:
        rows.append(row)
    if known.gone_at is not None:
        chats.append((seen.id, replace(chat, etag=None, next_poll_at=None, doubted_until=None)))
        events.append(Event(kind="conversation.returned", conversation_id=seen.id))


def _renamed(known: Conversation, seen: Conversation) -> Conversation:
    return replace(known, type=seen.type, title=seen.title, job_id=seen.job_id, gone_at=None)


def _history_before(held: HeldRoster, now: Instant) -> Instant:
    """In the first pass history ends when that began, later with the lists read before; both by the server's clock."""
    if held.account.complete_since is None:
        return held.account.first_started_at or now
    return held.memo.surveyed_at or now


def plan_lists_read(held: HeldRound, read: ListsRead) -> Plan:
    """Remember when the lists were read; the answer is the chats that must be asked for themselves.

    Absence from a list is no proof. What is gone and asked for by name may be back without being listed.
    """
    unlisted = tuple(
        id_
        for id_ in held.chats
        if read.wanted.includes(id_)
        and id_ not in read.listed
        and held.jobs.get(id_) not in read.unread_jobs
        and (id_ not in held.gone or id_ in read.wanted.named)
    )
    return Plan(memo=replace(held.memo, surveyed_at=read.server_time, discovered_at=read.now), answer=unlisted)


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
    turn = chat.next_poll_at is None or chat.next_poll_at <= begun.now or _wants_second_look(chat, begun.now)
    return turn and _may_try(held, id_, begun.now)


def _may_try(held: HeldRound, id_: str, now: Instant) -> bool:
    return held.failing.get(("conversation", id_), "") <= now


def _wants_second_look(chat: Chat, now: Instant) -> bool:
    return chat.doubted_until is not None and chat.doubted_until <= now
