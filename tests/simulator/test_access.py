"""Who may ask what, and how mistakes are answered."""

from typing import Any

import httpx
import pytest

from syncd.simulator import Simulator


def get(sim: Simulator, path: str, scopes: list[str], **query: Any) -> httpx.Response:
    """One GET with a token of these scopes."""
    headers = {"Authorization": f"Bearer {sim.world.add_token(scopes)}"}
    return httpx.get(f"{sim.url}/api/public/v1{path}", params=query, headers=headers)


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Bearer ot_pat_a_b", "Basic abc", ""])
def test_unknown_tokens(sim: Simulator, header: str | None) -> None:
    """Missing, malformed and unknown tokens are 401 alike, with a requestId."""
    headers = {} if header is None else {"Authorization": header}
    reply = httpx.get(f"{sim.url}/api/public/v1/messages", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (401, "UNAUTHORIZED")
    assert reply.json()["requestId"]


def test_revoked_token(sim: Simulator, api: httpx.Client) -> None:
    """A revoked token is 401 from then on."""
    assert api.get("/auth/me").status_code == 200
    sim.world.revoke_token(sim.token)
    assert api.get("/auth/me").status_code == 401


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/messages", "messages:read"),
        ("/messages?conversationId=x", "messages:read"),
        ("/jobs/mine", "jobs:read"),
        ("/jobs/x/proposals", "proposals:read"),
        ("/proposals/x", "proposals:read"),
        ("/proposals/x/interview", "proposals:read"),
    ],
)
def test_scopes(sim: Simulator, path: str, scope: str) -> None:
    """Each call wants its own scope, and takes the write scope for it."""
    others = [other for other in ("messages:read", "jobs:read", "proposals:read") if other != scope]
    assert get(sim, path, others).status_code == 403
    assert get(sim, path, [scope]).status_code in (200, 404)
    assert get(sim, path, [scope.replace("read", "write")]).status_code in (200, 404)


def test_feed_shows_what_the_scopes_allow(sim: Simulator) -> None:
    """Events outside the token's scopes are left out; without any scope the feed is 403."""
    pid = sim.world.new_proposal()
    cid = sim.world.new_conversation(proposal_id=pid)
    sim.world.add_message(cid, "hi")
    types = [
        {event["type"].split(".")[0] for event in get(sim, "/updates", [scope], limit=200).json()["events"]}
        for scope in ("messages:read", "proposals:read", "jobs:read")
    ]
    assert types == [{"message"}, {"proposal"}, set()]
    assert get(sim, "/updates", []).status_code == 403


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/messages", {"limit": "0"}),
        ("/messages", {"limit": "101"}),
        ("/messages", {"limit": "many"}),
        ("/messages", {"filter": "none"}),
        ("/messages", {"unreadOnly": "yes"}),
        ("/messages", {"cursor": "made up"}),
        ("/updates", {"limit": "201"}),
        ("/updates", {"cursor": "abc"}),
        ("/jobs/mine", {"limit": "101"}),
    ],
)
def test_invalid_parameters(api: httpx.Client, path: str, query: dict[str, str]) -> None:
    """An invalid parameter is 400 and its name stands in the issues."""
    reply = api.get(path, params=query)
    assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST")
    assert reply.json()["details"]["issues"][0]["path"] == list(query)


def test_cursor_belongs_to_its_walk(sim: Simulator, api: httpx.Client) -> None:
    """A cursor of one direction is refused in the other."""
    cid = sim.world.longest()
    cursor = api.get("/messages", params={"conversationId": cid}).json()["nextCursor"]
    query = {"conversationId": cid, "cursor": cursor, "direction": "newer"}
    assert api.get("/messages", params=query).status_code == 400


