"""What goes wrong on the wire, and what the client makes of it."""

import gzip
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from syncd.errors import (
    FetchError,
    ProtocolError,
    UnreachableError,
)
from syncd.sources.http import PoliteClient

pytestmark = pytest.mark.anyio

OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]

TOKEN = "ot_pat_abc_verysecret"


async def test_a_good_answer(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A good answer comes with the server's time and request id, in one request that says who asks."""
    good = reply(b'{"ok": 1}', "200 OK", "Date: Fri, 12 Jun 2026 10:00:00 GMT", "X-Request-Id: req_1")
    async with raw_server(good) as server, open_client(server.url, token=lambda: TOKEN) as client:
        answer = await client.get_json("/things", {"cursor": "a b/+"})
        assert (answer.body, answer.server_time) == ({"ok": 1}, "2026-06-12T10:00:00.000Z")
        assert (answer.status, answer.request_id) == (200, "req_1")
        (request,) = server.requests
        target = httpx.URL(request.split()[1].decode())
        assert (request.split()[0], target.path, dict(target.params)) == (b"GET", "/things", {"cursor": "a b/+"})
        assert f"authorization: bearer {TOKEN}".encode() in request.lower()
        assert b"user-agent: syncd/" in request.lower()
        assert (client.cost.requests, client.cost.received_bytes, client.cost.by_status) == (1, 9, {200: 1})


@pytest.mark.parametrize("date", ["", "Date: soon", "Date: Fri, 99 Jun 2026 10:00:00 GMT"])
async def test_our_clock(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, date: str) -> None:
    """Where the server names no readable time, our clock's stands."""
    async with raw_server(reply(b"{}", "200 OK", *filter(None, [date]))) as server, open_client(server.url) as client:
        before = client._clock.now()
        assert before <= (await client.get_json("/")).server_time <= client._clock.now()


async def test_compressed_bytes(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """Bytes are counted as they were on the wire."""
    body = gzip.compress(b'{"text": "' + b"a" * 10_000 + b'"}')
    async with (
        raw_server(reply(body, "200 OK", "Content-Encoding: gzip")) as server,
        open_client(server.url) as client,
    ):
        assert len((await client.get_json("/")).body["text"]) == 10_000
        assert client.cost.received_bytes == len(body)


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


async def test_long_headers(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A header of 50 kB, as some gateways add, is no trouble."""
    async with (
        raw_server(reply(b"{}", "200 OK", "X-Policy: " + "a" * 50_000)) as server,
        open_client(server.url) as client,
    ):
        assert (await client.get_json("/")).body == {}


async def test_headers_that_are_no_ascii(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """Bytes in a header that are no ASCII are no trouble."""
    answer = reply(b"{}").replace(b"\r\n\r\n", b"\r\nX-Request-Id: caf\xe9\r\n\r\n")
    async with raw_server(answer) as server, open_client(server.url) as client:
        assert ((await client.get_json("/")).request_id or "").startswith("caf")


async def test_endless_body(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A body beyond the limit is a ProtocolError at once, compressed ones included."""
    bomb = reply(gzip.compress(b" " * 1_000_000), "200 OK", "Content-Encoding: gzip")
    async with raw_server(bomb) as server, open_client(server.url, limits={"body_limit": 100_000}) as client:
        with pytest.raises(ProtocolError) as caught:
            await client.get_json("/")
        assert (caught.value.reason, client.cost.requests) == ("too_large", 1)


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
