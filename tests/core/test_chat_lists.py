"""When the candidates of a job are listed, and which chats are asked for by themselves: tables of cases."""

import pytest

from syncd.core.chats import (
    UNPUBLISHED_SECONDS,
    HeldRound,
    HeldSubjects,
    ListsRead,
    SubjectsRead,
    plan_lists_read,
    plan_subject_list,
)
from syncd.core.model import Candidate, Chat, Instant, Job, Pace, Subject, Wanted
from syncd.core.plan import Account, AccountCheckpoint, PendingTask
from syncd.core.times import after
from syncd.core.walk import Reason

NOW = "2026-06-12T09:15:00.000Z"
BEFORE, LONG_AGO = after(NOW, -15), after(NOW, -3000)
PACE = Pace(poll_seconds=15, idle_seconds=60)


def listing(job_id: str, since: Instant | None = LONG_AGO) -> PendingTask:
    """The task to list a job's candidates, which were last listed then."""
    return PendingTask(kind="candidates", subject_id=job_id, due_at=NOW, version=3, reason=Reason(since=since))


def held_subjects(*listings: PendingTask) -> HeldSubjects:
    """An account whose lists were read before, and that holds none of the subjects."""
    return HeldSubjects(
        account=Account(source="openats", base_url="", complete_since=LONG_AGO),
        account_checkpoint=AccountCheckpoint(surveyed_at=BEFORE),
        subjects={},
        conversations={},
        chats={},
        suspects=frozenset(),
        failing=frozenset(),
        listings={task.subject_id: task for task in listings},
    )


def test_candidates_of_a_new_job_are_listed_at_once() -> None:
    """A job whose candidates were never listed owes that, from the list of jobs before it was there."""
    jobs = tuple(Subject(kind="job", row=Job(id=id_), job_id=id_) for id_ in ("1", "2"))
    read = SubjectsRead(account="ats", now=NOW, subjects=jobs, chats=frozenset(), lists_candidates=True)
    (task,) = plan_subject_list(held_subjects(listing("1")), read).tasks
    assert (task.subject_id, task.due_at, task.reason) == ("2", NOW, Reason(since=BEFORE))


@pytest.mark.parametrize(("since", "history_before"), [(LONG_AGO, LONG_AGO), (None, BEFORE)])
def test_what_came_since_a_list_was_read_is_news(since: Instant | None, history_before: Instant) -> None:
    """A candidate's history ends where their job's candidates were last listed; then they are listed again later."""
    ada = Subject(kind="candidate", row=Candidate(id="7"), job_id="1")
    read = SubjectsRead(
        account="ats",
        now=NOW,
        subjects=(ada,),
        chats=frozenset({"candidate:7"}),
        list_of="1",
        again_in=60.0,
        server_time=after(NOW, 5),
    )
    plan = plan_subject_list(held_subjects(listing("1", since)), read)
    ((_, chat),) = plan.chats
    assert chat.history_before == history_before
    (task,) = plan.tasks
    assert (task.due_at, task.version, task.reason) == (after(NOW, 60), 3, Reason(since=after(NOW, 5)))


@pytest.mark.parametrize(
    ("id_", "checked", "everything", "asked"),
    [
        ("job:9", None, False, True),
        ("job:9", 59, False, False),
        ("job:9", 60, False, True),
        ("job:9", 1, True, True),
        ("candidate:9", None, False, True),
        ("candidate:unread", None, True, False),
        ("candidate:gone", None, True, False),
        ("candidate:named", UNPUBLISHED_SECONDS - 1, False, False),
        ("candidate:named", UNPUBLISHED_SECONDS, False, True),
        ("job:1", None, True, False),
    ],
)
def test_what_no_list_shows_is_asked_for_itself(
    id_: str, checked: float | None, *, everything: bool, asked: bool
) -> None:
    """Not while its job's candidates were not listed, nor again and again, nor once it is gone, unless it is named."""
    of_jobs = {"job:9": "9", "job:1": "1", "candidate:unread": "2"}
    held = HeldRound(
        account_checkpoint=AccountCheckpoint(),
        chats={id_: Chat(history_before=NOW, checked_at=None if checked is None else after(NOW, -checked))},
        jobs={id_: of_jobs.get(id_, "1")},
        gone=frozenset({"candidate:gone", "candidate:named"}),
        suspects=frozenset(),
        failing={},
        listings={"1": listing("1"), "9": listing("9")},
    )
    read = ListsRead(
        account="ats",
        now=NOW,
        wanted=Wanted(candidates=frozenset({"named", "gone"})) if id_.endswith("named") else Wanted(),
        listed=frozenset({"job:1", "job:2"}),
        jobs=frozenset({"1", "2"}),
        unread_jobs=frozenset({"2"}),
        pace=PACE,
        everything=everything,
        server_time=NOW,
    )
    plan = plan_lists_read(held, read)
    assert plan.answer == ((id_,) if asked else ())
    assert plan.completed == (("candidates", "9", 3),)
