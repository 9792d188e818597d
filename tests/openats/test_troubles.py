"""What goes wrong on the way, and what it is called."""

from typing import Any

import pytest

from syncd.core.model import Wanted
from syncd.sources.http import Limits
from team_rig import TeamRig

pytestmark = pytest.mark.anyio

TOO_LARGE = 99_999_999_999  # no integer of the server's database: it answers 500


async def want(rig: TeamRig, *, jobs: set[int], candidates: set[int]) -> None:
    """Mirror just these from now on."""
    rig.wanted = Wanted(jobs=frozenset(map(str, jobs)), candidates=frozenset(map(str, candidates)))
    await rig.restart()


async def test_a_bad_id_is_told_from_an_outage(rig: TeamRig) -> None:
    """A configured id that the server answers with 500 is a row in failures that names it; the others are mirrored."""
    await want(rig, jobs={1, TOO_LARGE}, candidates={2})
    outcome = await rig.poll()
    assert (outcome.account_state.state, list(rig.failures())) == ("ok", [("conversation", f"job:{TOO_LARGE}")])
    assert {row["id"] for row in rig.rows("SELECT id FROM conversations")} == {"job:1", "candidate:2"}


async def test_nothing_but_bad_ids_is_no_outage_either(rig: TeamRig) -> None:
    """Where no other chat can vouch for the server, its list of jobs does."""
    await want(rig, jobs=set(range(TOO_LARGE, TOO_LARGE + 7)), candidates=set())
    outcome = await rig.poll()
    assert (outcome.account_state.state, len(rig.failures())) == ("ok", 7)


async def test_an_id_that_never_was_is_named(rig: TeamRig) -> None:
    """A configured job that does not exist is a failure, and no conversation."""
    await want(rig, jobs={1, 77}, candidates=set())
    await rig.poll()
    assert rig.failures()["conversation", "job:77"]["reason"] == "http_404"
    assert rig.scalar("SELECT COUNT(*) FROM conversations") == 1


async def test_a_failure_ends_with_its_cause(rig: TeamRig) -> None:
    """A chat that failed is tried again later and no sooner, and its row in failures goes when it answers."""
    await rig.poll()
    fault = rig.sim.faults.status(500, path="/chat/job/1$", times=None)
    await rig.poll(after=60)
    assert list(rig.failures()) == [("conversation", "job:1")]
    await rig.poll(after=15)
    assert rig.sim.requests.count(path="/chat/job/1$") == 0
    fault.times = 0
    await rig.poll(after=60)
    assert (rig.failures(), rig.differences()) == ({}, [])


async def test_an_id_no_longer_wanted_fails_no_more(rig: TeamRig) -> None:
    """Taking a bad id out of the configuration ends its failure."""
    await want(rig, jobs={1, 77}, candidates=set())
    await rig.poll()
    await want(rig, jobs={1}, candidates=set())
    await rig.poll()
    assert rig.failures() == {}


async def test_a_database_that_is_down_is_an_outage(rig: TeamRig) -> None:
    """When everything answers 500 the account is unreachable, no chat is to blame, and its return is one event each."""
    await rig.poll()
    rig.team.is_down = True
    assert (await rig.poll(after=60)).account_state.state == "unreachable"
    await rig.poll(after=60)
    assert rig.failures() == {}
    rig.team.is_down = False
    assert (await rig.poll(after=300)).account_state.state == "ok"
    assert [e["kind"] for e in rig.events()] == ["account.degraded", "account.recovered"]


async def test_a_server_that_is_not_there_is_unreachable(rig: TeamRig) -> None:
    """A refused connection is unreachable at once, and over when the server is back."""
    await rig.poll()
    rig.sim.pause()
    assert (await rig.poll(after=60)).account_state.state == "unreachable"
    rig.sim.resume()
    assert (await rig.poll(after=60)).account_state.state == "ok"
    assert [e["kind"] for e in rig.events()] == ["account.degraded", "account.recovered"]


