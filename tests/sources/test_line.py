"""The connection beneath httpx, against every way in which a server may frame its answer."""

import gzip
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from syncd.sources.http import PoliteClient

pytestmark = pytest.mark.anyio

OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]

_BODY = b'{"a":1}'
_ZIPPED = gzip.compress(_BODY)
_LENGTH = b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n" + _LENGTH, True, id="length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n%b\r\n4\r\n%b\r\n0\r\n\r\n", True, id="chunks"
        ),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + _LENGTH, True, id="hints"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(_ZIPPED), _ZIPPED),
            True,
            id="gzip",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + _LENGTH, False, id="last"),
        pytest.param(b"HTTP/1.0 200 OK\r\n" + _LENGTH, False, id="old"),
    ],
)
async def test_framing(open_client: OpenClient, raw_server: OpenRawServer, answer: bytes, *, kept: bool) -> None:
    """The whole body comes however it is framed, and the connection is used again where the server allows that."""
    if b"%b" in answer:
        answer = answer.replace(b"%b", _BODY[:3], 1).replace(b"%b", _BODY[3:], 1)
    async with raw_server(answer) as server, open_client(server.url) as client:
        for _ in range(3):
            assert (await client.get_json("/")).body == {"a": 1}
        assert server.connections == (1 if kept else 3)


async def test_an_answer_nobody_asked_for(open_client: OpenClient, raw_server: OpenRawServer) -> None:
    """What a server sends too much is never taken for the answer to the next request; that one connects anew."""
    first, other = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"
    async with raw_server(first + other, first) as server, open_client(server.url) as client:
        assert [(await client.get_json("/")).body for _ in range(2)] == [1, 1]
        assert server.connections == 2


async def test_an_answer_ahead_of_its_request(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Callable[..., bytes]
) -> None:
    """What comes while nothing is asked ends the connection, a time-out's goodbye as well."""
    async with raw_server(reply(b"1")) as server, open_client(server.url) as client:
        assert (await client.get_json("/")).body == 1
        await server.push(reply(b"2", "408 Request Timeout"))
        assert (await client.get_json("/")).body == 1
        assert server.connections == 2
