"""The simulated OpenATS has the oddities of the real one."""

from collections.abc import Iterator

import httpx
import pytest

from syncd.simulator import Simulator


@pytest.fixture
def http(sim: Simulator) -> Iterator[httpx.Client]:
    """A plain client of its API."""
    with httpx.Client(base_url=sim.openats_url, trust_env=False, verify=False) as client:  # noqa: S501 - plain HTTP
        yield client


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/chat/job/77", 200, '{"data":[]}'),
        ("/chat/candidate/77", 200, '{"data":[]}'),
        ("/chat/job/nonsense", 500, '{"error":"Failed to fetch job chat history"}'),
        ("/chat/job/99999999999", 500, '{"error":"Failed to fetch job chat history"}'),
        ("/jobs/77", 404, '{"error":"Job not found"}'),
        ("/candidates/77", 404, '{"error":"Candidate not found"}'),
    ],
)
def test_what_is_not_there_answers_oddly(http: httpx.Client, path: str, status: int, body: str) -> None:
    """An unknown chat is an empty one, a malformed id is a server error, an unknown job or candidate is a 404."""
    answer = http.get(path)
    assert (answer.status_code, answer.text) == (status, body)


def test_there_is_no_list_of_candidates(http: httpx.Client) -> None:
    """What is no route is a page for people."""
    answer = http.get("/candidates")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_an_etag_saves_the_body(http: httpx.Client, sim: Simulator) -> None:
    """A weak ETag answers 304 until something in the chat has changed."""
    etag = http.get("/chat/job/1").headers["etag"]
    again = http.get("/chat/job/1", headers={"If-None-Match": etag})
    assert (etag[:3], again.status_code, again.content) == ('W/"', 304, b"")
    sim.team.say("job", 1, "news")
    assert http.get("/chat/job/1", headers={"If-None-Match": etag}).status_code == 200


def test_newest_come_first_under_numbers_of_each_kind(http: httpx.Client) -> None:
    """Messages are newest first, and job and candidate messages are numbered apart."""
    job, candidate = (http.get(f"/chat/{kind}/1").json()["data"] for kind in ("job", "candidate"))
    assert [m["sentAt"] for m in job] == sorted((m["sentAt"] for m in job), reverse=True)
    assert {m["id"] for m in job} & {m["id"] for m in candidate}
    assert set(job[0]) == {
        "id",
        "message",
        "senderId",
        "sentAt",
        "isSystemMessage",
        "senderName",
        "senderAvatar",
    }


def test_a_database_that_is_down_leaves_the_server_healthy(http: httpx.Client, sim: Simulator) -> None:
    """Outside the API the server says that it is well, whatever its database does."""
    sim.team.is_down = True
    assert http.get("/jobs").status_code == 500
    assert http.get(f"{sim.url}/health").status_code == 200
