"""One round over the chats of an account: what may end it, and what its workers have found so far."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from syncd.core.chats import (
    UNPUBLISHED_SECONDS,
    ChatsUnchanged,
    ListsRead,
    RoundBegun,
    RoundEnded,
    SnapshotRead,
    SubjectFailed,
    SubjectMissing,
    SubjectsRead,
)
from syncd.core.model import (
    Doubtful,
    Due,
    Identity,
    Instant,
    Job,
    NotModified,
    Pace,
    Snapshot,
    SubjectList,
    Wanted,
    parse_chat_id,
)
from syncd.core.observations import HeldAccount, Identified, Observation
from syncd.core.times import elapsed, is_due
from syncd.engine.account import (
    BaseMirror,
    PassEndedError,
    PassSummary,
    PollResult,
    check_place,
    measured,
    recorded_run,
)
from syncd.engine.requests import BasePass
from syncd.errors import FetchError, NotFoundError, SyncdError, UnreachableError
from syncd.protocols import SnapshotSource

_T = TypeVar("_T")

MORE_PAGES = "more_pages"
"""Why what came whole so far is not: its answer speaks of more pages, which nobody knows how to ask for."""

_MOST_IN_A_ROW = 5  # chats that the server failed on, one after the other: it is time to ask whether it is the server


@dataclass(slots=True, kw_only=True)
class SnapshotMirror(BaseMirror):
    """An account whose source answers with whole chats; `known_jobs`: the list of them that was stored last."""

    source: SnapshotSource
    wanted: Wanted
    known_jobs: SubjectList | None = None

    def forget(self) -> None:
        """Take nothing for known that an earlier poll has learned: the database may be another."""
        BaseMirror.forget(self)
        self.known_jobs = None


class ChatPass(BasePass):
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
        for kind, subject_id, error in self._failed:
            await self.fail(kind, subject_id, error.reason, error.request_id)

    async def fail(self, kind: str, subject_id: str, reason: str, request_id: str | None = None) -> None:
        """Put a subject off, with the reason, in the database and in the log."""
        mirror = self.mirror
        failed = SubjectFailed(
            account=mirror.account,
            now=self.now,
            kind=kind,
            subject_id=subject_id,
            reason=reason,
            request_id=request_id,
        )
        await self.apply(failed)
        mirror.log("failure", level="warning", kind=kind, subject_id=subject_id, reason=reason, request_id=request_id)

    async def write_unchanged(self) -> None:
        """Let the chats rest that answered 304, all in one transaction."""
        if self.unchanged:
            ids, self.unchanged = tuple(self.unchanged), []
            await self.apply(
                ChatsUnchanged(account=self.mirror.account, now=self.now, conversation_ids=ids, pace=self.pace)
            )


# Which jobs and candidates there are, and so which chats.


async def read_lists(sync_pass: ChatPass, held: HeldAccount, *, everything: bool) -> bool:
    """Read the jobs, and the candidates of those that are due; `everything`: of all.

    Take up the chats that they show, and ask for those that are held and not listed. The answer is whether the list of
    the jobs was whole.
    """
    mirror = sync_pass.mirror
    jobs = await _read_jobs(sync_pass, held, afresh=everything)
    listed = {job.conversation_id for job in jobs.subjects if mirror.wanted.includes(job.conversation_id)}
    unread: set[str] = set()
    if mirror.wanted.candidates is None:
        due = {id_ for _, id_ in await mirror.store.fetch_due(mirror.account, sync_pass.now, ["candidates"])}
        published = {job.row.id: isinstance(job.row, Job) and job.row.status == "published" for job in jobs.subjects}
        # one that can't be read may be published
        published |= {one.id: True for one in jobs.unreadable if one.id is not None}
        wanted = [id_ for id_ in published if everything or id_ in due]
        unread |= published.keys() - set(wanted)
        await sync_pass.each(
            wanted, lambda id_: _read_candidates(sync_pass, id_, listed, unread, published=published[id_])
        )
    if not jobs.is_whole:
        await sync_pass.fail("jobs", "all", MORE_PAGES)
        return False
    read = ListsRead(
        account=mirror.account,
        now=sync_pass.now,
        wanted=mirror.wanted,
        listed=frozenset(listed),
        jobs=frozenset(job.row.id for job in jobs.subjects) | {one.id for one in jobs.unreadable if one.id is not None},
        unread_jobs=frozenset(unread),
        pace=sync_pass.pace,
        everything=everything,
        server_time=jobs.server_time,
    )
    unlisted: tuple[str, ...] = await mirror.store.apply(read)
    await sync_pass.each(unlisted, lambda conversation_id: _ask_for(sync_pass, conversation_id))
    return True


async def _read_jobs(sync_pass: ChatPass, held: HeldAccount, *, afresh: bool) -> SubjectList:
    """Every job; one more request a poll, and without a body where none has changed since the last."""
    mirror, known = sync_pass.mirror, sync_pass.mirror.known_jobs
    etag = None if known is None or afresh else known.etag
    answer = await sync_pass.ask(lambda: mirror.source.fetch_jobs(etag))
    sync_pass.note_well()
    if isinstance(answer, NotModified):
        assert known is not None  # noqa: S101 - its ETag was sent
        return replace(known, server_time=answer.server_time)
    if held.account is not None and held.account.first_started_at is None:
        nobody = Identity(user_id=None, scopes=None, server_time=answer.server_time)
        await sync_pass.apply(Identified(account=mirror.account, now=sync_pass.now, identity=nobody))
    await _note(sync_pass, answer, lists_candidates=mirror.wanted.candidates is None)
    mirror.known_jobs = answer if answer.is_whole else None
    return answer


async def _note(sync_pass: ChatPass, subject_list: SubjectList, **how: Any) -> set[str]:
    """Store what a list names; the chats in it that are mirrored. `how`: what SubjectsRead says beside it."""
    mirror = sync_pass.mirror
    ids = {subject.conversation_id for subject in subject_list.subjects}
    chats = frozenset(id_ for id_ in ids if mirror.wanted.includes(id_))
    await sync_pass.apply(
        SubjectsRead(
            account=mirror.account,
            now=sync_pass.now,
            subjects=subject_list.subjects,
            chats=chats,
            server_time=subject_list.server_time,
            unreadable=subject_list.unreadable,
            **how,
        )
    )
    return set(chats)


async def _read_candidates(
    sync_pass: ChatPass, job_id: str, listed: set[str], unread: set[str], *, published: bool
) -> None:
    source = sync_pass.mirror.source
    again_in = sync_pass.pace.idle_seconds if published else UNPUBLISHED_SECONDS
    try:
        subject_list = await sync_pass.ask(lambda: source.fetch_candidates(job_id))
    except FetchError as error:
        unread.add(job_id)
        await sync_pass.doubt("candidates", job_id, error)
        return
    whole = subject_list.is_whole
    listed |= await _note(sync_pass, subject_list, list_of=job_id, again_in=again_in, is_whole=whole)
    if not whole:
        unread.add(job_id)
        await sync_pass.fail("candidates", job_id, MORE_PAGES)


async def _ask_for(sync_pass: ChatPass, conversation_id: str) -> None:
    try:
        await exists(sync_pass, conversation_id)
    except FetchError as error:
        await sync_pass.doubt("conversation", conversation_id, error)


# One chat: ask whether it has changed, compare it if so, and ask its subject what an empty answer means.


async def look_at(sync_pass: ChatPass, due: Due) -> None:
    """Bring one chat up to date; what can't be had is kept as a failure."""
    id_ = due.conversation_id
    try:
        if not due.ask_subject or await exists(sync_pass, id_):
            await _read_chat(sync_pass, due)
    except FetchError as error:
        await sync_pass.doubt("conversation", id_, error)
    sync_pass.mirror.tally.done += 1


