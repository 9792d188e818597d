"""What happens in the world shows at the API as it would at the real one."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from syncd.simulator import Scenario, Simulator, World

START = datetime(2026, 6, 12, tzinfo=UTC)


def entry(api: httpx.Client, cid: str) -> Any:
    """A conversation's entry in the list."""
    listed = api.get("/messages", params={"limit": 100}).json()["conversations"]
    return next((conversation for conversation in listed if conversation["id"] == cid), None)


def messages(api: httpx.Client, cid: str) -> Any:
    """A conversation's messages, oldest first."""
    return api.get("/messages", params={"conversationId": cid, "limit": 100}).json()["messages"]


@pytest.fixture
def cid(sim: Simulator, clock: Any) -> str:
    """A conversation with one inbound message, a minute ago."""
    created = sim.world.new_conversation()
    sim.world.add_message(created, "Hello")
    clock.advance(60)
    return created


def test_inbound_and_answer(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """Inbound messages raise both counts and the conversation; an answer ends needs-reply, reading ends unread."""
    sim.world.burst(cid, 2)
    assert (entry(api, cid)["unreadCount"], entry(api, cid)["needsReplyCount"]) == (3, 3)
    assert sim.world.truth()["order"][0] == cid
    sim.world.add_message(cid, "Hi", from_viewer=True)
    assert (entry(api, cid)["unreadCount"], entry(api, cid)["needsReplyCount"]) == (3, 0)
    before = entry(api, cid)["updatedAt"]
    sim.world.read_conversation(cid)
    assert (entry(api, cid)["unreadCount"], entry(api, cid)["updatedAt"]) == (0, before)
    assert not any(message["hasUnreadFlag"] for message in messages(api, cid))


def test_dismissal_and_reaction_move_nothing(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """A dismissal and a reaction change what they change and no time."""
    before, first = entry(api, cid), messages(api, cid)[0]
    sim.world.dismiss_needs_reply(cid)
    sim.world.react(cid, first["id"])
    assert entry(api, cid) == before | {"needsReplyCount": 0}
    assert messages(api, cid) == [first | {"reactionCount": 1}]


def test_system_message_counts_nowhere(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """A system message has no sender, raises no count and no event, but the conversation."""
    events = len(sim.world.events)
    sim.world.add_message(cid, "Offer sent", system=True)
    assert entry(api, cid)["unreadCount"] == 1
    assert messages(api, cid)[1]["senderUserId"] is None
    assert messages(api, cid)[1]["system"] is True
    assert entry(api, cid)["updatedAt"] == "2026-06-12T09:16:00.000Z"
    assert len(sim.world.events) == events


@pytest.mark.parametrize("touched", [True, False])
def test_edit(sim: Simulator, api: httpx.Client, cid: str, *, touched: bool) -> None:
    """An edit keeps id and place; whether the conversation's updatedAt moves is the caller's choice."""
    first = messages(api, cid)[0]
    sim.world.edit_message(cid, first["id"], "Hello!", touch_updated=touched)
    now = "2026-06-12T09:16:00.000Z"
    assert messages(api, cid) == [first | {"content": "Hello!", "editedAt": now, "updatedAt": now}]
    assert (entry(api, cid)["updatedAt"] == now) is touched


def test_deletion_and_return(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """A deleted message is just absent, and can come back under its id in its place."""
    before = messages(api, cid)
    later = sim.world.add_message(cid, "later")
    sim.world.delete_message(cid, before[0]["id"])
    assert [message["id"] for message in messages(api, cid)] == [later]
    sim.world.restore_message(cid, before[0]["id"])
    assert messages(api, cid)[0] == before[0]


def test_late_arrival(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """A late arrival sits before what is newer, is not the last message, and moves updatedAt and the feed."""
    late = sim.world.add_message(cid, "late", created_at=sim.world.now() - timedelta(hours=1))
    assert [message["content"] for message in messages(api, cid)] == ["late", "Hello"]
    assert entry(api, cid)["lastMessage"]["content"] == "Hello"
    assert entry(api, cid)["updatedAt"] == "2026-06-12T09:16:00.000Z"
    assert sim.world.truth()["updates"][-1]["data"]["messageId"] == late


def test_leaving_and_returning(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """A left conversation is not listed and 403, and tells no events; after rejoining it is back."""
    sim.world.leave_conversation(cid)
    events = len(sim.world.events)
    sim.world.add_message(cid, "behind your back")
    assert entry(api, cid) is None
    assert api.get("/messages", params={"conversationId": cid}).status_code == 403
    assert len(sim.world.events) == events
    sim.world.rejoin(cid)
    assert entry(api, cid)["lastMessage"]["content"] == "behind your back"


def test_deleted_conversation(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """A deleted conversation is not listed and 404; restored, it is as it was."""
    before = messages(api, cid)
    sim.world.delete_conversation(cid)
    assert entry(api, cid) is None
    assert api.get("/messages", params={"conversationId": cid}).status_code == 404
    sim.world.restore_conversation(cid)
    assert messages(api, cid) == before


def test_kinds_and_filters(sim: Simulator, api: httpx.Client) -> None:
    """A proposal thread names its proposal and no job, a channel its name and its job; filters keep them apart."""
    thread = sim.world.new_conversation(name="Ada L.")
    channel = sim.world.new_conversation(kind="channel", channel_name="qa", type="CHANNEL", extra={"new": 1})
    proposal = api.get(f"/proposals/{entry(api, thread)['proposalId']}").json()["proposal"]
    assert proposal["candidate"]["displayName"] == "Ada L."
    assert entry(api, thread)["jobId"] is None
    shown = entry(api, channel)
    assert (shown["channelName"], shown["bucket"], shown["new"]) == ("qa", "job", 1)
    assert shown["jobId"] in sim.world.jobs

    def ids(bucket: str) -> set[str]:
        page = api.get("/messages", params={"filter": bucket, "limit": 100}).json()
        return {conversation["id"] for conversation in page["conversations"]}

    assert (thread in ids("proposal"), channel in ids("proposal")) == (True, False)
    assert (thread in ids("job"), channel in ids("job")) == (False, True)
    assert ids("all") == set(sim.world.truth()["order"])


def test_proposals_tell_the_feed(sim: Simulator, api: httpx.Client) -> None:
    """A new proposal and a status are events; a status does not resurface in the job's list."""
    old, new = sim.world.new_proposal(), sim.world.new_proposal()
    sim.world.set_proposal_status(old, "HIRED")
    job = sim.world.proposals[old].job.id
    events = sim.world.truth()["updates"][-3:]
    assert [event["type"] for event in events] == ["proposal.received"] * 2 + ["proposal.status_changed"]
    assert events[-1]["data"] == {"proposalId": old, "status": "HIRED"}
    assert events[0]["data"] == {"proposalId": old, "jobId": job}
    listed = api.get(f"/jobs/{job}/proposals", params={"status": "HIRED", "limit": 100}).json()["proposals"]
    assert old in [proposal["id"] for proposal in listed]
    everyone = api.get(f"/jobs/{job}/proposals", params={"limit": 100}).json()["proposals"]
    assert {proposal["id"] for proposal in everyone[:2]} == {old, new}


def test_interview_life(sim: Simulator, api: httpx.Client) -> None:
    """An interview is announced before it can be read, is read, and is erased."""
    pid = sim.world.new_proposal()

    def look() -> tuple[bool, int]:
        available = api.get(f"/proposals/{pid}").json()["proposal"]["aiInterview"]["transcriptAvailable"]
        return available, api.get(f"/proposals/{pid}/interview").status_code

    assert look() == (False, 404)
    sim.world.interview_appears(pid, ready=False, score=8.6)
    assert look() == (True, 404)
    sim.world.interview_ready(pid)
    assert look() == (True, 200)
    assert api.get(f"/proposals/{pid}/interview").json()["interview"]["score"] == 8.6
    sim.world.interview_erased(pid)
    assert look() == (False, 404)


def test_erased_and_renamed_candidate(sim: Simulator, api: httpx.Client) -> None:
    """An erased trainer is "Freelancer" without photo and interview, but with the same id; nothing announces it."""
    pid = sim.world.new_proposal(name="Maria G.")
    sim.world.interview_appears(pid)
    candidate = api.get(f"/proposals/{pid}").json()["proposal"]["candidate"]
    sim.world.rename(candidate["id"], "Mary G.")
    assert api.get(f"/proposals/{pid}").json()["proposal"]["candidate"]["displayName"] == "Mary G."
    events = len(sim.world.events)
    sim.world.erase_candidate(candidate["id"])
    after = api.get(f"/proposals/{pid}").json()["proposal"]
    assert (after["candidate"]["id"], after["candidate"]["displayName"]) == (candidate["id"], "Freelancer")
    assert after["candidate"]["profilePhotoUrl"] is None
    assert api.get(f"/proposals/{pid}/interview").status_code == 404
    assert len(sim.world.events) == events


def test_jobs_change(sim: Simulator, api: httpx.Client) -> None:
    """A new job is listed first; its title and status follow."""
    job = sim.world.new_job("Old title")
    sim.world.rename_job(job, "New title")
    sim.world.set_job_status(job, "CLOSED")
    first = api.get("/jobs/mine", params={"limit": 1}).json()
    assert (first["jobs"][0]["title"], first["jobs"][0]["status"]) == ("New title", "CLOSED")
    assert first["nextCursor"]


def test_held_events_come_out_of_order(sim: Simulator, api: httpx.Client, cid: str) -> None:
    """An event held back becomes visible under an id that a reader has already passed."""
    sim.world.hold_updates(held=True)
    held = sim.world.add_message(cid, "slow")
    sim.world.hold_updates(held=False)
    fast = sim.world.add_message(cid, "fast")
    cursor = str(sim.world.events[-3].id)

    def told(after: str) -> list[str]:
        return [event["resourceId"] for event in api.get("/updates", params={"cursor": after}).json()["events"]]

    assert told(cursor) == [fast]
    passed = str(sim.world.events[-1].id)
    sim.world.release_updates()
    assert told(passed) == []
    assert told(cursor) == [held, fast]


def test_scenario_is_seeded() -> None:
    """The same seeds and times let the same things happen."""
    steps = []
    for _ in range(2):
        ticks = map(timedelta(seconds=1).__mul__, itertools.count())
        world = World.generate(3, conversations=20, messages=300, clock=map(START.__add__, ticks).__next__)
        scenario = Scenario(world, seed=5)
        steps.append([scenario.step() for _ in range(200)])
    assert steps[0] == steps[1]
    assert len(set(steps[0])) > 8


def test_scenario_begins_with_nothing() -> None:
    """An empty world comes to life too."""
    world = World()
    scenario = Scenario(world, seed=1)
    for _ in range(50):
        scenario.step()
    assert world.conversations
