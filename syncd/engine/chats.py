"""One round over the chats of an account: what may end it, and what its workers have found so far."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from syncd.core.chats import (
    ChatsUnchanged,
    ListsRead,
    RosterRead,
    RoundBegun,
    RoundEnded,
    SnapshotRead,
    SubjectFailed,
    SubjectMissing,
)
from syncd.core.model import (
    Doubtful,
    Due,
    Identity,
    Instant,
    NotModified,
    Pace,
    Roster,
    Snapshot,
    Subject,
    Wanted,
    parse_chat_id,
)
from syncd.core.observations import HeldAccount, Identified, Observation
from syncd.core.times import seconds_between
from syncd.engine.account import BaseMirror, Outcome, PassEndedError, check_place, measured, recorded_run
from syncd.engine.requests import BasePass
from syncd.errors import FetchError, NotFoundError, SyncdError, UnreachableError
from syncd.protocols import SnapshotSource

_T = TypeVar("_T")

_MOST_IN_A_ROW = 5  # chats that the server failed on, one after the other: it is time to ask whether it is the server


@dataclass(slots=True, kw_only=True)
class SnapshotMirror(BaseMirror):
    """An account whose source answers with whole chats."""

    source: SnapshotSource
    wanted: Wanted


class Round(BasePass):
    """What the workers of one round share.

    A chat's failure is its own only if the server is well: until that is known, it is kept here, not in the database.
    """

    def __init__(self, mirror: SnapshotMirror) -> None:
        super().__init__(mirror)
        self.mirror = mirror
        self.pace = Pace(poll_seconds=mirror.policy.poll_seconds, idle_seconds=mirror.policy.idle_seconds)
        self.changed = 0
        self.answered = 0
        self.unchanged: list[str] = []
        self._failed: list[tuple[str, str, FetchError]] = []
        self._is_well = False

    @property
    def now(self) -> Instant:
        """The wall clock's time."""
        return self.mirror.clock.now()

    async def apply(self, observation: Observation) -> object:
        """Commit an observation; the planner's answer."""
        answer: object = await self.mirror.store.apply(observation)
        return answer

    async def each(self, items: Iterable[_T], work: Callable[[_T], Awaitable[None]]) -> None:
        """Do the work for each item, so many at once as the account may ask; PassEndedError when the round is over."""
        left = deque(items)

        async def labour() -> None:
            while left and self.trouble is None:
                item = left.popleft()
                try:
                    await work(item)
                except SyncdError as error:
                    self.end(error.trouble if isinstance(error, PassEndedError) else error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(left), self.mirror.policy.concurrency)):
                group.create_task(labour())
        if self.trouble is not None:
            raise PassEndedError(self.trouble)

    async def make_sure_it_is_well(self) -> None:
        """Believe a 404 only where the server still answers what it must; asked once a round."""
        if not self._is_well:
            await self.probe()

    async def probe(self) -> None:
        """Ask what the server must answer whatever it holds; where it does not, the round is over."""
        try:
            await self.ask(self.mirror.source.fetch_jobs)
        except FetchError as error:
            raise self.end(error) from None
        self._is_well = True

    def note_well(self) -> None:
        """The server has just answered what it must."""
        self._is_well = True

    async def doubt(self, kind: str, subject_id: str, error: FetchError) -> None:
        """Keep a failure until it is known whose it is; many in a row are the server's, unless it answers otherwise."""
        self._failed.append((kind, subject_id, error))
        self._in_a_row += 1
        if self._in_a_row < _MOST_IN_A_ROW:
            return
        if isinstance(error, UnreachableError) and error.status is None:
            raise self.end(error)
        await self.probe()

    async def write_failures(self) -> None:
        """Put off what failed while other things went well, with the reason, in the database and in the log."""
        if self._failed and self.answered == 0:
            await self.probe()
        mirror = self.mirror
        for kind, subject_id, error in self._failed:
            failed = SubjectFailed(
                account=mirror.account,
                now=self.now,
                kind=kind,
                subject_id=subject_id,
                reason=error.reason,
                request_id=error.request_id,
            )
            await self.apply(failed)
            mirror.log(
                "failure",
                level="warning",
                kind=kind,
                subject_id=subject_id,
                reason=error.reason,
                request_id=error.request_id,
            )

    async def write_unchanged(self) -> None:
        """Let the chats rest that answered 304, all in one transaction."""
        if self.unchanged:
            ids, self.unchanged = tuple(self.unchanged), []
            await self.apply(
                ChatsUnchanged(account=self.mirror.account, now=self.now, conversation_ids=ids, pace=self.pace)
            )


