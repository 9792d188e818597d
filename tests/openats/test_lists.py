"""What there is, is seen in time: jobs at each poll, candidates as often as their job is public."""

from typing import Any

import pytest

from rig import SteeredClock
from syncd.core.model import Wanted
from syncd.simulator import Team
from team_rig import TeamRig

pytestmark = pytest.mark.anyio

IDLE = 60.0  # the policy's idle_seconds
TEN_MINUTES = 600.0


@pytest.fixture
def team(clock: SteeredClock) -> Team:
    """A published job and a closed one, with a candidate each, a day old."""
    team = Team(clock, seed=5)
    for title, status in (("Backend engineer", "published"), ("Designer", "closed")):
        team.new_candidate(team.new_job(title, status), "Ada", "Lovelace")
    clock.advance(86_400)
    return team


def title(rig: TeamRig, id_: str) -> Any:
    """What a chat is called; None where there is none."""
    return rig.scalar("SELECT (SELECT title FROM conversations WHERE id = ? AND gone_at IS NULL)", id_)


async def pass_time(rig: TeamRig, seconds: float) -> None:
    """Poll every quarter of a minute for so long."""
    for _ in range(int(seconds / 15)):
        await rig.poll(after=15)


async def test_a_new_job_is_seen_at_the_next_poll(rig: TeamRig) -> None:
    """A job, its candidates and what was said there are mirrored by the next poll, and told as news."""
    await rig.poll()
    job = rig.team.new_job("Tester", "draft")
    candidate = rig.team.new_candidate(job, "Grace", "Hopper")
    said = [rig.team.say("job", job, "hello"), rig.team.say("candidate", candidate, "hello")]
    await rig.poll(after=1)
    assert rig.differences() == []
    assert sorted(e["message_id"] for e in rig.new_events("message.new")) == [
        f"candidate:{said[1]}",
        f"job:{said[0]}",
    ]


@pytest.mark.parametrize(("job", "seconds"), [(1, IDLE), (2, TEN_MINUTES)])
async def test_a_new_candidate_is_seen_in_time(rig: TeamRig, job: int, seconds: float) -> None:
    """A candidate of a published job is seen within idle_seconds, another within ten minutes, with what they said."""
    await rig.poll()
    await pass_time(rig, 30)
    candidate = rig.team.new_candidate(job, "Grace", "Hopper")
    said = rig.team.say("candidate", candidate, "hello")
    asked = 0
    for _ in range(int(seconds / 15)):
        await rig.poll(after=15)
        asked += rig.sim.requests.count(path=f"/candidates/jobs/{job}$")
    assert (title(rig, f"candidate:{candidate}"), asked) == ("Grace Hopper", 1)
    assert rig.differences() == []
    assert [e["message_id"] for e in rig.events("message.new")] == [f"candidate:{said}"]


async def test_renames_are_seen_in_time(rig: TeamRig) -> None:
    """A job's title is seen at the next poll, a candidate's name within idle_seconds."""
    await rig.poll()
    rig.team.change("job", 2, title="Art director")
    rig.team.change("candidate", 1, firstName="Augusta")
    await rig.poll(after=1)
    assert title(rig, "job:2") == "Art director"
    await pass_time(rig, IDLE)
    assert title(rig, "candidate:1") == "Augusta Lovelace"
    assert rig.differences() == []


@pytest.mark.parametrize(("candidate", "seconds"), [(1, IDLE), (2, TEN_MINUTES)])
async def test_deletions_are_seen_in_time(rig: TeamRig, candidate: int, seconds: float) -> None:
    """A candidate of whom nothing was said is gone within idle_seconds, that of a closed job within ten minutes."""
    for _ in range(5):
        rig.team.new_candidate(2)
    await rig.poll()
    rig.team.delete("candidate", candidate)
    await pass_time(rig, seconds)
    assert [e["conversation_id"] for e in rig.events("conversation.gone")] == [f"candidate:{candidate}"]
    assert rig.differences() == []


async def test_a_deleted_job_is_seen_at_the_next_poll(rig: TeamRig) -> None:
    """A job that is no longer listed is asked for itself, and is gone; nothing is asked for it any more."""
    job = rig.team.new_job("Nobody's")
    await rig.poll()
    rig.team.delete("job", job)
    await rig.poll(after=1)
    assert [e["conversation_id"] for e in rig.events("conversation.gone")] == [f"job:{job}"]
    await pass_time(rig, TEN_MINUTES)
    assert rig.sim.requests.count(path=f"/jobs/{job}$") == 0


async def test_what_is_asked_for_by_name_is_seen_in_time(rig: TeamRig) -> None:
    """Candidates that are configured by their ids are in no list that is read; a rename is seen all the same."""
    rig.wanted = Wanted(candidates=frozenset({"1"}))
    await rig.restart()
    await rig.poll()
    rig.team.change("candidate", 1, firstName="Augusta")
    await pass_time(rig, IDLE)
    assert title(rig, "candidate:1") == "Augusta Lovelace"


async def test_a_list_that_fails_is_told_and_tried_again(rig: TeamRig) -> None:
    """Candidates that can't be listed are a failure of their job's, and are seen when they can, as news."""
    await rig.poll()
    rig.sim.faults.status(500, path="/candidates/jobs/1$", times=None)
    candidate = rig.team.new_candidate(1, "Grace", "Hopper")
    rig.clock.advance(60)
    said = rig.team.say("candidate", candidate, "hello")
    await pass_time(rig, 240)
    assert list(rig.failures()) == [("candidates", "1")]
    rig.sim.faults.clear()
    await rig.poll(manual=True)
    assert (rig.failures(), rig.differences()) == ({}, [])
    assert [e["message_id"] for e in rig.events("message.new")] == [f"candidate:{said}"]


MORE = [{"nextCursor": "abc"}, {"pagination": {"hasMore": True}}]


@pytest.mark.parametrize("more", MORE, ids=str)
async def test_a_list_of_jobs_that_speaks_of_more_is_not_whole(rig: TeamRig, more: dict[str, Any]) -> None:
    """A server that pages its jobs is not called complete: nobody knows how to ask for the rest."""
    jobs = [job.fields for job in rig.team.subjects["job"].values()]
    rig.sim.faults.body({"data": jobs[:1], **more}, path="^/api/jobs$", times=None)
    outcome = await rig.poll()
    assert outcome.account_state.state == "starting"
    assert rig.failures()["jobs", "all"]["reason"] == "more_pages"
    assert (rig.account()["complete_since"], rig.account()["last_reconciled_at"]) == (None, None)
    rig.sim.faults.clear()
    await rig.poll()
    assert (rig.failures(), rig.differences(), rig.account()["state"]) == ({}, [], "ok")


@pytest.mark.parametrize("more", MORE, ids=str)
@pytest.mark.parametrize("path", ["^/api/chat/candidate/1$", "^/api/candidates/jobs/1$"])
async def test_what_speaks_of_more_proves_no_absence(rig: TeamRig, path: str, more: dict[str, Any]) -> None:
    """A chat, or a job's candidates, of which there are more pages is a failure, and nothing in it is gone."""
    for n in range(3):
        rig.team.say("candidate", 1, f"message {n}")
    await rig.poll()
    rig.sim.faults.body({"data": [], **more}, path=path, times=None)
    await rig.poll(full=True)
    await rig.poll(full=True, after=700)
    assert {row["reason"] for row in rig.failures().values()} == {"more_pages"}
    assert rig.events("message.deleted", "conversation.gone") == []
    rig.sim.faults.clear()
    await rig.poll(full=True, after=700)
    assert (rig.failures(), rig.differences()) == ({}, [])
