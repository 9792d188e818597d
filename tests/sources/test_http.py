"""What the client asks, when, how often, and what it makes of faults and refusals."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from syncd.errors import (
    AuthError,
    ConfigError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
    UnreachableError,
)
from syncd.simulator import Simulator
from syncd.sources.http import PoliteClient, Renewable, Turns
from syncd.sources.openats import OpenATS
from syncd.sources.opentrain import OpenTrain

pytestmark = pytest.mark.anyio


OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]
TOKEN = "ot_pat_abc_verysecret"
PASSING = {
    "502": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\n\r\n<html></html>",
    "500": b'HTTP/1.1 500 Oops\r\nContent-Length: 25\r\n\r\n{"code":"INTERNAL_ERROR"}',
    "closed": None,
    "truncated": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{"messages": [',
    "cut JSON": b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"messages": [',
    "HTML": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>",
    "empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\nConnection: close\r\n\r\n",
    "bad gzip": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\nnope",
}
OpenSource = Callable[..., AbstractAsyncContextManager[OpenTrain]]


async def test_a_good_answer(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A good answer comes with the server's time and request id, in one request that says who asks."""
    good = reply(b'{"ok": 1}', "200 OK", "Date: Fri, 12 Jun 2026 10:00:00 GMT", "X-Request-Id: req_1")
    async with raw_server(good) as server, open_client(server.url, token=lambda: TOKEN) as client:
        answer = await client.get_json("/things", {"cursor": "a b/+"})
        assert (answer.body, answer.server_time) == ({"ok": 1}, "2026-06-12T10:00:00.000Z")
        assert (answer.status, answer.request_id) == (200, "req_1")
        (request,) = server.requests
        target = urlsplit(request.split()[1].decode())
        assert (request.split()[0], target.path, parse_qsl(target.query)) == (b"GET", "/things", [("cursor", "a b/+")])
        assert f"authorization: bearer {TOKEN}".encode() in request.lower()
        assert b"user-agent: syncd/" in request.lower()
        assert (client.cost.requests, client.cost.received_bytes, client.cost.by_status) == (1, 9, {200: 1})


@pytest.mark.parametrize("date", ["", "Date: soon", "Date: Fri, 99 Jun 2026 10:00:00 GMT"])
async def test_our_clock(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, date: str) -> None:
    """Where the server names no readable time, our clock's stands."""
    async with raw_server(reply(b"{}", "200 OK", *filter(None, [date]))) as server, open_client(server.url) as client:
        before = client._clock.now()
        assert before <= (await client.get_json("/")).server_time <= client._clock.now()


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_passing_faults(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, fault: bytes) -> None:
    """A GET survives two passing faults in a row, and not a third."""
    async with raw_server(fault, fault, reply(b"{}")) as server, open_client(server.url) as client:
        assert (await client.get_json("/")).body == {}
        assert (len(server.requests), client.cost.requests) == (3, 3)
    async with raw_server(fault) as server, open_client(server.url) as client:
        with pytest.raises((UnreachableError, ProtocolError)):
            await client.get_json("/")
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ("502", UnreachableError, "http_502"),
        ("500", UnreachableError, "INTERNAL_ERROR"),
        ("closed", UnreachableError, "truncated"),
        ("truncated", UnreachableError, "truncated"),
        ("no HTTP", UnreachableError, "truncated"),
        ("bad gzip", UnreachableError, "truncated"),
        ("cut JSON", ProtocolError, "not_json"),
        ("HTML", ProtocolError, "not_json"),
        ("empty", ProtocolError, "not_json"),
    ],
)
async def test_reasons(
    open_client: OpenClient, raw_server: OpenRawServer, fault: str, kind: type[FetchError], reason: str
) -> None:
    """Each fault of the wire is an error of its kind with its reason."""
    async with raw_server(PASSING[fault]) as server, open_client(server.url, limits={"attempts": 1}) as client:
        with pytest.raises(kind) as caught:
            await client.get_json("/")
        assert caught.value.reason == reason