# Which jobs and candidates there are, and so which chats.


async def read_lists(under: Round, held: HeldAccount) -> None:
    """Read every list, take up the chats it shows, and ask for those that are held and not listed."""
    mirror = under.mirror
    jobs = await under.ask(mirror.source.fetch_jobs)
    under.note_well()
    if held.account is not None and held.account.first_started_at is None:
        nobody = Identity(user_id=None, scopes=None, server_time=jobs.server_time)
        await under.apply(Identified(account=mirror.account, now=under.now, identity=nobody))
    listed = await _note(under, jobs)
    unread: set[str] = set()
    if mirror.wanted.candidates is None:
        await under.each(jobs.subjects, lambda job: _read_candidates(under, job, listed, unread))
    read = ListsRead(
        account=mirror.account,
        now=under.now,
        wanted=mirror.wanted,
        listed=frozenset(listed),
        unread_jobs=frozenset(unread),
        server_time=jobs.server_time,
    )
    unlisted: tuple[str, ...] = await mirror.store.apply(read)
    await under.each(unlisted, lambda conversation_id: _ask_for(under, conversation_id))


async def _note(under: Round, roster: Roster, list_of: str | None = None) -> set[str]:
    """Store what a list names; the chats in it that are mirrored."""
    mirror = under.mirror
    ids = {subject.conversation_id for subject in roster.subjects}
    chats = frozenset(id_ for id_ in ids if mirror.wanted.includes(id_))
    await under.apply(
        RosterRead(account=mirror.account, now=under.now, subjects=roster.subjects, chats=chats, list_of=list_of)
    )
    return set(chats)


async def _read_candidates(under: Round, job: Subject, listed: set[str], unread: set[str]) -> None:
    source, job_id = under.mirror.source, job.row.id
    try:
        roster = await under.ask(lambda: source.fetch_candidates(job_id))
    except FetchError as error:
        unread.add(job_id)
        await under.doubt("candidates", job_id, error)
    else:
        listed |= await _note(under, roster, list_of=job_id)


async def _ask_for(under: Round, conversation_id: str) -> None:
    try:
        await exists(under, conversation_id)
    except FetchError as error:
        await under.doubt("conversation", conversation_id, error)


# One chat: ask whether it has changed, compare it if so, and ask its subject what an empty answer means.


async def look_at(under: Round, due: Due) -> None:
    """Bring one chat up to date; what can't be had is kept as a failure."""
    id_ = due.conversation_id
    try:
        if not due.ask_subject or await exists(under, id_):
            await _read_chat(under, due)
    except FetchError as error:
        await under.doubt("conversation", id_, error)
    under.mirror.tally.done += 1


async def exists(under: Round, conversation_id: str) -> bool:
    """Whether the chat's subject is there, by its own answer; what that tells is stored."""
    mirror = under.mirror
    kind, id_ = parse_chat_id(conversation_id)
    fetch = mirror.source.fetch_job if kind == "job" else mirror.source.fetch_candidate
    try:
        subject = await under.ask(lambda: fetch(id_))
    except NotFoundError as error:
        await under.make_sure_it_is_well()
        missing = SubjectMissing(
            account=mirror.account, now=under.now, conversation_id=conversation_id, pace=under.pace
        )
        if not await under.apply(missing):  # there never was such a job or candidate, yet it is configured
            await under.doubt("conversation", conversation_id, error)
        under.answered += 1
        return False
    under.answered += 1
    chats = frozenset({conversation_id})
    await under.apply(RosterRead(account=mirror.account, now=under.now, subjects=(subject,), chats=chats, single=True))
    return True