async def exists(sync_pass: ChatPass, conversation_id: str) -> bool:
    """Whether the chat's subject is there, by its own answer; what that tells is stored."""
    mirror = sync_pass.mirror
    kind, id_ = parse_chat_id(conversation_id)
    fetch = mirror.source.fetch_job if kind == "job" else mirror.source.fetch_candidate
    try:
        subject = await sync_pass.ask(lambda: fetch(id_))
    except NotFoundError as error:
        await sync_pass.make_sure_it_is_well()
        missing = SubjectMissing(
            account=mirror.account, now=sync_pass.now, conversation_id=conversation_id, pace=sync_pass.pace
        )
        if not await sync_pass.apply(missing):  # there never was such a job or candidate, yet it is configured
            await sync_pass.doubt("conversation", conversation_id, error)
        sync_pass.answered += 1
        return False
    sync_pass.answered += 1
    chats = frozenset({conversation_id})
    await sync_pass.apply(
        SubjectsRead(account=mirror.account, now=sync_pass.now, subjects=(subject,), chats=chats, single=True)
    )
    return True


async def _read_chat(sync_pass: ChatPass, due: Due) -> None:
    source, id_ = sync_pass.mirror.source, due.conversation_id
    kind, subject_id = parse_chat_id(id_)
    try:
        answer = await sync_pass.ask(lambda: source.fetch_chat(kind, subject_id, due.etag))
    except NotFoundError:  # not what this server says, but what its documents do
        if await exists(sync_pass, id_):
            raise
        return
    sync_pass.answered += 1
    if isinstance(answer, NotModified):
        sync_pass.unchanged.append(id_)
        return
    if isinstance(await _compare(sync_pass, id_, answer, confirmed=False), Doubtful) and await exists(sync_pass, id_):
        await _compare(sync_pass, id_, answer, confirmed=True)
    if not answer.is_whole:
        await sync_pass.fail("conversation", id_, MORE_PAGES)


