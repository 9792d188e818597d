"""Connections: kept, dropped, cancelled and through proxies."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from syncd.errors import (
    UnreachableError,
)
from syncd.sources.http import PoliteClient, find_proxy

pytestmark = pytest.mark.anyio

OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]

TOKEN = "ot_pat_abc_verysecret"


async def test_post_avoids_stale_connections(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A POST takes a connection of its own: one kept alive may be dead already, and then nobody knows what arrived."""
    patient = {"connect_timeout": 60.0, "read_timeout": 60.0}  # a busy machine must not make it try again
    async with raw_server(reply(b"{}")) as server, open_client(server.url, limits=patient) as client:
        await client.get_json("/")
        await client.get_json("/")
        assert (server.connections, len(server.requests)) == (1, 2)
        await client.post_json("/")
        assert server.connections == 2


async def test_dropped_connections(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """After `drop_connections` the next request connects anew."""
    async with raw_server(reply(b"{}")) as server, open_client(server.url) as client:
        await client.get_json("/")
        client.drop_connections()
        await client.get_json("/")
        assert server.connections == 2


async def test_connections_dropped_in_use(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A connection dropped while it is in use brings its answer, and is not used again."""
    slow = reply(b" " * 100_000 + b"{}")
    async with raw_server(slow) as server, open_client(server.url) as client:
        answer = asyncio.create_task(client.get_json("/"))
        await server.wait_for(1)
        client.drop_connections()
        assert (await answer).body == {}
        await client.get_json("/")
        assert server.connections == 2


async def test_cancelled_requests(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """Requests cancelled in flight leave every turn usable."""
    async with raw_server(b"") as server, open_client(server.url, concurrency=2) as client:
        for _ in range(3):
            tasks = [asyncio.create_task(client.get_json("/")) for _ in range(4)]
            await server.wait_for(2)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
            await server.wait_for_open(0)
            server.requests.clear()
        server.replies = [reply(b"{}")]
        await asyncio.gather(*(client.get_json("/") for _ in range(8)))


async def test_connections_of_their_own(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """What is sent over a connection of its own closes it, and the one that is kept stays."""
    async with raw_server(reply(b"{}")) as server, open_client(server.url, concurrency=2) as client:
        for _ in range(5):
            await client.post_json("/")
            await client.get_json("/")
        assert server.connections == 6
        await server.wait_for_open(1)


async def test_proxy_is_not_for_loopback(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy is used, but not on the way to this machine."""
    async with raw_server(reply(b'{"from": "proxy"}')) as proxy, raw_server(reply(b"{}")) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        async with open_client("http://far.example") as client:
            assert (await client.get_json("/x")).body == {"from": "proxy"}
        async with open_client(server.url) as client:
            assert (await client.get_json("/x")).body == {}
        assert proxy.requests[0].startswith(b"GET http://far.example/x HTTP/1.1")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names no proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("setting", "value", "base_url", "proxy"),
    [
        ("https_proxy", "http://proxy:1", "https://far.example", "http://proxy:1"),
        ("https_proxy", "http://proxy:1", "http://far.example", None),
        ("ALL_PROXY", "http://proxy:1", "http://far.example:8080/api", "http://proxy:1"),
        ("all_proxy", "proxy:1", "https://far.example", "http://proxy:1"),
        ("all_proxy", "https://proxy:1", "https://far.example", "https://proxy:1"),
        ("all_proxy", "http://proxy:1", "https://localhost:1", None),
        ("all_proxy", "http://proxy:1", "https://a.localhost", None),
        ("all_proxy", "http://proxy:1", "http://127.0.0.2", None),
        ("all_proxy", "http://proxy:1", "http://[::1]:8080", None),
        ("all_proxy", "", "http://far.example", None),
    ],
)
def test_which_proxy(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, base_url: str, proxy: str | None
) -> None:
    """The environment's proxy for the address's scheme is used, else that for all; none for this machine."""
    monkeypatch.setenv(setting, value)
    assert find_proxy(base_url) == proxy


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("names", ["far.example", ".example", "other.test, far.example:8080", "*"])
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    """What `no_proxy` names is reached without a proxy."""
    monkeypatch.setenv("all_proxy", "http://proxy:1")
    monkeypatch.setenv("no_proxy", names)
    assert find_proxy("http://far.example:8080/api") is None
    assert (find_proxy("http://near.test") is None) == (names == "*")


@pytest.mark.usefixtures("no_proxies")
async def test_a_proxy_with_a_password(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy gets the password of its address, and one that refuses us is an error that does not repeat it."""
    async with raw_server(reply(b"{}"), reply(b"no", "407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("all_proxy", proxy.url.replace("//", "//me:pa55word@"))
        async with open_client("http://far.example") as client:
            await client.get_json("/")
        async with open_client("https://far.example", limits={"attempts": 1}) as client:
            with pytest.raises(UnreachableError, match="any proxy") as caught:
                await client.post_json("/")
    assert caught.value.reason == "connect"
    assert "pa55word" not in str(caught.value)
    plain, tunnel = (head.lower().split(b"\r\n") for head in proxy.requests)
    assert (plain[0], tunnel[0]) == (b"get http://far.example/ http/1.1", b"connect far.example:443 http/1.1")
    secret = b"proxy-authorization: basic " + b64encode(b"me:pa55word").lower()
    assert secret in plain
    assert secret in tunnel


async def test_unusable_proxy(open_client: OpenClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that can't be used is an error of the connection, without the proxy's password."""
    monkeypatch.setenv("ALL_PROXY", "gopher://me:pa55word@proxy.example")
    async with open_client("http://far.example") as client:
        with pytest.raises(UnreachableError, match="environment names a proxy") as caught:
            await client.get_json("/")
    assert "pa55word" not in str(caught.value)


async def test_unusable_header(open_client: OpenClient) -> None:
    """A header that can't be sent is an error that does not repeat it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        async with open_client(url, headers=lambda: {"X-Proxy-Key": "k3y\nsecret"}) as client:
            with pytest.raises(UnreachableError) as caught:
                await client.get_json("/")
    assert "k3y" not in str(caught.value)
