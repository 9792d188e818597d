"""The simulator as a server: starting, stopping, steering it from another process."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest

from syncd.simulator import Simulator, World

SERVE = """
from syncd.simulator import serve
serve(announce=lambda text: print(text, flush=True), seed=3, conversations=20, messages=200, live=True)
"""


def test_starts_and_stops_again_and_again() -> None:
    """A server answers as soon as it has started; stopped, it leaves no thread, and its world can be served again."""
    world = World.generate(1, conversations=5, messages=20)
    for _ in range(5):
        with Simulator(world) as sim:
            assert httpx.get(f"{sim.url}/api/public/v1/openapi.json").status_code == 200
    assert "simulator" not in {thread.name for thread in threading.enumerate()}


def test_pause_refuses_connections(sim: Simulator, api: httpx.Client) -> None:
    """A paused server refuses connections; resumed, it answers at the same address."""
    url = sim.url
    sim.pause()
    with pytest.raises(httpx.TransportError):
        api.get("/messages")
    with pytest.raises(httpx.ConnectError):
        api.get("/messages")
    sim.resume()
    assert sim.url == url
    assert api.get("/messages").status_code == 200


def test_request_log(sim: Simulator, api: httpx.Client) -> None:
    """The log tells who asked what and how it was answered, and can be waited for."""
    api.get("/messages", params={"limit": 3})
    api.get("/proposals/none")
    first, second = sim.requests.wait_for(2)
    assert (first.method, first.path, first.query, first.status) == ("GET", "/messages", {"limit": "3"}, 200)
    assert first.token_id == sim.world.tokens[sim.token].public_id
    assert first.at <= second.at
    assert (sim.requests.count(status=404), sim.requests.count(listing=True), len(sim.requests)) == (1, 1, 2)
    with pytest.raises(TimeoutError, match="2 of 3"):
        sim.requests.wait_for(3, timeout=0.05)
    sim.requests.clear()
    assert len(sim.requests) == 0


def test_steering_over_http(sim: Simulator, api: httpx.Client) -> None:
    """Another process can let things happen, order faults, turn quirks and read the truth and the log."""
    with httpx.Client(base_url=f"{sim.url}/_simulator") as control:
        info = control.get("/info").json()
        assert info == {"url": sim.url, "token": sim.token, "viewerUserId": sim.world.viewer}
        cid = control.post("/happening", json={"name": "new_conversation"}).json()["result"]
        arguments = {"conversation_id": cid, "text": "hi", "created_at": "2026-06-01T00:00:00Z"}
        control.post("/happening", json={"name": "add_message", "arguments": arguments})
        assert control.get("/truth").json() == sim.world.truth()
        assert control.get("/truth").json()["messages"][cid][0]["createdAt"] == "2026-06-01T00:00:00.000Z"
        control.post("/fault", json={"name": "status", "arguments": {"code": 503}})
        assert [api.get("/messages").status_code for _ in range(2)] == [503, 200]
        control.post("/fault", json={"name": "status", "arguments": {"code": 503}})
        control.delete("/fault")
        assert api.get("/messages").status_code == 200
        control.post("/quirks", json={"page_order": "newest"})
        assert sim.quirks.page_order == "newest"
        assert [record["status"] for record in control.get("/requests").json()] == [503, 200, 200]


def test_steering_mistakes(sim: Simulator) -> None:
    """A wrong name or argument is 400 and says what is wrong; what is not there is 404."""
    with httpx.Client(base_url=f"{sim.url}/_simulator") as control:
        wrong = control.post("/happening", json={"name": "truth"})
        assert (wrong.status_code, "add_message" in wrong.json()["error"]) == (400, True)
        assert control.post("/happening", json={"name": "touch", "arguments": {"nobody": 1}}).status_code == 400
        assert control.post("/fault", json={"name": "clear"}).status_code == 400
        assert control.post("/quirks", json={"page": 1}).status_code == 400
        assert control.get("/nothing").status_code == 404


def test_scenario_plays(sim: Simulator) -> None:
    """While a scenario plays, the world goes on by itself, until the simulator stops."""
    before = sim.world.truth()
    assert sim.play(every=0.01).wait_for(5)
    sim.stop()
    assert sim.world.truth() != before
    assert "scenario" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def served() -> Iterator[subprocess.Popen[str]]:
    """A simulator in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_a_signal(served: subprocess.Popen[str], number: signal.Signals) -> None:
    """`serve` says where it is and how to use it, answers, and ends with 0 at a signal."""
    assert served.stdout is not None
    lines = [served.stdout.readline().strip() for _ in range(5)]
    url = lines[2].removeprefix("export OT_API_BASE_URL=")
    token = lines[3].removeprefix("export OT_API_TOKEN=")
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{url}/api/public/v1/auth/me", headers=headers).status_code == 200
    os.kill(served.pid, number)
    assert served.wait(5) == 0