async def _compare(sync_pass: ChatPass, conversation_id: str, snapshot: Snapshot, *, confirmed: bool) -> object:
    read = SnapshotRead(
        account=sync_pass.mirror.account,
        now=sync_pass.now,
        conversation_id=conversation_id,
        snapshot=snapshot,
        pace=sync_pass.pace,
        confirmed=confirmed,
    )
    answer = await sync_pass.apply(read)
    sync_pass.changed += answer is True
    sync_pass.mirror.tally.messages += len(snapshot.messages)
    return answer


# The story of one poll over whole chats: which are there, which are due, look at each, and believe what is missing.


async def poll_snapshot(mirror: SnapshotMirror, *, full: bool = False, manual: bool = False) -> PollResult:
    """One poll over every chat that is due, or over all of them when `full` or `manual`.

    Never raises for the server's or the disk's troubles, but says them in its PollResult.
    """
    return await measured(mirror, lambda: _look(ChatPass(mirror), full=full, manual=manual))


async def _look(sync_pass: ChatPass, *, full: bool, manual: bool) -> PassSummary:
    mirror = sync_pass.mirror
    check_place(mirror)
    await sync_pass.gate.resume()
    held = await mirror.store.fetch_account(mirror.account)
    first = held.account is not None and held.account.complete_since is None
    compare = not first and (full or (_is_reconcile_due(mirror, held) and await _may_compare(mirror, manual=manual)))
    kind = "first_pass" if first else "reconcile" if compare else "sync" if manual else None
    async with recorded_run(mirror, kind):
        whole = await read_lists(sync_pass, held, everything=first or compare or manual)
        await _look_at_chats(sync_pass, everything=compare or manual, afresh=compare, compared=compare and whole)
    return PassSummary(busy=sync_pass.changed > 0, complete=whole)


def _is_reconcile_due(mirror: SnapshotMirror, held: HeldAccount) -> bool:
    last = held.account.last_reconciled_at if held.account is not None else None
    due = last is not None and elapsed(last, mirror.clock.now()) >= mirror.policy.reconcile_seconds
    return due or held.account_checkpoint.reconciling_since is not None


async def _may_compare(mirror: SnapshotMirror, *, manual: bool) -> bool:
    """Whether a reconcile may begin by itself: a list of jobs that was not whole is left alone for a while."""
    failures = await mirror.store.fetch_failures(mirror.account)
    return manual or is_due(failures.get(("jobs", "all"), ""), mirror.clock.now())


async def _look_at_chats(sync_pass: ChatPass, *, everything: bool, afresh: bool, compared: bool) -> None:
    """Look at each chat that is due, then say what of the failures and the losses is to be believed."""
    mirror = sync_pass.mirror
    begun = RoundBegun(
        account=mirror.account, now=sync_pass.now, wanted=mirror.wanted, everything=everything, afresh=afresh
    )
    due: Sequence[Due] = await mirror.store.apply(begun)
    await _look_at_each(sync_pass, due)
    await sync_pass.write_failures()
    await sync_pass.apply(RoundEnded(account=mirror.account, now=sync_pass.now, compared=compared))


async def _look_at_each(sync_pass: ChatPass, due: Sequence[Due]) -> None:
    sync_pass.mirror.tally.conversations, sync_pass.mirror.tally.listed = len(due), True
    try:
        await sync_pass.each(due, lambda chat: look_at(sync_pass, chat))
    finally:
        await sync_pass.write_unchanged()