async def test_nobody_listens(open_client: OpenClient) -> None:
    """A refused connection is "connect": the request surely never left."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with open_client(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            for call in (client.get_json, client.post_json):
                with pytest.raises(UnreachableError) as caught:
                    await call("/")
                assert caught.value.reason == "connect"
        assert client.cost.requests == 6


@pytest.mark.parametrize(
    ("limits", "answer"),
    [
        ({"read_timeout": 0.05}, b""),
        ({"deadline": 0.05}, b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n..."),
    ],
    ids=["silent", "dripping"],
)
async def test_no_request_lasts_for_ever(
    open_client: OpenClient, raw_server: OpenRawServer, limits: dict[str, float], answer: bytes
) -> None:
    """A server that says nothing, or drips for ever, is a time-out after the time given."""
    async with raw_server(answer) as server, open_client(server.url, limits={**limits, "attempts": 2}) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.get_json("/")
        assert (caught.value.reason, client.cost.requests) == ("timeout", 2)


async def test_no_connection_in_time(open_client: OpenClient) -> None:
    """A connection that is not made in time is "connect", for a POST too: the request surely never left."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 - its only argument
            each.connect_ex(address)
        limits = {"connect_timeout": 0.05, "attempts": 1}
        async with open_client(f"http://127.0.0.1:{address[1]}", limits=limits) as client:
            for call in (client.get_json, client.post_json):
                with pytest.raises(UnreachableError) as caught:
                    await call("/")
                assert caught.value.reason == "connect"
        for each in waiting:
            each.close()


async def test_silence_after_a_post_is_a_lost_answer(open_client: OpenClient, raw_server: OpenRawServer) -> None:
    """A POST that arrived and gets no answer in time is "lost", however the time ends."""
    for limits in ({"read_timeout": 0.05}, {"deadline": 0.05}):
        async with raw_server(b"") as server, open_client(server.url, limits=limits) as client:
            with pytest.raises(UnreachableError) as caught:
                await client.post_json("/messages", {"content": "Hello"})
            assert (caught.value.reason, len(server.requests)) == ("lost", 1)


async def test_post_without_answer(open_client: OpenClient, raw_server: OpenRawServer) -> None:
    """A POST whose answer is lost is sent once, and its error says that it may have arrived."""
    async with raw_server(None) as server, open_client(server.url) as client:
        with pytest.raises(UnreachableError, match="may have taken this") as caught:
            await client.post_json("/messages", {"content": "Hello there"})
        assert (caught.value.reason, len(server.requests)) == ("lost", 1)
        assert server.requests[0].endswith(b'{"content":"Hello there"}')


@pytest.mark.parametrize("fault", ["502", "500", "HTML", "cut JSON", "truncated"])
async def test_post_is_never_repeated(open_client: OpenClient, raw_server: OpenRawServer, fault: str) -> None:
    """A POST that was answered in any broken way is not sent again."""
    async with raw_server(PASSING[fault]) as server, open_client(server.url) as client:
        with pytest.raises((UnreachableError, ProtocolError)):
            await client.post_json("/messages", {})
        assert len(server.requests) == 1


async def test_rotated_token(simulator: Simulator, open_source: OpenSource) -> None:
    """A refused token is asked for again once; where it was rotated, the request goes on with the new one."""
    tokens = ["ot_pat_old_one", simulator.token]
    async with open_source(token=lambda: tokens.pop(0)) as source:
        assert (await source.fetch_identity()).user_id == simulator.world.viewer
        await source.fetch_entries(None)
    assert ([record.status for record in simulator.requests.wait_for(3)], tokens) == ([401, 200, 200], [])


async def test_refused_token(simulator: Simulator, open_source: OpenSource) -> None:
    """A refused token that stays the same is an AuthError after one request."""
    async with open_source(token=lambda: "ot_pat_wrong_one") as source:
        with pytest.raises(AuthError) as caught:
            await source.fetch_entries(None)
    assert (caught.value.status, caught.value.reason, len(simulator.requests)) == (401, "UNAUTHORIZED", 1)
    assert caught.value.request_id


async def test_one_question_for_many(simulator: Simulator, open_source: OpenSource) -> None:
    """Requests that are refused together ask for the token together, once."""
    tokens = [simulator.token, "ot_pat_old_one"]
    asked: list[str] = []

    def ask() -> str:
        asked.append(tokens.pop())
        return asked[-1]

    async with open_source(token=ask) as source:
        await asyncio.gather(*(source.fetch_entries(None) for _ in range(8)))
    assert asked == ["ot_pat_old_one", simulator.token]


async def test_one_question_at_a_time() -> None:
    """Those who ask again while the question is open share its answer, even where the token stays the same."""
    asked: list[str] = []

    def ask() -> str:
        asked.append("ot_pat_same_one")
        return asked[-1]

    credentials = Renewable(ask)
    token = await credentials.current()
    assert await asyncio.gather(*(credentials.renewed(token) for _ in range(5))) == [token] * 5
    assert len(asked) == 2
    await credentials.renewed(token)
    assert len(asked) == 3