async def test_a_round_without_a_chat_ends_no_outage(rig: TeamRig) -> None:
    """After a manual poll that met an outage, a poll for which no chat is due makes sure before it says ok."""
    await rig.poll()
    rig.sim.pause()
    await rig.poll(manual=True)
    assert (await rig.poll(after=5)).account_state.state == "unreachable"
    rig.sim.resume()


async def test_a_stalled_server_does_not_hang_the_poll(rig: TeamRig) -> None:
    """Requests that are never answered end the poll by their time-out, as an outage."""
    await rig.poll()
    rig.manners = Limits(attempts=1, read_timeout=0.2, deadline=0.3)
    await rig.restart()
    rig.sim.faults.stall(path="^/api/", times=None)
    outcome = await rig.poll(after=60)
    assert (outcome.account_state.state, rig.failures()) == ("unreachable", {})


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (("html", {}), "protocol_error"),
        (("empty_object", {}), "protocol_error"),
        (("status", {"code": 401}), "auth_failed"),
        (("status", {"code": 403}), "forbidden"),
        (("gateway", {"status": 502}), "unreachable"),
        (("rate_limit", {"retry_after": 300}), "rate_limited"),
    ],
)
async def test_a_proxy_in_front_has_its_own_states(rig: TeamRig, fault: tuple[str, dict[str, Any]], state: str) -> None:
    """What stands in front of the server and answers for it is called by its name, and nothing is lost meanwhile."""
    await rig.poll()
    getattr(rig.sim.faults, fault[0])(**fault[1], path="^/api/", times=None)
    assert (await rig.poll(after=60)).account_state.state == state
    assert (await rig.poll(after=400, manual=True)).account_state.state == state
    rig.sim.faults.clear()
    assert (await rig.poll(after=400, manual=True)).account_state.state == "ok"
    assert (rig.differences(), rig.failures()) == ([], {})
    assert [e["kind"] for e in rig.events()] == ["account.degraded", "account.recovered"]


async def test_empty_answers_of_a_broken_server_delete_nothing(rig: TeamRig) -> None:
    """Chats that come empty while their subjects answer 500 keep their messages."""
    await rig.poll()
    rig.sim.faults.body({"data": []}, path="/chat/", times=None)
    rig.sim.faults.status(500, path=r"/(jobs|candidates)/\d+$", times=None)
    await rig.poll(after=60)
    assert rig.scalar("SELECT COUNT(*) FROM messages WHERE gone_at IS NOT NULL") == 0
    assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0


async def test_a_404_of_everything_marks_nothing_gone(rig: TeamRig) -> None:
    """A proxy that answers 404 to all of it proves nothing about any job or candidate."""
    await rig.poll()
    rig.sim.faults.body({"error": "Not found"}, status=404, path="^/api/", times=None)
    outcome = await rig.poll(after=601)
    assert outcome.account_state.state == "protocol_error"
    assert "base_url must go up to and including /api" in str(outcome.account_state.error)
    await rig.poll(after=15)
    assert rig.scalar("SELECT COUNT(*) FROM _suspects") == 0


async def test_one_list_that_fails_holds_up_nothing_else(rig: TeamRig) -> None:
    """When a job's candidates can't be listed, that is a failure; they are not asked for one by one, nor missed."""
    await rig.poll()
    rig.sim.faults.status(500, path="/candidates/jobs/1$", times=None)
    await rig.poll(after=601)
    assert list(rig.failures()) == [("candidates", "1")]
    assert rig.sim.requests.count(path="/candidates/1$") == 0
    rig.sim.faults.clear()
    await rig.poll(after=601)
    assert (rig.failures(), rig.differences()) == ({}, [])


async def test_a_token_travels_with_every_request(rig: TeamRig) -> None:
    """The token for a proxy in front is sent, where one is configured."""
    rig.token = "ot_pat_public_secret"
    await rig.restart()
    seen: set[str | None] = set()
    rig.sim.on_request = lambda record: seen.add(record.token_id)
    await rig.poll()
    assert seen == {"public"}
