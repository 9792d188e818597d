"""The one writer: a thread that takes observations from a bounded queue and commits as many as wait together."""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from queue import Empty, Queue
from sqlite3 import Connection
from threading import Thread
from typing import Any, Protocol, cast

from msgspec import Struct
from msgspec.structs import replace

from syncd.core import observations as seen
from syncd.core import outbox, proposals
from syncd.core.account import (
    plan_accepted,
    plan_identified,
    plan_opened,
    plan_poll_ended,
    plan_removed,
    plan_run_begun,
    plan_run_ended,
    plan_waiting,
)
from syncd.core.conversation import (
    plan_check,
    plan_claim_due,
    plan_conversation_failed,
    plan_conversation_gone,
    plan_dead_cursor,
    plan_page,
)
from syncd.core.deletions import plan_overdue, plan_reconcile_begun, plan_suspects_settled
from syncd.core.listing import (
    plan_entries,
    plan_feed,
    plan_jobs,
    plan_list_walked,
    plan_listing_failed,
    plan_listing_proved,
    plan_listings_due,
    plan_proposals_listed,
    plan_unread,
)
from syncd.core.model import Conversation, Instant, Outgoing
from syncd.core.observations import HeldAccount, Observation, PageRead
from syncd.core.outbox import Answered, Attempted, Found, Looked, Ordered, Queued, Unanswered
from syncd.core.plan import Plan
from syncd.core.times import LONGEST_BACKOFF_SECONDS, after
from syncd.core.unreadable import find_listing, plan_listing_due, plan_unreadable
from syncd.errors import DatabaseError, StoreTroubleError
from syncd.protocols import Backlog, Clock
from syncd.store.apply import Applied, Recorded, Transaction, load_unlogged, write
from syncd.store.chats import CHAT_PLANNERS
from syncd.store.database import is_doubtful, is_trouble, translated
from syncd.store.erase import plan_without_erased
from syncd.store.load import (
    listed,
    load_account,
    load_backlog,
    load_claim,
    load_conversation,
    load_entries,
    load_jobs,
    load_listing,
    load_met,
    load_named,
    load_proposal,
    load_proposals,
    load_suspects,
    load_task,
    load_turn,
    load_unread,
    load_unreadable,
)
from syncd.store.migrate import Writer
from syncd.store.outbox import has_open, load_one, load_row, load_settling, load_waiting, load_wish


class WriterJob(Struct, eq=False):
    """An observation to be committed, or a question to be asked between transactions."""

    future: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    observation: Observation | None = None
    query: Callable[[Connection], Any] | None = None


def split_runs(batch: list[WriterJob]) -> list[list[WriterJob]]:
    """The batch in order, observations that stand together as one part, each question as its own."""
    parts: list[list[WriterJob]] = []
    for job in batch:
        if parts and job.query is None and parts[-1][0].query is None:
            parts[-1].append(job)
        else:
            parts.append([job])
    return parts


def resolve_job(job: WriterJob, answer: Any) -> None:
    """Answer whoever waits; called in the writer's thread."""

    def resolve() -> None:
        if not job.future.done():  # whoever asked may have been cancelled
            job.future.set_result(answer)

    job.loop.call_soon_threadsafe(resolve)


def refuse_job(job: WriterJob, error: Exception) -> None:
    """Raise the error where the job came from; called in the writer's thread."""

    def refuse() -> None:
        if not job.future.done():
            job.future.set_exception(error)

    job.loop.call_soon_threadsafe(refuse)


# What the engine asks of the store between its observations.


_DUE = """
SELECT kind, subject_id FROM (
  SELECT kind, subject_id, due_at, :failing AND EXISTS (
    SELECT 1 FROM failures f
    WHERE f.account = o.account AND f.kind = o.kind AND f.subject_id = o.subject_id) AS fails
  FROM _owed o WHERE account = :account
  UNION ALL
  SELECT 'listing', u.listing, min(f.next_try_at), :failing FROM _unreadable u
  JOIN failures f ON f.account = u.account AND f.kind = u.kind AND f.subject_id = u.subject_id
  WHERE u.account = :account GROUP BY u.listing)
WHERE (due_at <= :now OR due_at > :latest OR fails) AND kind IN (SELECT value FROM json_each(:kinds)) ORDER BY due_at
"""
"""What lies further ahead than anything is ever put off was put there by a clock that was wrong."""


