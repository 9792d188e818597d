"""Odd encodings, statuses and settings: each is coped with, or named in the error."""

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import NotFoundError, ProtocolError, RejectedError, UnreachableError
from syncd.simulator import Simulator
from syncd.sources.http import PoliteClient
from syncd.sources.openats import OpenATS
from syncd.sources.opentrain import OpenTrain

pytestmark = pytest.mark.anyio

OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]

BODY = b'{"text": "' + b"a" * 1000 + b'"}'
CERTIFICATE = Path(__file__).parent / "fixtures" / "localhost.pem"


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
        ("deflate", zlib.compress(BODY)),
        ("br", b"\x0b\x02\x80{}\x03"),
    ],
    ids=["twice", "listed", "deflate", "brotli"],
)
async def test_encodings_that_were_not_asked_for_are_named(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, name: str, body: bytes
) -> None:
    """A body in any other encoding, or in more than one, is refused at once by an error that names it."""
    encoded = reply(body, "200 OK", f"Content-Encoding: {name}")
    async with raw_server(encoded) as server, open_client(server.url) as client:
        with pytest.raises(ProtocolError, match=f'encoded as "{name}"') as caught:
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


@pytest.mark.parametrize("status", [304, 300, 306])
async def test_an_answer_without_content_is_no_redirect(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, status: int
) -> None:
    """A 3xx that points nowhere, such as a 304 that nobody asked for, is named as it is and not called a redirect."""
    async with raw_server(reply(b"", f"{status} Odd")) as server, open_client(server.url) as client:
        with pytest.raises(ProtocolError, match=f"no content.*HTTP {status}") as caught:
            await client.get_json("/")
        assert (caught.value.reason, caught.value.status) == (f"http_{status}", status)
        assert "redirect" not in str(caught.value)


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
