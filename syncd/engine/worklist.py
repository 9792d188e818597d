"""The worklist: what is due is done by a bounded number of workers, conversations first."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from syncd.core.model import DossierPage, JobPage
from syncd.core.observations import InterviewMissing, JobsRead, Overdue, ProposalMissing, ProposalRead, TranscriptRead
from syncd.engine.account import PassEndedError
from syncd.engine.conversation import walk_conversation
from syncd.engine.requests import Pass
from syncd.errors import FetchError, ForbiddenError, NotFoundError, SyncdError

_P = TypeVar("_P", JobPage, DossierPage)


async def read_jobs(under: Pass) -> None:
    """Read all jobs; what fails of them is put off as the debt `jobs`, for it hinders nothing else."""
    mirror = under.mirror
    if not mirror.may("jobs:read"):
        return
    failures: list[FetchError] = []
    try:
        async for page in _pages(under, mirror.source.fetch_jobs):
            await mirror.store.apply(JobsRead(account=mirror.account, now=mirror.clock.now(), jobs=page.jobs))
            if mirror.policy.every_proposal and mirror.may("proposals:read"):
                failures += [error for job in page.jobs if (error := await _read_proposals(under, job.id))]
    except FetchError as failed:
        failures.append(failed)
    for first in failures[:1]:
        await under.fail("jobs", "mine", first.reason, first.request_id)
        under.weigh(first)
    if not failures:
        await mirror.store.apply(JobsRead(account=mirror.account, now=mirror.clock.now(), jobs=(), whole=True))


async def _read_proposals(under: Pass, job_id: str) -> FetchError | None:
    """Read all proposals of one job; what went wrong."""
    mirror = under.mirror
    try:
        async for page in _pages(under, partial(mirror.source.fetch_job_proposals, job_id)):
            for dossier in page.dossiers:
                await mirror.store.apply(ProposalRead(account=mirror.account, now=mirror.clock.now(), dossier=dossier))
    except FetchError as failed:
        return failed
    return None


async def _pages(under: Pass, fetch: Callable[[str | None], Awaitable[_P]]) -> AsyncIterator[_P]:
    """Every page from the first, until the cursor is null or one that was there before."""
    cursor, cursors = None, set[str | None]()
    while cursor not in cursors:
        cursors.add(cursor)
        page = await under.ask(partial(fetch, cursor))
        yield page
        cursor = page.next_cursor


# Pay what is owed: a bounded number of workers, conversations first.


Task = tuple[str, str]

_LOOKERS_PER_REQUEST = 8  # while some wait for their pages to be on disk, the next ones' requests are in flight

_ORDER = ("conversation", "overdue", "proposal", "interview", "jobs")


class Work:
    """What is to be looked at in this pass, no subject by two at once; `close` when no more will come."""

    def __init__(self, under: Pass) -> None:
        self._under = under
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


async def hydrate(under: Pass, feed: Callable[[Work], Awaitable[None]] | None = None) -> int:
    """Pay all that is due, round after round, until nothing is left that was not tried; how many tasks there were.

    `feed` runs beside the first round, and adds to it what it finds.
    """
    total = 0
    while True:
        work = Work(under)
        found = work.add(await _due(under))
        if not found and feed is None:
            return total
        total += found
        before = len(under.attempted)
        await _round(under, work, feed)
        total += len(under.attempted) - before
        feed = None


async def _due(under: Pass) -> list[Task]:
    mirror = under.mirror
    # What the token may not see can be as much as the inbox is big: it is not even looked at.
    hidden = () if mirror.may("proposals:read") else ("proposal", "interview")
    kinds = [kind for kind in _ORDER if kind not in hidden]
    due = await mirror.store.fetch_due(mirror.account, mirror.clock.now(), kinds)
    return [task for task in due if task not in under.attempted]


async def _round(under: Pass, work: Work, feed: Callable[[Work], Awaitable[None]] | None) -> None:
    async def fill() -> None:
        try:
            if feed is not None:
                await feed(work)
        except SyncdError as error:
            under.end(error.trouble if isinstance(error, PassEndedError) else error)
        finally:
            work.close()

    async def labour() -> None:
        while (task := await work.take()) is not None:
            try:
                await _look_at(under, task)
            except SyncdError as error:
                under.end(error.trouble if isinstance(error, PassEndedError) else error)
            finally:
                work.finish(task)

    async with asyncio.TaskGroup() as group:
        group.create_task(fill())
        for _ in range(_count_lookers(under.mirror.policy.concurrency)):
            group.create_task(labour())
    if under.trouble is not None:
        raise PassEndedError(under.trouble)


def _count_lookers(concurrency: int) -> int:
    """How many look at once; with one request at a time, one thing is done at a time."""
    return 1 if concurrency == 1 else _LOOKERS_PER_REQUEST * concurrency


async def _look_at(under: Pass, task: Task) -> None:
    kind, subject_id = task
    if kind == "conversation":
        await walk_conversation(under, subject_id)
        under.mirror.tally.done += 1
    elif kind == "overdue":
        await _look_whether_overdue(under, subject_id)
    elif kind == "proposal":
        await _fetched(under, task, _read_proposal)
    elif kind == "jobs":
        await read_jobs(under)
    else:
        await _fetched(under, task, _read_interview)


async def _look_whether_overdue(under: Pass, conversation_id: str) -> None:
    mirror = under.mirror
    await mirror.store.apply(
        Overdue(
            account=mirror.account,
            now=mirror.clock.now(),
            conversation_id=conversation_id,
            after=mirror.policy.overdue_seconds,
        )
    )


async def _fetched(under: Pass, task: Task, read: Callable[[Pass, str], Awaitable[None]]) -> None:
    try:
        await read(under, task[1])
    except ForbiddenError as refused:  # another account's job: not ours to see, and nothing to hurry for
        await under.fail(*task, refused.reason, refused.request_id)
    except FetchError as failed:
        await under.fail(*task, failed.reason, failed.request_id)
        under.weigh(failed)


async def _read_proposal(under: Pass, proposal_id: str) -> None:
    mirror = under.mirror
    try:
        dossier = await under.ask(lambda: mirror.source.fetch_proposal(proposal_id))
    except NotFoundError:
        missing = ProposalMissing(account=mirror.account, now=mirror.clock.now(), proposal_id=proposal_id)
        await mirror.store.apply(missing)
        return
    await mirror.store.apply(ProposalRead(account=mirror.account, now=mirror.clock.now(), dossier=dossier))


async def _read_interview(under: Pass, proposal_id: str) -> None:
    mirror = under.mirror
    try:
        transcript = await under.ask(lambda: mirror.source.fetch_interview(proposal_id))
    except NotFoundError:
        missing = InterviewMissing(account=mirror.account, now=mirror.clock.now(), proposal_id=proposal_id)
        await mirror.store.apply(missing)
        return
    await mirror.store.apply(TranscriptRead(account=mirror.account, now=mirror.clock.now(), transcript=transcript))