async def _read_chat(under: Round, due: Due) -> None:
    source, id_ = under.mirror.source, due.conversation_id
    kind, subject_id = parse_chat_id(id_)
    try:
        answer = await under.ask(lambda: source.fetch_chat(kind, subject_id, due.etag))
    except NotFoundError:  # not what this server says, but what its documents do
        if await exists(under, id_):
            raise
        return
    under.answered += 1
    if isinstance(answer, NotModified):
        under.unchanged.append(id_)
    elif isinstance(await _compare(under, id_, answer, confirmed=False), Doubtful) and await exists(under, id_):
        await _compare(under, id_, answer, confirmed=True)


async def _compare(under: Round, conversation_id: str, snapshot: Snapshot, *, confirmed: bool) -> object:
    read = SnapshotRead(
        account=under.mirror.account,
        now=under.now,
        conversation_id=conversation_id,
        snapshot=snapshot,
        pace=under.pace,
        confirmed=confirmed,
    )
    answer = await under.apply(read)
    under.changed += answer is True
    under.mirror.tally.messages += len(snapshot.messages)
    return answer


# The story of one poll over whole chats: which are there, which are due, look at each, and believe what is missing.


_LISTS_SECONDS = 600.0  # how often it is asked which jobs and candidates there are


async def poll_snapshot(mirror: SnapshotMirror, *, full: bool = False, manual: bool = False) -> Outcome:
    """One poll over every chat that is due, or over all of them when `full` or `manual`.

    Never raises for the server's or the disk's troubles, but says them in its Outcome.
    """
    return await measured(mirror, lambda: _look(Round(mirror), full=full, manual=manual))


async def _look(under: Round, *, full: bool, manual: bool) -> bool:
    mirror = under.mirror
    check_place(mirror)
    await under.gate.resume()
    held = await mirror.store.fetch_account(mirror.account)
    first = held.account is not None and held.account.complete_since is None
    compare = not first and (full or _is_reconcile_due(mirror, held))
    kind = "first_pass" if first else "reconcile" if compare else "sync" if manual else None
    async with recorded_run(mirror, kind):
        if first or compare or manual or _are_lists_due(mirror, held):
            await read_lists(under, held)
        await _look_at_chats(under, held, everything=compare or manual, afresh=compare)
    return under.changed > 0


def _is_reconcile_due(mirror: SnapshotMirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    due = last is not None and seconds_between(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds
    return due or held.memo.reconciling_since is not None


def _are_lists_due(mirror: SnapshotMirror, held: HeldAccount) -> bool:
    last = held.memo.discovered_at
    return last is None or seconds_between(last, mirror.clock.now()) >= _LISTS_SECONDS


async def _look_at_chats(under: Round, held: HeldAccount, *, everything: bool, afresh: bool) -> None:
    """Look at each chat that is due, then say what of the failures and the losses is to be believed."""
    mirror = under.mirror
    begun = RoundBegun(
        account=mirror.account, now=under.now, wanted=mirror.wanted, everything=everything, afresh=afresh
    )
    due: Sequence[Due] = await mirror.store.apply(begun)
    if held.memo.trouble and not due:
        await under.probe()  # a round that asks nothing must not end an outage
    await _look_at_each(under, due)
    await under.write_failures()
    await under.apply(RoundEnded(account=mirror.account, now=under.now, compared=afresh))


async def _look_at_each(under: Round, due: Sequence[Due]) -> None:
    under.mirror.tally.conversations, under.mirror.tally.listed = len(due), True
    try:
        await under.each(due, lambda chat: look_at(under, chat))
    finally:
        await under.write_unchanged()