def test_what_is_not_ours(sim: Simulator, api: httpx.Client) -> None:
    """Somebody else's job and proposal are 403, unknown ones 404."""
    foreign = next(job for job in sim.world.jobs.values() if job.owner != sim.world.viewer)
    assert api.get(f"/jobs/{foreign.id}/proposals").status_code == 403
    assert api.get(f"/proposals/{foreign.proposal_ids[0]}").status_code == 403
    assert api.get(f"/proposals/{foreign.proposal_ids[0]}/interview").status_code == 403
    assert api.post(f"/proposals/{foreign.proposal_ids[0]}/conversation").status_code == 403
    for path in ("/proposals/x", "/proposals/x/interview", "/jobs/x/proposals", "/contracts/x", "/nothing"):
        assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"conversationId": "%s"}', 400),
        (b'{"conversationId": "%s", "content": ""}', 400),
        (b'{"conversationId": "%s", "content": "' + b"x" * 10_001 + b'"}', 400),
        (b'{"conversationId": "%s", "content": "' + b"x" * 10_000 + b'"}', 201),
        (b'{"conversationId": "none", "content": "x"}', 404),
        (b'{"conversationId": "%s", "content": "BLOCKED-BY-POLICY"}', 403),
    ],
)
def test_sending_mistakes(sim: Simulator, api: httpx.Client, body: bytes, status: int) -> None:
    """A message that can't be sent is refused as the document says."""
    cid = sim.world.new_conversation()
    assert api.post("/messages", content=body.replace(b"%s", cid.encode())).status_code == status


def test_sending_where_it_is_not_allowed(sim: Simulator, api: httpx.Client) -> None:
    """Read-only and blocked conversations are 409 with their reason, left ones 403."""
    cid = sim.world.new_conversation()
    message = {"conversationId": cid, "content": "x"}
    for name, reason in (("read_only", "read_only_conversation"), ("blocked", "message_blocked")):
        setattr(sim.world.conversations[cid], name, True)
        reply = api.post("/messages", json=message)
        assert (reply.status_code, reply.json()["details"]["reason"]) == (409, reason)
        setattr(sim.world.conversations[cid], name, False)
    sim.world.leave_conversation(cid)
    assert api.post("/messages", json=message).status_code == 403


def test_writing_needs_scope_and_claim(sim: Simulator) -> None:
    """Without the scope, or before the account is claimed, writing is 403; the latter names the way out."""
    cid = sim.world.new_conversation()
    replies = []
    for token in (sim.world.add_token(["messages:read"]), sim.world.add_token(claimed=False)):
        headers = {"Authorization": f"Bearer {token}"}
        message = {"conversationId": cid, "content": "x"}
        replies.append(httpx.post(f"{sim.url}/api/public/v1/messages", json=message, headers=headers))
    assert [reply.status_code for reply in replies] == [403, 403]
    assert replies[1].json()["details"]["reason"] == "account_claim_required"
    assert replies[1].json()["details"]["claimUrl"]


def test_the_candidates_own_view(sim: Simulator) -> None:
    """A candidate sees only their conversation, theirs as their own, and may not speak first."""
    pid = sim.world.new_proposal()
    cid = sim.world.new_conversation(proposal_id=pid)
    user = sim.world.proposals[pid].candidate.id
    headers = {"Authorization": f"Bearer {sim.world.add_token(user_id=user)}"}
    with httpx.Client(base_url=f"{sim.url}/api/public/v1", headers=headers) as client:
        message = {"conversationId": cid, "content": "hello"}
        assert client.post("/messages", json=message).json()["details"]["reason"] == "employer_first_message_required"
        sim.world.add_message(cid, "welcome", from_viewer=True)
        assert client.post("/messages", json=message).json()["message"]["isFromViewer"] is True
        (entry,) = client.get("/messages").json()["conversations"]
        assert (entry["id"], entry["unreadCount"], entry["needsReplyCount"]) == (cid, 0, 0)
        assert sim.world.conversations[cid].unread == 1
        assert client.post(f"/proposals/{pid}/conversation").status_code == 403
    assert [entry["isFromViewer"] for entry in sim.world.truth()["messages"][cid]] == [True, False]
    assert [entry["isFromViewer"] for entry in sim.world.truth(user)["messages"][cid]] == [False, True]
