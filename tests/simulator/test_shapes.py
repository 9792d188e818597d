"""The shapes of the documents, field by field."""

import json
from typing import Any

import httpx

from syncd.simulator import Simulator

CONVERSATION = """{"id": "<CONVERSATION_ID>", "type": "DIRECT_MESSAGE", "bucket": "proposal", "jobId": null,
  "proposalId": "<PROPOSAL_ID>", "channelName": null, "updatedAt": "2026-06-12T08:30:00.000Z",
  "lastMessage": {"id": "<MESSAGE_ID>", "content": "Thanks — I can start Monday.", "senderUserId": "<FREELANCER_ID>",
    "isFromViewer": false, "createdAt": "2026-06-12T08:30:00.000Z"},
  "unreadCount": 1, "needsReplyCount": 1}"""
MESSAGE = """{"id": "<MESSAGE_ID>", "createdAt": "2026-06-12T09:15:00.000Z", "updatedAt": "2026-06-12T09:15:00.000Z",
  "conversationId": "<CONVERSATION_ID>", "jobId": null, "senderUserId": "<YOUR_USER_ID>", "isFromViewer": true,
  "content": "Hi Maria — your interview looked great. Could you start with a 5,000-post batch next week?",
  "messageType": null, "system": false, "hasUnreadFlag": false, "attachmentCount": 0, "hasAudio": false,
  "editedAt": null, "reactionCount": 0}"""
INTERVIEW = """{"proposalId": "<PROPOSAL_ID>", "interviewId": "<INTERVIEW_ID>", "score": 86,
  "summary": "Strong grasp of sentiment-labeling edge cases.",
  "messages": [{"id": "<MESSAGE_ID_1>", "role": "interviewer", "content": "Tell me.",
     "sentAt": "2026-06-11T15:20:00.000Z"},
    {"id": "<MESSAGE_ID_2>", "role": "candidate", "content": "I spent two years.",
     "sentAt": "2026-06-11T15:21:00.000Z"}]}"""


def shape(value: Any) -> Any:
    """A value's keys in their order and the types below them."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value)


def test_conversation_is_as_documented(sim: Simulator, api: httpx.Client) -> None:
    """A list entry has exactly the keys, order and types of the document."""
    cid = sim.world.new_conversation()
    sim.world.add_message(cid, "Thanks — I can start Monday.")
    listed = api.get("/messages", params={"filter": "all", "unreadOnly": "true", "limit": "20"}).json()
    assert list(listed) == ["conversations", "nextCursor"]
    entry = listed["conversations"][0]
    assert list(entry) == list(json.loads(CONVERSATION))
    assert shape(entry) == shape(json.loads(CONVERSATION))
    assert entry["id"] == cid
    assert (entry["unreadCount"], entry["needsReplyCount"]) == (1, 1)


def test_sent_message_is_as_documented(sim: Simulator, api: httpx.Client) -> None:
    """A sent message comes back with 201 in the shape, and even the time format, of the document."""
    cid = sim.world.new_conversation()
    expected = json.loads(MESSAGE)
    reply = api.post("/messages", json={"conversationId": cid, "content": expected["content"]})
    assert reply.status_code == 201
    assert list(reply.json()) == ["ok", "message"]
    message = reply.json()["message"]
    assert list(message) == list(expected)
    ids = {"id": message["id"], "conversationId": cid, "senderUserId": sim.world.viewer}
    assert message == expected | ids
    read = api.get("/messages", params={"conversationId": cid}).json()
    assert read == {"messages": [message], "nextCursor": None}


def test_interview_is_as_documented(sim: Simulator, api: httpx.Client) -> None:
    """A transcript has the keys and types of the document."""
    pid = sim.world.new_proposal()
    sim.world.interview_appears(pid, score=86)
    assert shape(api.get(f"/proposals/{pid}/interview").json()) == {"interview": shape(json.loads(INTERVIEW))}


def test_opened_conversation_is_as_documented(sim: Simulator, api: httpx.Client) -> None:
    """Opening is idempotent: created is true once, then false, with the same id."""
    pid = sim.world.new_proposal()
    first = api.post(f"/proposals/{pid}/conversation").json()
    assert list(first) == ["ok", "conversationId", "proposalId", "jobId", "created"]
    assert first["created"] is True
    assert api.post(f"/proposals/{pid}/conversation").json() == first | {"created": False}


def test_proposal_is_as_documented(sim: Simulator, api: httpx.Client) -> None:
    """A proposal has every documented field; a job's list leaves four of them out."""
    pid = sim.world.new_proposal(name="Maria G.")
    whole = api.get(f"/proposals/{pid}").json()["proposal"]
    top = (
        "id jobId jobTitle createdAt updatedAt status bid candidate metrics aiInterview verification openLabel contract"
    )
    assert list(whole) == top.split()
    candidate = (
        "id profileSlug displayName firstName lastNameInitial profileTitle profilePhotoUrl countryCode country "
        "talentType highestEarningsUsd reviewCount"
    )
    assert list(whole["candidate"]) == candidate.split()
    assert (whole["candidate"]["firstName"], whole["candidate"]["lastNameInitial"]) == ("Maria", "G")
    assert list(whole["status"]) == ["raw", "label"]
    assert list(whole["bid"]) == ["amountUsd", "unit", "labelerHourlyRateUsd"]
    assert list(whole["metrics"]) == ["interviewScore", "matchScore"]
    assert list(whole["aiInterview"]) == ["score", "summary", "transcriptAvailable"]
    entry = api.get(f"/jobs/{whole['jobId']}/proposals").json()["proposals"][0]
    assert list(entry) == top.split()[:9]