@pytest.mark.parametrize("token", ["", "  \n", "two\nlines", "žluť"])
async def test_impossible_token(simulator: Simulator, open_source: OpenSource, token: str) -> None:
    """A token that no header can carry is an AuthError, and nothing is sent."""
    async with open_source(token=lambda: token) as source:
        with pytest.raises(AuthError) as caught:
            await source.fetch_entries(None)
    assert (caught.value.reason, len(simulator.requests)) == ("no_token", 0)


async def test_no_token_to_be_had(open_source: OpenSource) -> None:
    """Where the token can't be had, the AuthError says why."""

    def ask() -> str:
        raise ConfigError("token_command failed: exit 2")

    async with open_source(token=ask) as source:
        with pytest.raises(AuthError, match="token_command failed: exit 2"):
            await source.fetch_entries(None)


@pytest.mark.parametrize(
    ("retry_after", "where", "seconds"),
    [(7, "details", 7), (2.5, "details", 2.5), ("3", "details", 3), (9, "header", 9), (9, "nowhere", 30)],
)
async def test_rate_limit(
    simulator: Simulator, open_source: OpenSource, retry_after: object, where: str, seconds: float
) -> None:
    """A 429 is a RateLimitedError with its wait, wherever that stands, and is not tried again."""
    simulator.faults.rate_limit(retry_after=retry_after, where=where)
    async with open_source() as source:
        with pytest.raises(RateLimitedError) as caught:
            await source.fetch_entries(None)
    assert (caught.value.retry_after, len(simulator.requests)) == (seconds, 1)


async def test_rate_limit_stops_those_that_wait(simulator: Simulator, open_source: OpenSource) -> None:
    """One 429 stops all requests that wait for their turn: they raise it without being sent."""
    simulator.faults.rate_limit(retry_after=7)
    async with open_source(concurrency=1) as source:
        outcomes = await asyncio.gather(*(source.fetch_entries(None) for _ in range(5)), return_exceptions=True)
        assert [getattr(outcome, "retry_after", None) for outcome in outcomes] == [7] * 5
        assert len(simulator.requests) == 1
        await source.fetch_entries(None)


