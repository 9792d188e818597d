"""Every fault over a real connection."""

import asyncio
import threading
import time
from typing import Any

import httpx
import pytest

from syncd.simulator import RequestRecord, Simulator


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset", httpx.ReadError),
        ("reset_midway", httpx.ReadError),
        ("truncate", httpx.RemoteProtocolError),
        ("lose_reply", httpx.ReadError),
        ("stall", httpx.ReadTimeout),
    ],
)
def test_broken_connections(sim: Simulator, api: httpx.Client, fault: str, error: type[Exception]) -> None:
    """A broken connection is the client's own network error, once; the next request is fine."""
    getattr(sim.faults, fault)()
    with pytest.raises(error):
        api.get("/messages", timeout=0.3)
    assert api.get("/messages").status_code == 200
    assert [record.fault for record in sim.requests] == [fault, None]
    assert sim.requests[0].status is None


@pytest.mark.parametrize("retry_after", [3, 2.5, "7"])
def test_rate_limit_in_details(sim: Simulator, api: httpx.Client, retry_after: Any) -> None:
    """The wait stands in the details exactly as given."""
    sim.faults.rate_limit(retry_after)
    reply = api.get("/messages")
    assert (reply.status_code, reply.json()["code"]) == (429, "RATE_LIMITED")
    assert reply.json()["details"] == {"retryAfterSeconds": retry_after}
    assert "retry-after" not in reply.headers


def test_rate_limit_elsewhere(sim: Simulator, api: httpx.Client) -> None:
    """The wait may stand in a header, or nowhere."""
    sim.faults.rate_limit(9, "header")
    sim.faults.rate_limit(9, "nowhere")
    first, second = api.get("/messages"), api.get("/messages")
    assert (first.headers["retry-after"], "details" in first.json()) == ("9", False)
    assert ("retry-after" in second.headers, "details" in second.json()) == (False, False)


@pytest.mark.parametrize("code", [401, 403, 404, 409, 500, 503])
def test_errors(sim: Simulator, api: httpx.Client, code: int) -> None:
    """An error has the API's shape, a requestId and the reason asked for."""
    sim.faults.status(code, reason="account_claim_required")
    reply = api.get("/messages")
    assert reply.status_code == code
    assert list(reply.json()) == ["error", "code", "requestId", "details"]
    assert reply.json()["details"]["reason"] == "account_claim_required"


def test_wrong_bodies(sim: Simulator, api: httpx.Client) -> None:
    """HTML, an empty object, JSON that breaks off and a body of one's own arrive whole."""
    sim.faults.gateway()
    sim.faults.html()
    sim.faults.empty_object()
    sim.faults.cut_json()
    sim.faults.body({"messages": "none"}, status=418)
    replies = [api.get("/messages") for _ in range(5)]
    assert [reply.status_code for reply in replies] == [502, 200, 200, 200, 418]
    assert all(reply.headers["content-type"] == "text/html" for reply in replies[:2])
    assert replies[2].json() == {}
    assert replies[3].text.startswith('{"conversations":[')
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        replies[3].json()
    assert replies[4].json() == {"messages": "none"}


def test_delay(sim: Simulator, api: httpx.Client) -> None:
    """A delayed answer is the right one, late."""
    sim.faults.delay(0.2)
    started = time.monotonic()
    assert len(api.get("/messages").json()["conversations"]) == 20
    assert time.monotonic() - started >= 0.2


def test_lost_reply_was_carried_out(sim: Simulator, api: httpx.Client) -> None:
    """A message whose reply was lost is in the conversation; after a plain reset it is not."""
    cid = sim.world.new_conversation()
    sim.faults.lose_reply(method="POST")
    sim.faults.reset(method="POST")
    for text in ("lost", "never"):
        with pytest.raises(httpx.ReadError):
            api.post("/messages", json={"conversationId": cid, "content": text})
    assert [message.content for message in sim.world.conversations[cid].messages] == ["lost"]


def test_repeated_cursor(sim: Simulator, api: httpx.Client) -> None:
    """The cursor sent comes back."""
    first = api.get("/messages", params={"limit": 5}).json()["nextCursor"]
    sim.faults.repeat_cursor()
    assert api.get("/messages", params={"limit": 5, "cursor": first}).json()["nextCursor"] == first


