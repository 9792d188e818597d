"""The owner's jobs, and with them, if wanted, every proposal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from syncd.core.answers import DossierPage, JobPage
from syncd.core.observations import JobsRead, ProposalRead
from syncd.engine.passing import Pass
from syncd.errors import FetchError

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
