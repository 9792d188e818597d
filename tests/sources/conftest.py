"""A real clock, real clients, the simulator, and servers that break the rules of HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from syncd.core.times import render_time
from syncd.simulator import Simulator, World
from syncd.sources.answers import Answer
from syncd.sources.http import Limits, PoliteClient
from syncd.sources.opentrain import OpenTrain

NOW = "2026-06-12T10:00:00.000Z"


class WallClock:
    """The real time; `asleep` is set once somebody waits, and while `may_wake` is clear nobody goes on."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self.may_wake = asyncio.Event()
        self.may_wake.set()

    def now(self) -> str:
        """The wall clock's time."""
        return render_time(datetime.now(UTC))

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def cpu(self) -> float:
        """Seconds of processor time."""
        return time.process_time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self.asleep.set()
        await asyncio.sleep(seconds)
        await self.may_wake.wait()


class RawServer:
    """Answers the nth request with the nth reply, byte for byte; the last reply stands for all that follow.

    A reply of None closes the connection; one that ends in `...` never ends; others keep the connection.
    """

    def __init__(self, replies: list[bytes | None]) -> None:
        self.replies = replies
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.url = ""
        self.arrival = asyncio.Condition()
        self._writers: list[asyncio.StreamWriter] = []

    async def push(self, data: bytes) -> None:
        """Send what nobody asked for over the connection that was made last."""
        self._writers[-1].write(data)
        await self._writers[-1].drain()

    async def wait_for(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(5), self.arrival:
            await self.arrival.wait_for(lambda: len(self.requests) >= count)

    async def wait_for_open(self, count: int) -> None:
        """Wait until so many connections are open."""
        async with asyncio.timeout(5), self.arrival:
            await self.arrival.wait_for(lambda: self.open == count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.open += 1
        self._writers.append(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()
            async with self.arrival:
                self.open -= 1
                self.arrival.notify_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        body = await reader.readexactly(length)
        async with self.arrival:
            self.requests.append(head + body)
            self.arrival.notify_all()
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        if reply is None:
            return False
        writer.write(reply.removesuffix(b"..."))
        await writer.drain()
        while reply.endswith(b"..."):
            await asyncio.sleep(0.02)
            writer.write(b" ")
            await writer.drain()
        return b"connection: close" not in reply.lower()


def http_reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole HTTP/1.1 response."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


OpenRawServer = Callable[..., AbstractAsyncContextManager[RawServer]]


@pytest.fixture
def raw_server() -> OpenRawServer:
    """A way to open a RawServer on a real socket, given its replies."""

    @asynccontextmanager
    async def opened(*replies: bytes | None) -> AsyncIterator[RawServer]:
        raw = RawServer(list(replies))
        server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
        raw.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield raw

    return opened


@pytest.fixture
def reply() -> Callable[..., bytes]:
    """Writes a whole HTTP/1.1 response."""
    return http_reply


@pytest.fixture
def open_client() -> Callable[..., AbstractAsyncContextManager[PoliteClient]]:
    """A way to open an impatient PoliteClient, given its address."""

    @asynccontextmanager
    async def opened(url: str, *, limits: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[PoliteClient]:
        quick = Limits(**{"first_wait": 0.001, "longest_wait": 0.01, "read_timeout": 5.0, **(limits or {})})
        client = PoliteClient(url, clock=WallClock(), limits=quick, **options)
        try:
            yield client
        finally:
            await client.close()

    return opened


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator whose world holds a viewer and a token only."""
    with Simulator(World()) as running:
        yield running


@pytest.fixture
def open_source(
    simulator: Simulator, open_client: Callable[..., AbstractAsyncContextManager[PoliteClient]]
) -> Callable[..., AbstractAsyncContextManager[OpenTrain]]:
    """A way to open the simulator's OpenTrain."""

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[OpenTrain]:
        async with open_client(simulator.url, **{"token": lambda: simulator.token, **options}) as client:
            yield OpenTrain(client)

    return opened


@pytest.fixture
def document() -> Callable[[str], Answer]:
    """Reads an answer of the public documentation, as printed there."""

    def read(name: str) -> Answer:
        return answer_of(json.loads((Path(__file__).parent / "fixtures" / f"{name}.json").read_text()))

    return read


def answer_of(body: Any) -> Answer:
    """A good answer with that body."""
    return Answer(body=body, server_time=NOW, status=200, request_id=None)


@pytest.fixture
def answer() -> Callable[[Any], Answer]:
    """Makes a good answer of a body."""
    return answer_of