def test_cursor_cycle(sim: Simulator, api: httpx.Client) -> None:
    """The cursors go A, B, A, B and never end."""
    sim.faults.cycle_cursor(listing=True)
    cursors: list[str] = []
    for _ in range(5):
        query = {"limit": "5", **({"cursor": cursors[-1]} if cursors else {})}
        cursors.append(api.get("/messages", params=query).json()["nextCursor"])
    assert cursors[0] == cursors[2] == cursors[4] != cursors[1] == cursors[3]


def test_dead_null_and_empty(sim: Simulator, api: httpx.Client) -> None:
    """A cursor may be dead, an end feigned, a page emptied."""
    sim.faults.dead_cursor()
    assert api.get("/messages").status_code == 200
    assert api.get("/messages", params={"cursor": "any"}).status_code == 400
    sim.faults.null_cursor()
    page = api.get("/messages", params={"limit": 5}).json()
    assert (len(page["conversations"]), page["nextCursor"]) == (5, None)
    sim.faults.empty_page()
    assert api.get("/messages").json() == {"conversations": [], "nextCursor": None}


def test_matching(sim: Simulator, api: httpx.Client) -> None:
    """A fault strikes only what it matches, from the request it waits for, as often as it is told."""
    one, other = list(sim.world.conversations)[:2]
    fault = sim.faults.status(500, conversation=one, direction="newer", skip=1, times=2)

    def ask(cid: str, direction: str) -> int:
        return api.get("/messages", params={"conversationId": cid, "direction": direction}).status_code

    assert [ask(other, "newer"), ask(one, "older")] == [200, 200]
    assert [ask(one, "newer") for _ in range(4)] == [200, 500, 500, 200]
    assert fault.hits == 2
    assert sim.faults.pending == []
    assert sim.requests.count(status=500) == 2


def test_matching_by_path_and_token(sim: Simulator, api: httpx.Client) -> None:
    """A fault may be for one path, one proposal or one token."""
    pid = sim.world.new_proposal()
    sim.faults.status(503, proposal=pid)
    sim.faults.status(500, path="^/jobs", times=None)
    sim.faults.status(401, token=sim.world.add_token())
    assert api.get("/messages").status_code == 200
    assert api.get(f"/proposals/{pid}").status_code == 503
    assert [api.get("/jobs/mine").status_code for _ in range(2)] == [500, 500]
    sim.faults.clear()
    assert api.get("/jobs/mine").status_code == 200


def test_hook_holds_an_answer(sim: Simulator, api: httpx.Client) -> None:
    """The hook sees a request before it is answered, so that a test can change the world in between."""
    cid = sim.world.new_conversation()

    def hook(record: RequestRecord) -> None:
        if record.conversation_id == cid:
            sim.world.add_message(cid, "just in time")

    sim.on_request = hook
    page = api.get("/messages", params={"conversationId": cid}).json()
    assert [message["content"] for message in page["messages"]] == ["just in time"]


def test_async_hook_ends_with_the_client(sim: Simulator, api: httpx.Client) -> None:
    """A hook that never returns ends when the client hangs up."""

    async def hook(record: RequestRecord) -> None:
        assert record.path == "/messages"
        await asyncio.Event().wait()

    sim.on_request = hook
    with pytest.raises(httpx.ReadTimeout):
        api.get("/messages", timeout=0.2)
    sim.requests.wait_for(1, path="/messages")


def test_stop_ends_a_stall(sim: Simulator) -> None:
    """Stopping breaks a stalled request at once, and its client sees the connection end."""
    sim.faults.stall()
    begun = threading.Event()
    sim.on_request = lambda _: begun.set()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            httpx.get(f"{sim.url}/api/public/v1/messages", timeout=None)  # noqa: S113 - the server is to end it
        except httpx.TransportError as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(60)
    sim.stop()
    thread.join(60)
    assert len(errors) == 1


def test_rewritten_answers(sim: Simulator, api: httpx.Client) -> None:
    """The right answer comes with other bytes in it, in so many places."""
    sim.faults.rewrite(r'"id":"[^"]*"', '"id":NaN', 2, path="^/messages")
    body = api.get("/messages").text
    assert body.count('"id":NaN') == 2
    assert api.get("/messages").text.count("NaN") == 0
