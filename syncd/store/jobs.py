"""What waits in the writer's queue, and how whoever waits for it is answered."""

import asyncio
from collections.abc import Callable
from sqlite3 import Connection
from typing import Any

from msgspec import Struct

from syncd.core.observations import Observation


class Job(Struct, eq=False):
    """An observation to be committed, or a question to be asked between transactions."""

    future: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    observation: Observation | None = None
    query: Callable[[Connection], Any] | None = None


def split_runs(batch: list[Job]) -> list[list[Job]]:
    """The batch in order, observations that stand together as one part, each question as its own."""
    parts: list[list[Job]] = []
    for job in batch:
        if parts and job.query is None and parts[-1][0].query is None:
            parts[-1].append(job)
        else:
            parts.append([job])
    return parts


def resolve_job(job: Job, answer: Any) -> None:
    """Answer whoever waits; called in the writer's thread."""

    def resolve() -> None:
        if not job.future.done():  # whoever asked may have been cancelled
            job.future.set_result(answer)

    job.loop.call_soon_threadsafe(resolve)


def refuse_job(job: Job, error: Exception) -> None:
    """Raise the error where the job came from; called in the writer's thread."""

    def refuse() -> None:
        if not job.future.done():
            job.future.set_exception(error)

    job.loop.call_soon_threadsafe(refuse)
