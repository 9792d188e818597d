"""What the end of a list proves, and what its failure puts off: tables of cases."""

import pytest
from msgspec.structs import replace

from syncd.core.deletions import plan_reconcile_begun, plan_suspects_settled
from syncd.core.listing import plan_jobs, plan_list_walked, plan_listing_failed, plan_listing_proved
from syncd.core.model import Conversation, Instant, Job
from syncd.core.observations import (
    Failed,
    HeldJobs,
    HeldListing,
    HeldProposals,
    HeldSuspects,
    HeldTask,
    JobsRead,
    ListingProved,
    ListWalked,
    ReconcileBegun,
    SuspectsSettled,
)
from syncd.core.plan import Account, AccountCheckpoint, Failure, PendingTask
from syncd.core.times import after

NOW = "2026-06-12T09:15:00.000Z"
ACCOUNT = Account(source="opentrain", base_url="https://opentrain.example", last_reconciled_at="2026-06-11")


def failure(kind: str, subject_id: str, next_try_at: Instant) -> Failure:
    """A listing's third failure."""
    return Failure(
        kind=kind,
        subject_id=subject_id,
        reason="cursor_repeats",
        request_id=None,
        tries=3,
        first_failed_at=after(NOW, -900),
        next_try_at=next_try_at,
    )


def failed(kind: str, subject_id: str) -> Failed:
    """One more."""
    return Failed(account="acme", now=NOW, kind=kind, subject_id=subject_id, reason="pages_without_end")


@pytest.mark.parametrize(
    ("waits", "tries"), [(None, 1), (after(NOW, -1), 4), (NOW, 4), (after(NOW, 1), None), (after(NOW, 9000), None)]
)
def test_the_conversation_list_fails_once_a_try(waits: Instant | None, tries: int | None) -> None:
    """Each poll walks it, so that it fails at each: one that is not due for another try stays what it is, untold."""
    held = HeldTask(failure=None if waits is None else failure("conversations", "all", waits))
    plan = plan_listing_failed(held, failed("conversations", "all"))
    assert plan.tasks == ()
    assert [row.tries for row in plan.failures] == ([] if tries is None else [tries])
    assert (plan.answer is False) == (tries is None)


@pytest.mark.parametrize("version", [0, 4])
@pytest.mark.parametrize(("kind", "subject_id"), [("jobs", "mine"), ("proposals", "j1")])
def test_another_list_is_a_task_until_it_is_read(kind: str, subject_id: str, version: int) -> None:
    """It is put off to its failure's next try; proved, both are over."""
    pending = PendingTask(kind=kind, subject_id=subject_id, due_at=NOW, version=version) if version else None
    held = HeldTask(pending=pending, failure=failure(kind, subject_id, NOW))
    plan = plan_listing_failed(held, failed(kind, subject_id))
    ((task,), (row,)) = plan.tasks, plan.failures
    assert (task.kind, task.subject_id, task.version) == (kind, subject_id, version)
    assert task.due_at == row.next_try_at > NOW
    proved = plan_listing_proved(held, ListingProved(account="acme", now=NOW, kind=kind, subject_id=subject_id))
    assert proved.recovered == ((kind, subject_id),)
    assert proved.completed == (((kind, subject_id, version),) if version else ())


def test_jobs_owe_their_proposals() -> None:
    """Where every proposal is wanted, each job's are a task; the jobs that changed are stored."""
    jobs = (Job(id="j1"), Job(id="j2", title="Anew"))
    held = HeldJobs(jobs={"j1": Job(id="j1"), "j2": Job(id="j2", title="Before")})
    read = JobsRead(account="acme", now=NOW, jobs=jobs)
    assert plan_jobs(held, read).rows == (jobs[1],)
    assert plan_jobs(held, read).tasks == ()
    tasks = plan_jobs(held, replace(read, every_proposal=True)).tasks
    assert [(task.kind, task.subject_id, task.due_at) for task in tasks] == [
        ("proposals", "j1", NOW),
        ("proposals", "j2", NOW),
    ]


@pytest.mark.parametrize(
    ("reconciling", "listed", "over", "known"),
    [(False, None, True, False), (True, None, False, False), (True, frozenset({"c1"}), True, True)],
)
def test_the_list_is_over_when_what_waits_for_it_is(
    listed: frozenset[str] | None, *, reconciling: bool, over: bool, known: bool
) -> None:
    """A poll that comes down to its mark ends the list's failure, unless a reconcile waits for the list's end."""
    held = HeldListing(
        account_checkpoint=AccountCheckpoint(reconciling_since=NOW if reconciling else None),
        unlisted=frozenset({"c2"}) if listed else frozenset(),
        failure=failure("conversations", "all", NOW),
    )
    plan = plan_list_walked(held, ListWalked(account="acme", now=NOW, head=NOW, server_time=NOW, listed=listed))
    assert plan.recovered == ((("conversations", "all"),) if over else ())
    assert plan.account_checkpoint is not None
    assert plan.account_checkpoint.reconcile_listed is known
    assert [task.subject_id for task in plan.tasks] == (["c2"] if listed else [])


@pytest.mark.parametrize(("jobs", "proposals", "kinds"), [(True, True, 3), (False, True, 2), (True, False, 1)])
def test_a_reconcile_owes_every_proposal_held(*, jobs: bool, proposals: bool, kinds: int) -> None:
    """Jobs and proposals, as far as they may be read, the latter spread over time and to be compared."""
    held = HeldProposals(account_checkpoint=AccountCheckpoint(), proposals=("r1", "r2"))
    begun = ReconcileBegun(account="acme", now=NOW, jobs=jobs, proposals=proposals, spread=0.5)
    plan = plan_reconcile_begun(held, begun)
    assert len(plan.tasks) == kinds
    due = {task.subject_id: task.due_at for task in plan.tasks if task.kind == "proposal"}
    assert due == ({"r1": NOW, "r2": after(NOW, 0.5)} if proposals else {})
    assert all(task.reason is not None and task.reason.verify for task in plan.tasks if task.kind == "proposal")
    assert plan.account_checkpoint is not None
    assert plan.account_checkpoint.reconciling_since == NOW


@pytest.mark.parametrize(
    ("since", "listed", "reconciled"), [(None, False, False), (NOW, False, False), (NOW, True, True)]
)
def test_a_reconcile_ends_with_its_list(since: Instant | None, *, listed: bool, reconciled: bool) -> None:
    """What is missing is believed either way; reconciled is only who has walked the list to a proved end."""
    checkpoint = AccountCheckpoint(reconciling_since=since, reconcile_listed=listed)
    held = HeldSuspects(
        account=ACCOUNT,
        account_checkpoint=checkpoint,
        conversations=(Conversation(id="c1"),),
        messages=(),
        all_conversations=9,
        all_messages=0,
    )
    plan = plan_suspects_settled(held, SuspectsSettled(account="acme", now=NOW))
    assert [row.id for row in plan.rows if isinstance(row, Conversation)] == ["c1"]
    assert (plan.account is not None) is reconciled
    after_it = plan.account_checkpoint or checkpoint
    assert after_it.reconciling_since == (None if reconciled else since)
