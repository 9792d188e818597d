"""Connections and what travels over them: kept, dropped, cancelled, through proxies, encrypted, compressed."""

import asyncio
import gzip
import socket
import ssl
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import (
    ProtocolError,
    UnreachableError,
)
from syncd.sources.http import PoliteClient, find_proxy

pytestmark = pytest.mark.anyio


OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]
TOKEN = "ot_pat_abc_verysecret"
_BODY = b'{"a":1}'
_ZIPPED = gzip.compress(_BODY)
_LENGTH = b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
BODY = b'{"text": "' + b"a" * 1000 + b'"}'
CERTIFICATE = Path(__file__).parent / "fixtures" / "localhost.pem"


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


async def test_compressed_bytes(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """Bytes are counted as they were on the wire."""
    body = gzip.compress(b'{"text": "' + b"a" * 10_000 + b'"}')
    async with (
        raw_server(reply(body, "200 OK", "Content-Encoding: gzip")) as server,
        open_client(server.url) as client,
    ):
        assert len((await client.get_json("/")).body["text"]) == 10_000
        assert client.cost.received_bytes == len(body)


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


@pytest.mark.parametrize(
    ("name", "body"),
    [
        pytest.param("gzip", gzip.compress(BODY[:7]) + gzip.compress(BODY[7:]), id="two members"),
        pytest.param("gzip", gzip.compress(BODY) + bytes(100), id="padded"),
        pytest.param("x-gzip", gzip.compress(BODY), id="old name"),
        pytest.param("GZip", gzip.compress(BODY), id="another case"),
        pytest.param("identity", BODY, id="no encoding"),
        pytest.param("", BODY, id="empty header"),
    ],
)
async def test_gzip_is_read_as_its_standard_has_it(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, name: str, body: bytes
) -> None:
    """A gzip body may have several members and padding, and its encoding two names."""
    async with (
        raw_server(reply(body, "200 OK", f"Content-Encoding: {name}")) as server,
        open_client(server.url) as client,
    ):
        assert len((await client.get_json("/")).body["text"]) == 1000
        assert b"accept-encoding: gzip\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("body", [gzip.compress(BODY)[:-9], gzip.compress(BODY) + b"more"], ids=["cut", "continued"])
async def test_gzip_that_breaks_off_is_asked_for_again(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, body: bytes
) -> None:
    """A gzip body without its end, or with something else behind it, is a passing fault."""
    broken = reply(body, "200 OK", "Content-Encoding: gzip")
    async with raw_server(broken, reply(b"{}")) as server, open_client(server.url) as client:
        assert (await client.get_json("/")).body == {}
    async with raw_server(broken) as server, open_client(server.url, limits={"attempts": 1}) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.get_json("/")
        assert caught.value.reason == "truncated"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(BODY))),
        ("gzip,identity", gzip.compress(BODY)),
        ("gzip\r\nContent-Encoding: gzip", gzip.compress(gzip.compress(BODY))),
        ("deflate", zlib.compress(BODY)),
        ("br", b"\x0b\x02\x80{}\x03"),
    ],
    ids=["twice", "listed", "two headers", "deflate", "brotli"],
)
async def test_encodings_that_were_not_asked_for_are_named(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, name: str, body: bytes
) -> None:
    """A body in any other encoding, or in more than one, is refused at once by an error that names it."""
    encoded = reply(body, "200 OK", f"Content-Encoding: {name}")
    async with raw_server(encoded) as server, open_client(server.url) as client:
        said = name.replace("\r\nContent-Encoding:", ",")
        with pytest.raises(ProtocolError, match=f'encoded as "{said}"') as caught:
            await client.get_json("/")
        assert (caught.value.reason, len(server.requests)) == ("encoding", 1)


async def test_a_huge_body_never_becomes_resident(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply
) -> None:
    """A small body that decodes to a gigabyte is refused before more than the bound of it was decoded."""
    packer, million = zlib.compressobj(9, wbits=31), bytes(1_000_000)
    bomb = reply(
        b"".join([*map(packer.compress, [million] * 1000), packer.flush()]), "200 OK", "Content-Encoding: gzip"
    )
    assert len(bomb) < 1_100_000
    async with raw_server(bomb) as server, open_client(server.url) as client:
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="no answer is that long") as caught:
                await client.get_json("/")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (caught.value.reason, client.cost.requests) == ("too_large", 1)
    assert peak < 100 * 1024 * 1024


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("url", ["https://far.example", "https://localhost"])
async def test_certificates_that_can_not_be_read_are_named(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, url: str
) -> None:
    """Where the environment names authorities' certificates that can't be read, the error names that variable."""
    for each in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, str(tmp_path / "missing"))
    async with open_client(url) as client:
        with pytest.raises(UnreachableError, match=f"{name} is .*missing.*; correct it or unset it") as caught:
            await client.get_json("/")
    assert caught.value.reason == "connect"


async def test_a_file_without_certificates_is_named(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that exists and holds no certificate is named like one that is missing."""
    (tmp_path / "empty.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    async with open_client("https://far.example") as client:
        with pytest.raises(UnreachableError, match=r"SSL_CERT_FILE is .*empty\.pem"):
            await client.get_json("/")


@asynccontextmanager
async def tls_server(answer: bytes) -> AsyncIterator[int]:
    """The port of a server that speaks TLS with a certificate of its own and answers everything alike."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_certificates_are_checked(open_client: OpenClient, reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's certificate is trusted through SSL_CERT_FILE, and refused without."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with tls_server(reply(b"{}")) as port:
        async with open_client(f"https://localhost:{port}") as client:
            with pytest.raises(UnreachableError, match="SSL_CERT_FILE") as caught:
                await client.get_json("/")
            assert caught.value.reason == "connect"
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        async with open_client(f"https://localhost:{port}") as client:
            assert (await client.get_json("/")).body == {}
            assert (await client.get_json("/")).body == {}


@asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a proxy that connects everybody with that port, and what it was asked."""
    asked: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_tls_through_a_proxy(open_client: OpenClient, reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy TLS goes through a tunnel, with the certificate checked, and the tunnel is kept."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with tls_server(reply(b"{}")) as port, tunnel(port) as (proxy, asked):
        monkeypatch.setenv("https_proxy", proxy)
        async with open_client("https://far.example:8443") as client:
            for _ in range(3):
                assert (await client.get_json("/")).body == {}
        async with open_client("https://other.example") as client:
            with pytest.raises(UnreachableError, match="SSL_CERT_FILE"):
                await client.get_json("/")
    assert asked == [b"CONNECT far.example:8443 HTTP/1.1", *[b"CONNECT other.example:443 HTTP/1.1"] * 3]
