"""The one writer: a thread that takes observations from a bounded queue and commits as many at once as are waiting."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, Queue
from sqlite3 import Connection
from threading import Thread
from typing import Any, Protocol

from syncd.core.observations import Observation
from syncd.errors import DatabaseError, StoreTroubleError
from syncd.protocols import Clock
from syncd.store.apply import Applied, Recorded, Transaction
from syncd.store.jobs import Job, refuse_job, resolve_job, split_runs
from syncd.store.opening import Writer
from syncd.store.planning import apply
from syncd.store.questions import Questions
from syncd.store.refusals import is_doubtful, is_trouble, translated
from syncd.store.unlogged import load_unlogged

_MOST_AT_ONCE = 64


class Announcer(Protocol):
    """Logs events that are on disk; called in the writer's thread."""

    def events(self, events: Sequence[Recorded]) -> None:
        """One line an event."""

    def history(self, account: str, counts: dict[str, int]) -> None:
        """One line for the events of an account that are about history, counted by kind."""


class StoreWriter(Questions):
    """Fulfils protocols.Store on the one connection that writes.

    Observations that wait at the same time share a commit. Events are announced after it, in the order of their ids,
    and marked as logged in the next. `files_used` counts the files that were the database, one after the other.
    `on_change` is called in the writer's thread when rows were written, whoever asked for it.
    """

    def __init__(self, writer: Writer, clock: Clock, announcer: Announcer) -> None:
        self._writer = writer
        self._clock = clock
        self._announcer = announcer
        self._jobs: Queue[Job | None] = Queue()
        self._places = asyncio.Semaphore(4 * _MOST_AT_ONCE)
        self._logged: list[int] = []
        self._has_leftovers = True
        self._is_news = False
        self.files_used = 1
        self.on_change: Callable[[], object] = lambda: None
        self._rows: Counter[str] = Counter()
        self._answers: list[tuple[Job, Any]] = []
        self._thread = Thread(target=self._work, name="syncd-writer", daemon=True)

    def start(self) -> None:
        """Log what a crash left unlogged, then begin."""
        self._thread.start()

    async def apply(self, observation: Observation) -> Any:
        """Commit what the observation changes; the planner's answer. Raises StoreTroubleError."""
        return await self._ask(Job(self._future(), asyncio.get_running_loop(), observation=observation))

    def rows_written(self, account: str) -> int:
        """How many rows of the account were written since the store was opened."""
        return self._rows[account]

    async def sum_up_history(self, account: str) -> None:
        """Log in one line what the account's events about history are, and mark them as logged."""
        await self.read(lambda connection: self._sum_up(connection, account))

    def _sum_up(self, connection: Connection, account: str) -> None:
        sql = "SELECT id, kind FROM events WHERE logged_at IS NULL AND baseline = 1 AND account = ?"
        found = connection.execute(sql, (account,)).fetchall()
        if found:
            self._announcer.history(account, dict(Counter(kind for _, kind in found)))
            self._logged += [id_ for id_, _ in found]

    async def read(self, query: Callable[[Connection], Any]) -> Any:
        """Ask the writer's connection, between transactions."""
        return await self._ask(Job(self._future(), asyncio.get_running_loop(), query=query))

    @staticmethod
    def _future() -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().create_future()

    async def _ask(self, job: Job) -> Any:
        async with self._places:
            self._jobs.put(job)
            return await job.future

    async def close(self) -> None:
        """Finish what is queued, and close the database."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._writer.close()

    def _work(self) -> None:
        try:
            self._labour()
        except Exception as error:  # noqa: BLE001 - a mistake of ours, in the log's announcer say
            self._tell()
            while (job := self._jobs.get()) is not None:  # whoever asks is told, instead of waiting for ever
                refuse_job(job, StoreTroubleError(f"the writer has stopped ({type(error).__name__}); restart syncd"))

    def _labour(self) -> None:
        self._log_leftovers()
        while (job := self._jobs.get()) is not None:
            if self._has_leftovers:
                self._log_leftovers()
            batch = [job, *self._waiting()]
            for part in split_runs(batch):
                (self._commit if part[0].query is None else self._answer)(part)
            if self._logged and self._jobs.empty():
                self._commit([])
            if self._writer.has_changed():
                self._writer.shorten_log()
                self.on_change()
        self._tell()
        if self._logged:  # the end was in the queue before the last line was marked
            self._commit([])

    def _log_leftovers(self) -> None:
        """Log what the process before this one, or the one that made this file, left unlogged; later if refused now."""
        try:
            self._make_sure([])
            left = load_unlogged(self._writer.connection)
        except (sqlite3.Error, StoreTroubleError):
            return
        self._has_leftovers = False
        self._announce([recorded for recorded in left if recorded.id not in self._logged])
        self._commit([])

    def _waiting(self) -> list[Job]:
        """What else is in the queue already; the end is left for the next round."""
        found: list[Job] = []
        while len(found) < _MOST_AT_ONCE:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            found.append(job)
        return found

    def _answer(self, jobs: list[Job]) -> None:
        (job,) = jobs
        self._tell()
        try:
            assert job.query is not None  # noqa: S101 - split_runs has told the two apart
            self._make_sure(jobs)
            resolve_job(job, job.query(self._writer.connection))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            self._refuse(jobs, error)

    def _commit(self, jobs: list[Job]) -> None:
        try:
            done = self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            self._tell()
            if len(jobs) > 1 and not is_trouble(error):  # one bad observation must not take the others with it
                for job in jobs:
                    self._commit([job])
                return
            self._refuse(jobs, error)
            return
        events = [recorded for applied in done for recorded in applied.events]
        for job, applied in zip(jobs, done, strict=True):
            if job.observation is not None:
                self._rows[job.observation.account] += applied.rows
        self._announce([recorded for recorded in events if not recorded.event.baseline])
        self._answers = [(job, applied.answer) for job, applied in zip(jobs, done, strict=True)]
        if self._jobs.empty():
            self._tell()

    def _tell(self) -> None:
        """Answer those whose observations are committed.

        While more is queued they wait for the next commit: then SQLite works for long without the interpreter, which
        whoever is answered needs at once.
        """
        answers, self._answers = self._answers, []
        for job, answer in answers:
            resolve_job(job, answer)

    def _refuse(self, jobs: list[Job], error: Exception) -> None:
        if is_doubtful(error):
            self._writer.doubt()
        for job in jobs:
            refuse_job(job, translated(error))

    def _make_sure(self, jobs: list[Job]) -> None:
        """Be on the database's own file; raises StoreTroubleError, to one asker also for a file that took its place."""
        try:
            replaced = self._writer.make_sure()
        except DatabaseError as error:
            raise StoreTroubleError(str(error)) from error
        if replaced:
            self.files_used += 1
            self._logged, self._has_leftovers, self._is_news = [], True, True
        if self._is_news:
            self._is_news = not jobs
            raise StoreTroubleError(f"{self._writer.path} was replaced while syncd used it; the new file is taken up")

    def _announce(self, events: list[Recorded]) -> None:
        if events:
            self._announcer.events(events)
            self._logged += [recorded.id for recorded in events]

    def _transact(self, jobs: list[Job]) -> list[Applied]:
        self._make_sure(jobs)
        with self._writer.transaction() as connection:
            transaction = Transaction(connection)
            marked = [(self._clock.now(), id_) for id_ in self._logged]
            if marked:
                connection.executemany("UPDATE events SET logged_at = ? WHERE id = ?", marked)
            done = [apply(transaction, job.observation) for job in jobs if job.observation is not None]
            transaction.index()
            self._tell()
        del self._logged[: len(marked)]
        return done
