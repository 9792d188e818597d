"""The worklist: what is due is done by a bounded number of workers, conversations first."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from syncd.core.model import NOWHERE, JobPage, ProposalPage
from syncd.core.observations import (
    InterviewMissing,
    JobsRead,
    ListingDue,
    Overdue,
    ProposalMissing,
    ProposalRead,
    ProposalsListed,
    TranscriptRead,
)
from syncd.engine.account import PassEndedError
from syncd.engine.conversation import walk_conversation
from syncd.engine.requests import SyncPass
from syncd.errors import FetchError, ForbiddenError, NotFoundError, SyncdError

_P = TypeVar("_P", JobPage, ProposalPage)


async def read_jobs(sync_pass: SyncPass) -> None:
    """Read all jobs; what fails of them is put off as the debt `jobs`, for it hinders nothing else."""
    mirror = sync_pass.mirror
    if not mirror.may("jobs:read"):
        return
    failures: list[FetchError] = []
    met: set[str] = set()
    try:
        async for page in _pages(sync_pass, mirror.source.fetch_jobs):
            await mirror.store.apply(
                JobsRead(account=mirror.account, now=mirror.clock.now(), jobs=page.jobs, unreadable=page.unreadable)
            )
            met.update(one.subject_id for one in page.unreadable)
            if mirror.policy.every_proposal and mirror.may("proposals:read"):
                ids = {job.id: True for job in page.jobs}
                ids |= {one.id: False for one in page.unreadable if one.id is not None}
                failures += [
                    error
                    for id_, sure in ids.items()
                    if (error := await _read_proposals(sync_pass, id_, is_listed=sure))
                ]
    except FetchError as failed:
        failures.append(failed)
    for first in failures[:1]:
        await sync_pass.fail("jobs", "mine", first.reason, first.request_id)
        sync_pass.weigh(first)
    if not failures:
        await mirror.store.apply(
            JobsRead(account=mirror.account, now=mirror.clock.now(), jobs=(), whole=True, met=frozenset(met))
        )


async def _read_proposals(sync_pass: SyncPass, job_id: str, *, is_listed: bool) -> FetchError | None:
    """Read all proposals of one job; what went wrong."""
    mirror = sync_pass.mirror
    met: set[str] = set()
    try:
        async for page in _pages(sync_pass, partial(mirror.source.fetch_job_proposals, job_id)):
            met.update(one.subject_id for one in page.unreadable)
            if page.unreadable or page.next_cursor is None:
                end = frozenset(met) if page.next_cursor is None else None
                await mirror.store.apply(
                    ProposalsListed(
                        account=mirror.account,
                        now=mirror.clock.now(),
                        job_id=job_id,
                        unreadable=page.unreadable,
                        met=end,
                    )
                )
            for with_candidate in page.proposals:
                await mirror.store.apply(
                    ProposalRead(account=mirror.account, now=mirror.clock.now(), with_candidate=with_candidate)
                )
    except NotFoundError as failed:  # of an entry that can't be read not even the id is certain
        return failed if is_listed else None
    except FetchError as failed:
        return failed
    return None


async def _pages(sync_pass: SyncPass, fetch: Callable[[str | None], Awaitable[_P]]) -> AsyncIterator[_P]:
    """Every page from the first, until the cursor is null or one that was there before."""
    cursor: str | None = None
    cursors: set[str | None] = {NOWHERE}
    while cursor not in cursors:
        cursors.add(cursor)
        page = await sync_pass.ask(partial(fetch, cursor))
        yield page
        cursor = page.next_cursor


# Pay what is owed: a bounded number of workers, conversations first.


Task = tuple[str, str]

_LOOKERS_PER_REQUEST = 8  # while some wait for their pages to be on disk, the next ones' requests are in flight

_ORDER = ("listing", "conversation", "overdue", "proposal", "interview", "jobs")


class Worklist:
    """What is to be looked at in this pass, no subject by two at once; `close` when no more will come."""

    def __init__(self, sync_pass: SyncPass) -> None:
        self._under = sync_pass
        self._tasks: deque[Task] = deque()
        self._waiting: set[Task] = set()
        self._active: set[Task] = set()
        self._again: set[Task] = set()
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._closed = False

    def add(self, tasks: Iterable[Task]) -> int:
        """Queue what does not wait already, and how much that was; what is being looked at is looked at once more."""
        new = [task for task in dict.fromkeys(tasks) if task not in self._waiting]
        self._under.attempted.update(new)
        self._again.update(self._active.intersection(new))
        self._queue(task for task in new if task not in self._active)
        return len(new)

    def _queue(self, tasks: Iterable[Task]) -> None:
        ordered = sorted(tasks, key=lambda task: _ORDER.index(task[0]))
        self._tasks.extend(ordered)
        self._waiting.update(ordered)
        self._changed.set()
        if ordered:
            self._drained.clear()

    def close(self) -> None:
        """No more will be added."""
        self._closed = True
        self._changed.set()

    async def take(self) -> Task | None:
        """The next task; None when there will be none."""
        while not self._tasks and not self._closed and self._under.trouble is None:
            self._changed.clear()
            await self._changed.wait()
        if not self._tasks or self._under.trouble is not None:
            self._drained.set()
            return None
        task = self._tasks.popleft()
        self._waiting.discard(task)
        self._active.add(task)
        if not self._tasks:
            self._drained.set()
        return task

    async def wait_until_begun(self) -> None:
        """Return when all that was added is under way, or will not be in this pass."""
        await self._drained.wait()

    def finish(self, task: Task) -> None:
        """It was looked at; if something new was seen of it meanwhile, it is queued again."""
        self._active.discard(task)
        if task in self._again:
            self._again.discard(task)
            self._queue([task])


async def complete_tasks(sync_pass: SyncPass, feed: Callable[[Worklist], Awaitable[None]] | None = None) -> int:
    """Pay all that is due, round after round, until nothing is left that was not tried; how many tasks there were.

    `feed` runs beside the first round, and adds to it what it finds.
    """
    total = 0
    while True:
        work = Worklist(sync_pass)
        found = work.add(await _due(sync_pass))
        if not found and feed is None:
            return total
        total += found
        before = len(sync_pass.attempted)
        await _round(sync_pass, work, feed)
        total += len(sync_pass.attempted) - before
        feed = None


async def _due(sync_pass: SyncPass) -> list[Task]:
    mirror = sync_pass.mirror
    # What the token may not see can be as much as the inbox is big: it is not even looked at.
    hidden = () if mirror.may("proposals:read") else ("proposal", "interview")
    kinds = [kind for kind in _ORDER if kind not in hidden]
    due = await mirror.store.fetch_due(mirror.account, mirror.clock.now(), kinds)
    return [task for task in due if task not in sync_pass.attempted]


async def _round(sync_pass: SyncPass, work: Worklist, feed: Callable[[Worklist], Awaitable[None]] | None) -> None:
    async def fill() -> None:
        try:
            if feed is not None:
                await feed(work)
        except SyncdError as error:
            sync_pass.end(error.trouble if isinstance(error, PassEndedError) else error)
        finally:
            work.close()

    async def labour() -> None:
        while (task := await work.take()) is not None:
            try:
                await _check(sync_pass, task)
            except SyncdError as error:
                sync_pass.end(error.trouble if isinstance(error, PassEndedError) else error)
            finally:
                work.finish(task)

    async with asyncio.TaskGroup() as group:
        group.create_task(fill())
        for _ in range(_count_lookers(sync_pass.mirror.policy.concurrency)):
            group.create_task(labour())
    if sync_pass.trouble is not None:
        raise PassEndedError(sync_pass.trouble)


def _count_lookers(concurrency: int) -> int:
    """How many look at once; with one request at a time, one thing is done at a time."""
    return 1 if concurrency == 1 else _LOOKERS_PER_REQUEST * concurrency


async def _check(sync_pass: SyncPass, task: Task) -> None:
    kind, subject_id = task
    if kind == "conversation":
        await walk_conversation(sync_pass, subject_id)
        sync_pass.mirror.tally.done += 1
    elif kind == "overdue":
        await _look_whether_overdue(sync_pass, subject_id)
    elif kind == "proposal":
        await _fetched(sync_pass, task, _read_proposal)
    elif kind == "listing":
        mirror = sync_pass.mirror
        await mirror.store.apply(ListingDue(account=mirror.account, now=mirror.clock.now(), listing=subject_id))
    elif kind == "jobs":
        await read_jobs(sync_pass)
    else:
        await _fetched(sync_pass, task, _read_interview)


async def _look_whether_overdue(sync_pass: SyncPass, conversation_id: str) -> None:
    mirror = sync_pass.mirror
    await mirror.store.apply(
        Overdue(
            account=mirror.account,
            now=mirror.clock.now(),
            conversation_id=conversation_id,
            after=mirror.policy.overdue_seconds,
        )
    )


async def _fetched(sync_pass: SyncPass, task: Task, read: Callable[[SyncPass, str], Awaitable[None]]) -> None:
    try:
        await read(sync_pass, task[1])
    except ForbiddenError as refused:  # another account's job: not ours to see, and nothing to hurry for
        await sync_pass.fail(*task, refused.reason, refused.request_id)
    except FetchError as failed:
        await sync_pass.fail(*task, failed.reason, failed.request_id)
        sync_pass.weigh(failed)


async def _read_proposal(sync_pass: SyncPass, proposal_id: str) -> None:
    mirror = sync_pass.mirror
    try:
        with_candidate = await sync_pass.ask(lambda: mirror.source.fetch_proposal(proposal_id))
    except NotFoundError:
        missing = ProposalMissing(account=mirror.account, now=mirror.clock.now(), proposal_id=proposal_id)
        await mirror.store.apply(missing)
        return
    await mirror.store.apply(
        ProposalRead(account=mirror.account, now=mirror.clock.now(), with_candidate=with_candidate)
    )


async def _read_interview(sync_pass: SyncPass, proposal_id: str) -> None:
    mirror = sync_pass.mirror
    try:
        transcript = await sync_pass.ask(lambda: mirror.source.fetch_interview(proposal_id))
    except NotFoundError:
        missing = InterviewMissing(account=mirror.account, now=mirror.clock.now(), proposal_id=proposal_id)
        await mirror.store.apply(missing)
        return
    await mirror.store.apply(TranscriptRead(account=mirror.account, now=mirror.clock.now(), transcript=transcript))