async def test_rate_limit_stops_retries(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A request that is about to be tried again is not, once another one met a 429."""
    limited = reply(b'{"details": {"retryAfterSeconds": 7}}', "429 Slow down")
    async with (
        raw_server(reply(b"", "503 Busy"), limited, reply(b"{}")) as server,
        open_client(server.url) as client,
    ):
        clock: Any = client._clock
        clock.may_wake.clear()
        retrying = asyncio.create_task(client.get_json("/first"))
        await clock.asleep.wait()
        with pytest.raises(RateLimitedError):
            await client.get_json("/second")
        clock.may_wake.set()
        with pytest.raises(RateLimitedError):
            await retrying
        assert len(server.requests) == 2


async def test_outage_is_not_shared(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A request that fails for good leaves the others alone."""
    broken = reply(b"", "503 Busy")
    async with raw_server(broken, broken, broken, reply(b"{}")) as server, open_client(server.url) as client:
        with pytest.raises(UnreachableError):
            await client.get_json("/first")
        assert (await client.get_json("/second")).body == {}


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_rotated_header(raw_server: OpenRawServer, open_client: OpenClient, reply: Reply, status: str) -> None:
    """A proxy's refusal has its header asked for again: another one is used at once, the same one is no use."""
    keys = ["old", "new", "new"]
    refused = reply(b"no", status)
    async with (
        raw_server(refused, reply(b"{}"), refused) as server,
        open_client(server.url, headers=lambda: {"X-Proxy-Key": keys.pop(0)}) as client,
    ):
        await client.get_json("/")
        with pytest.raises((AuthError, ForbiddenError)):
            await client.get_json("/")
    lines = (line for head in server.requests for line in head.lower().split(b"\r\n"))
    sent = [line for line in lines if line.startswith(b"x-proxy-key")]
    assert (sent, keys) == ([b"x-proxy-key: old", b"x-proxy-key: new", b"x-proxy-key: new"], [])


class Queue:
    """Tasks that wait for their turn, and the order in which they got one."""

    def __init__(self, size: int) -> None:
        self.turns = Turns(size)
        self.served: list[str] = []
        self.leave = asyncio.Event()

    async def ask(self, name: str, urgency: int) -> None:
        """Take a turn and keep it until all may leave."""
        async with self.turns.take(urgency):
            self.served.append(name)
            await self.leave.wait()


async def _started(*waiting: asyncio.Task[None]) -> None:
    """Every task has come as far as it can."""
    for _ in range(3 * len(waiting)):
        await asyncio.sleep(0)


def test_the_most_urgent_is_next() -> None:
    """Who waits is served by urgency, and among equals in the order of coming."""

    async def story() -> list[str]:
        queue = Queue(1)
        wishes = (("first", 2), ("late", 2), ("later", 2), ("soon", 1), ("now", 0))
        tasks = [asyncio.create_task(queue.ask(*wish)) for wish in wishes]
        await _started(*tasks)
        assert queue.served == ["first"]
        queue.leave.set()
        await asyncio.gather(*tasks)
        return queue.served

    assert asyncio.run(story()) == ["first", "now", "soon", "late", "later"]


def test_no_more_than_may_go_at_once() -> None:
    """As many as may go are served at once, and no more."""

    async def story() -> int:
        queue = Queue(2)
        tasks = [asyncio.create_task(queue.ask(str(number), 0)) for number in range(5)]
        await _started(*tasks)
        served = len(queue.served)
        queue.leave.set()
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(story()) == 2


def test_a_turn_is_not_lost_with_who_is_cancelled() -> None:
    """One that is cancelled while it waits, or just as its turn has come, leaves its turn to the next."""

    async def story() -> list[str]:
        queue = Queue(1)
        queue.leave.set()
        async with queue.turns.take(0):
            tasks = {name: asyncio.create_task(queue.ask(name, 0)) for name in ("waits", "is given", "is next")}
            await _started(*tasks.values())
            tasks["waits"].cancel()
            await _started(tasks["waits"])
        tasks["is given"].cancel()  # the turn is its own, and it has not run since
        for name in ("waits", "is given"):
            with suppress(asyncio.CancelledError):
                await tasks[name]
        async with asyncio.timeout(5):
            await tasks["is next"]
        return queue.served

    assert asyncio.run(story()) == ["is next"]


@pytest.mark.parametrize("id_", ["", ".", "..", "a/b", "../auth/me", "a\\b", "..\\x", "\udc80"])
async def test_ids_that_would_change_the_path_are_not_asked_for(
    simulator: Simulator, open_client: OpenClient, id_: str
) -> None:
    """An id that a path can't hold as one segment is refused before anything is sent, whatever it belongs to."""
    async with open_client(simulator.url, token=lambda: simulator.token) as client:
        train, ats = OpenTrain(client), OpenATS(client)
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: train.fetch_proposal(id_),
            lambda: train.fetch_interview(id_),
            lambda: train.fetch_job_proposals(id_, None),
            lambda: train.open_conversation(id_),
            lambda: ats.fetch_chat("job", id_, None),
            lambda: ats.fetch_job(id_),
            lambda: ats.fetch_candidates(id_),
            lambda: ats.fetch_candidate(id_),
        )
        for call in calls:
            with pytest.raises(RejectedError, match="nothing was asked") as caught:
                await call()
            assert caught.value.reason == "unusable"
    assert len(simulator.requests) == 0


async def test_text_that_can_not_be_sent(simulator: Simulator, open_client: OpenClient) -> None:
    """Text that is no valid Unicode, as a command's argument may be, is refused before anything is sent."""
    async with open_client(simulator.url, token=lambda: simulator.token) as client:
        source = OpenTrain(client)
        with pytest.raises(RejectedError, match="Unicode"):
            await source.fetch_messages("c\udc80", "newer", None)
        with pytest.raises(RejectedError, match="Unicode"):
            await source.send_message("c1", "cut \ud83d")
    assert len(simulator.requests) == 0


@pytest.mark.parametrize(
    ("id_", "segment"), [("?x", "%3Fx"), ("#x", "%23x"), ("%2e%2e", "%252e%252e"), ("ü", "%C3%BC"), ("...", "...")]
)
async def test_other_ids_are_asked_for_as_one_segment(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, id_: str, segment: str
) -> None:
    """Every other id is one segment of the path that is asked, character by character."""
    async with raw_server(reply(b"{}", "404 Not Found")) as server, open_client(server.url) as client:
        with pytest.raises(NotFoundError):
            await OpenTrain(client).fetch_interview(id_)
    assert server.requests[0].split()[1].decode() == f"/api/public/v1/proposals/{segment}/interview"