class Questions(ABC):
    """The questions of protocols.Store, for whoever can read."""

    @abstractmethod
    async def read(self, query: Callable[[Connection], Any]) -> Any:
        """The answer of the connection that writes, between transactions."""

    async def fetch_account(self, account: str) -> HeldAccount:
        """The account as it is now."""
        return cast("HeldAccount", await self.read(lambda connection: load_account(connection, account, 0)))

    async def fetch_due(
        self, account: str, now: Instant, kinds: Sequence[str], *, failing: bool = False
    ) -> list[tuple[str, str]]:
        """Kind and subject of all of these kinds that is due, oldest first; `failing`: or fails, due or not."""
        latest = after(now, LONGEST_BACKOFF_SECONDS)
        words = {"account": account, "now": now, "latest": latest, "kinds": listed(kinds), "failing": failing}
        found = await self.read(lambda connection: connection.execute(_DUE, words).fetchall())
        return [(kind, subject_id) for kind, subject_id in found]

    async def fetch_failures(self, account: str) -> dict[tuple[str, str], Instant]:
        """When each thing that fails is tried again, by kind and subject."""
        sql = "SELECT kind, subject_id, next_try_at FROM failures WHERE account = ?"
        found = await self.read(lambda connection: connection.execute(sql, (account,)).fetchall())
        return {(kind, subject_id): next_try_at for kind, subject_id, next_try_at in found}

    async def fetch_backlog(self, account: str) -> Backlog:
        """What stands between the account and the end of a comparison."""
        return cast("Backlog", await self.read(lambda connection: load_backlog(connection, account)))

    async def fetch_waiting(self, account: str) -> list[Outgoing]:
        """The messages that are to be sent, or looked for, oldest first."""
        return cast("list[Outgoing]", await self.read(lambda connection: load_waiting(connection, account)))

    async def fetch_outgoing(self, account: str, id_: int) -> Outgoing | None:
        """A message of the account's outbox."""
        return cast("Outgoing | None", await self.read(lambda connection: load_one(connection, account, id_)))

    async def fetch_accounts(self) -> list[str]:
        """The names of all accounts that have rows and were not removed."""
        sql = "SELECT account FROM accounts WHERE removed_at IS NULL"
        return [name for (name,) in await self.read(lambda connection: connection.execute(sql).fetchall())]

    async def count_unread(self) -> int:
        """How many conversations of all present accounts are unread."""
        sql = "SELECT COUNT(*) FROM conversations WHERE unread_count > 0 AND gone_at IS NULL"
        return int(await self.read(lambda connection: connection.execute(sql).fetchone()[0]))


# Which rows the observations of outgoing messages are planned against.


Planner = Callable[[Transaction, Any], Plan]


def _of_row(planner: Callable[[Any, Any], Plan]) -> Planner:
    return lambda tx, o: planner(load_row(tx.connection, o.account, tx.before, o.id), o)


def _plan_queued(tx: Transaction, o: Queued) -> Plan:
    return outbox.plan_queued(load_wish(tx.connection, o.account, tx.before, o.conversation_id, o.key), o)


def _plan_answered(tx: Transaction, o: Answered) -> Plan:
    return outbox.plan_answered(load_row(tx.connection, o.account, tx.before, o.id, [o.message.id]), o)


def _plan_looked(tx: Transaction, o: Looked) -> Plan:
    ids = [message.id for message in o.messages]
    return outbox.plan_looked(load_settling(tx.connection, o.account, tx.before, o.conversation_id, ids), o)


def _plan_found(tx: Transaction, o: Found) -> Plan:
    named = o.entry or Conversation(id=o.conversation_id, proposal_id=o.proposal_id)
    return outbox.plan_found(load_entries(tx.connection, o.account, [named]), o)


OUTBOX_PLANNERS: dict[type[Observation], Planner] = {
    Queued: _plan_queued,
    Attempted: _of_row(outbox.plan_attempted),
    Answered: _plan_answered,
    Unanswered: _of_row(outbox.plan_unanswered),
    Looked: _plan_looked,
    Ordered: _of_row(outbox.plan_ordered),
    Found: _plan_found,
}


