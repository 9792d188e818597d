"""The worklist: what is due is done by a bounded number of workers, conversations first."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from heapq import heappop, heappush
from itertools import count

from syncd.core.observations import (
    ClaimDue,
    InterviewMissing,
    ListingDue,
    Overdue,
    ProposalMissing,
    ProposalRead,
    TranscriptRead,
)
from syncd.engine.account import PassEndedError
from syncd.engine.conversation import walk_conversation
from syncd.engine.listing import read_job_proposals, read_jobs
from syncd.engine.requests import SyncPass
from syncd.errors import FetchError, ForbiddenError, NotFoundError, SyncdError

Task = tuple[str, str]

_LOOKERS_PER_REQUEST = 8  # while some wait for their pages to be on disk, the next ones' requests are in flight

_ORDER = ("listing", "conversation", "overdue", "message", "jobs", "proposals", "proposal", "interview")
_SCOPES = {
    "jobs": "jobs:read",
    "proposals": "proposals:read",
    "proposal": "proposals:read",
    "interview": "proposals:read",
}


class Worklist:
    """What is to be looked at in this pass, no subject by two at once; `close` when no more will come."""

    def __init__(self, sync_pass: SyncPass) -> None:
        self._under = sync_pass
        self._tasks: list[tuple[int, int, Task]] = []  # a heap: what kind, and in which order it came
        self._numbers = count()
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
        for task in tasks:
            heappush(self._tasks, (_ORDER.index(task[0]), next(self._numbers), task))
            self._waiting.add(task)
            self._drained.clear()
        self._changed.set()

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
        _, _, task = heappop(self._tasks)
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
    kinds = [kind for kind in _ORDER if kind not in _SCOPES or mirror.may(_SCOPES[kind])]
    due = await mirror.store.fetch_due(mirror.account, mirror.clock.now(), kinds, failing=sync_pass.manual)
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
    elif kind == "listing":
        mirror = sync_pass.mirror
        await mirror.store.apply(ListingDue(account=mirror.account, now=mirror.clock.now(), listing=subject_id))
    elif kind == "message":
        mirror = sync_pass.mirror
        await mirror.store.apply(ClaimDue(account=mirror.account, now=mirror.clock.now(), message_id=subject_id))
    else:
        await _fetched(sync_pass, task, _READERS[kind])


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


_READERS: dict[str, Callable[[SyncPass, str], Awaitable[None]]] = {
    "jobs": read_jobs,
    "proposals": read_job_proposals,
    "proposal": _read_proposal,
    "interview": _read_interview,
}