def test_jobs_and_identity(sim: Simulator, api: httpx.Client) -> None:
    """The owner's jobs carry proposal counts, and nobody else's job is among them."""
    jobs = api.get("/jobs/mine", params={"limit": 100}).json()
    assert {job["id"]: job for job in jobs["jobs"]} == sim.world.truth()["jobs"]
    assert len(jobs["jobs"]) == len(sim.world.jobs) - 1
    assert list(jobs["jobs"][0]) == ["id", "title", "status", "createdAt", "updatedAt", "proposalCounts"]
    me = api.get("/auth/me").json()
    assert me["actor"]["userId"] == sim.world.viewer
    assert "messages:read" in me["token"]["scopes"]
    assert me["account"]["organizationId"] == sim.world.organization


def test_updates_are_as_documented(sim: Simulator, api: httpx.Client) -> None:
    """An event carries ids only; a caught-up reader's cursor is echoed, never null."""
    cid = sim.world.new_conversation(kind="job")
    mid = sim.world.add_message(cid, "secret text")
    last = sim.world.events[-1].id
    page = api.get("/updates", params={"cursor": str(last - 1)}).json()
    assert page == {
        "events": [
            {
                "id": str(last),
                "type": "message.received",
                "apiVersion": "v1",
                "createdAt": "2026-06-12T09:15:00.000Z",
                "resourceId": mid,
                "jobId": sim.world.conversations[cid].job_id,
                "data": {"conversationId": cid, "messageId": mid},
            }
        ],
        "nextCursor": str(last),
        "hasMore": False,
    }
    assert api.get("/updates", params={"cursor": last}).json() == {
        "events": [],
        "nextCursor": str(last),
        "hasMore": False,
    }


def test_updates_from_the_start(sim: Simulator, api: httpx.Client) -> None:
    """Without a cursor the feed begins with the oldest event and leads page by page to the newest."""
    seen: list[Any] = []
    query: dict[str, Any] = {"limit": 200}
    for _ in range(100):
        page = api.get("/updates", params=query).json()
        seen += page["events"]
        if not page["hasMore"]:
            break
        query["cursor"] = page["nextCursor"]
    assert seen == sim.world.truth()["updates"]
    assert [int(event["id"]) for event in seen] == sorted(int(event["id"]) for event in seen)


def test_date_header_is_the_worlds(api: httpx.Client) -> None:
    """The Date header tells the world's clock, also on an error."""
    for path in ("/messages", "/nothing"):
        assert api.get(path).headers["date"] == "Fri, 12 Jun 2026 09:15:00 GMT"


def test_specification_needs_no_token(sim: Simulator) -> None:
    """The served specification names the fields of a message."""
    served = httpx.get(f"{sim.url}/api/public/v1/openapi.json").json()
    assert list(served["components"]["schemas"]["Message"]["properties"]) == list(json.loads(MESSAGE))