def join(tx: Transaction, read: PageRead) -> None:
    """Join unconfirmed messages to what the page, which is stored by now, brought after all."""
    conversation_id = read.page.conversation_id
    if has_open(tx.connection, read.account, conversation_id):
        held = load_settling(tx.connection, read.account, tx.before, conversation_id)
        write(tx, read.account, read.now, outbox.plan_met(held, read.now, read.page.server_time))


# Which rows each observation is planned against, and by which planner.


def _of_account(planner: Callable[[Any, Any], Plan]) -> Planner:
    return lambda tx, o: planner(load_account(tx.connection, o.account, tx.before), o)


def _of_conversation(planner: Callable[[Any, Any], Plan], ids: Callable[[Any], list[str]] = lambda _: []) -> Planner:
    def plan(tx: Transaction, o: Any) -> Plan:
        conversation_id = o.page.conversation_id if isinstance(o, seen.PageRead) else o.conversation_id
        return planner(load_conversation(tx.connection, o.account, tx.before, conversation_id, ids(o)), o)

    return plan


_LISTS = frozenset({"conversations", "jobs", "proposals"})


def _plan_failed(tx: Transaction, o: seen.Failed) -> Plan:
    if o.kind == "conversation":
        checkpoint = load_conversation(tx.connection, o.account, tx.before, o.subject_id, [])
        return plan_conversation_failed(checkpoint, o)
    if o.kind in _LISTS:
        return plan_listing_failed(load_task(tx.connection, o.account, o.kind, o.subject_id), o)
    return proposals.plan_subject_failed(load_proposal(tx.connection, o.account, o.kind, o.subject_id, None), o)


def _plan_proposal(tx: Transaction, o: seen.ProposalRead) -> Plan:
    proposal = o.with_candidate.proposal
    about = load_proposal(tx.connection, o.account, "proposal", proposal.id, proposal.candidate_id)
    return proposals.plan_proposal(about, o)


def _plan_feed(tx: Transaction, o: seen.FeedRead) -> Plan:
    named = [(conversation_id, message_id) for conversation_id, message_id, _ in o.messages]
    known = load_named(tx.connection, o.account, named, [id_ for id_, _ in o.proposals])
    return plan_feed(known, o)


_PLANNERS: dict[type[seen.Observation], Planner] = {
    **CHAT_PLANNERS,
    **OUTBOX_PLANNERS,
    seen.Opened: _of_account(plan_opened),
    seen.Accepted: _of_account(plan_accepted),
    seen.Removed: _of_account(plan_removed),
    seen.Identified: _of_account(plan_identified),
    seen.Waiting: _of_account(plan_waiting),
    seen.PollEnded: _of_account(plan_poll_ended),
    seen.RunBegun: _of_account(plan_run_begun),
    seen.RunEnded: _of_account(plan_run_ended),
    seen.ListWalked: lambda tx, o: plan_list_walked(load_listing(tx.connection, o.account, o.listed), o),
    seen.ReconcileBegun: lambda tx, o: plan_reconcile_begun(load_proposals(tx.connection, o.account), o),
    seen.ListingsDue: lambda tx, o: plan_listings_due(load_task(tx.connection, o.account, "jobs", "mine"), o),
    seen.ListingProved: lambda tx, o: plan_listing_proved(load_task(tx.connection, o.account, o.kind, o.subject_id), o),
    seen.Entries: lambda tx, o: plan_entries(load_entries(tx.connection, o.account, o.entries), o),
    seen.UnreadList: lambda tx, o: plan_unread(load_unread(tx.connection, o.account, o.entries), o),
    seen.FeedRead: _plan_feed,
    seen.ClaimDue: lambda tx, o: plan_claim_due(load_claim(tx.connection, o.account, o.message_id), o),
    seen.CheckDue: _of_conversation(plan_check),
    seen.PageRead: _of_conversation(plan_page, lambda o: [message.id for message in o.page.messages]),
    seen.CursorDied: _of_conversation(plan_dead_cursor),
    seen.ConversationGone: _of_conversation(plan_conversation_gone),
    seen.Failed: _plan_failed,
    seen.ProposalRead: _plan_proposal,
    seen.ProposalMissing: lambda tx, o: proposals.plan_proposal_missing(
        load_proposal(tx.connection, o.account, "proposal", o.proposal_id, None), o
    ),
    seen.TranscriptRead: lambda tx, o: proposals.plan_transcript(
        load_proposal(tx.connection, o.account, "interview", o.transcript.interview.proposal_id, None), o
    ),
    seen.InterviewMissing: lambda tx, o: proposals.plan_interview_missing(
        load_proposal(tx.connection, o.account, "interview", o.proposal_id, None), o
    ),
    seen.JobsRead: lambda tx, o: plan_jobs(load_jobs(tx.connection, o.account, [job.id for job in o.jobs]), o),
    seen.SuspectsSettled: lambda tx, o: plan_suspects_settled(load_suspects(tx.connection, o.account), o),
    seen.ProposalsListed: lambda _, o: plan_proposals_listed(o),
    seen.ListingDue: _of_account(plan_listing_due),
    seen.Overdue: lambda tx, o: plan_overdue(load_turn(tx.connection, o.account, o.conversation_id), o),
}


def _with_unreadable(tx: Transaction, o: seen.Observation, plan: Plan) -> Plan:
    """The plan, and what the observation says of entries that can't be read."""
    read = find_listing(o, plan)
    known = None if read is None else load_unreadable(tx.connection, o.account, read)
    if read is None or known is None:
        return plan
    if isinstance(o, PageRead) and read.met is not None:
        read = replace(read, met=read.met | load_met(tx.connection, o.account, o.page.conversation_id))
    more = plan_unreadable(known, read, o.now)
    return replace(
        plan,
        failures=plan.failures + more.failures,
        recovered=plan.recovered + more.recovered,
        set_aside=more.set_aside,
    )


def apply(transaction: Transaction, observation: seen.Observation) -> Applied:
    """Plan the observation against the rows held, and write the plan."""
    planner = _PLANNERS[type(observation)]
    plan = plan_without_erased(transaction, observation, lambda kept: planner(transaction, kept))
    plan = _with_unreadable(transaction, observation, plan)
    applied = write(transaction, observation.account, observation.now, plan)
    if isinstance(observation, seen.PageRead):
        join(transaction, observation)
    return applied


# The one writer: a thread that takes observations from a bounded queue and commits as many at once as are waiting.


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
        self._jobs: Queue[WriterJob | None] = Queue()
        self._places = asyncio.Semaphore(4 * _MOST_AT_ONCE)
        self._logged: list[int] = []
        self._has_leftovers = True
        self._is_news = False
        self.files_used = 1
        self.on_change: Callable[[], object] = lambda: None
        self._rows: Counter[str] = Counter()
        self._answers: list[tuple[WriterJob, Any]] = []
        self._thread = Thread(target=self._work, name="syncd-writer", daemon=True)

    def start(self) -> None:
        """Log what a crash left unlogged, then begin."""
        self._thread.start()

    async def apply(self, observation: Observation) -> Any:
        """Commit what the observation changes; the planner's answer. Raises StoreTroubleError."""
        return await self._ask(WriterJob(self._future(), asyncio.get_running_loop(), observation=observation))

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
        return await self._ask(WriterJob(self._future(), asyncio.get_running_loop(), query=query))

    @staticmethod
    def _future() -> "asyncio.Future[Any]":
        return asyncio.get_running_loop().create_future()

    async def _ask(self, job: WriterJob) -> Any:
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

    def _waiting(self) -> list[WriterJob]:
        """What else is in the queue already; the end is left for the next round."""
        found: list[WriterJob] = []
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

    def _answer(self, jobs: list[WriterJob]) -> None:
        (job,) = jobs
        self._tell()
        try:
            assert job.query is not None  # noqa: S101 - split_runs has told the two apart
            self._make_sure(jobs)
            resolve_job(job, job.query(self._writer.connection))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            self._refuse(jobs, error)

    def _commit(self, jobs: list[WriterJob]) -> None:
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

    def _refuse(self, jobs: list[WriterJob], error: Exception) -> None:
        if is_doubtful(error):
            self._writer.doubt()
        for job in jobs:
            refuse_job(job, translated(error))

    def _make_sure(self, jobs: list[WriterJob]) -> None:
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

    def _transact(self, jobs: list[WriterJob]) -> list[Applied]:
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
