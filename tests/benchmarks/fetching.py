"""The fetch limits: every page once, its JSON decoded and thrown away, by raw sockets or by httpx."""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec

from benchmarks.server import PREFIX

Ask = Callable[[str], Awaitable[Any]]
HEADERS = {"Authorization": "Bearer ot_pat_bench_0123456789abcdef", "Accept": "application/json"}


class Socket(asyncio.Protocol):
    """A connection with one request in flight."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._wanted = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self._received += data
        if self._wanted < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end]).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            self._start, self._wanted = end + 4, end + 4 + length
        if 0 <= self._wanted <= len(self._received):
            self._answer.set_result(bytes(self._received[self._start :]))

    async def ask(self, target: str) -> Any:
        """The decoded body."""
        self._received.clear()
        self._wanted = -1
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self._transport.write(f"GET {PREFIX}{target} HTTP/1.1\r\nHost: bench\r\n{head}\r\n".encode())
        return msgspec.json.decode(await self._answer)


class Walk:
    """Everything, by as many askers as there are connections: the list, and meanwhile each conversation in pages."""

    def __init__(self) -> None:
        self._targets: deque[str] = deque(["/messages?limit=100"])
        self._changed = asyncio.Condition()
        self._open = 1
        self.messages = 0

    async def labour(self, ask: Ask) -> None:
        """Ask until nothing is left."""
        while (target := await self._take()) is not None:
            body = await ask(target)
            if "messages" in body:
                self.messages += len(body["messages"])
            following = [f"{target.partition('&cursor=')[0]}&cursor={body['nextCursor']}"] if body["nextCursor"] else []
            new = [
                f"/messages?conversationId={entry['id']}&direction=newer&limit=100"
                for entry in body.get("conversations", ())
            ]
            async with self._changed:
                self._targets.extendleft(following)  # a chain of pages is begun early and gone on with at once
                self._targets.extend(new)
                self._open += len(following) + len(new) - 1
                self._changed.notify_all()

    async def _take(self) -> str | None:
        async with self._changed:
            while not self._targets:
                if not self._open:
                    return None
                await self._changed.wait()
            return self._targets.popleft()


async def fetch_raw(port: int, in_flight: int) -> int:
    """By sockets with nothing between; how many messages came."""
    loop = asyncio.get_running_loop()
    sockets = [(await loop.create_connection(Socket, "127.0.0.1", port))[1] for _ in range(in_flight)]
    walk = Walk()
    await asyncio.gather(*(walk.labour(socket.ask) for socket in sockets))
    return walk.messages


async def fetch_httpx(port: int, in_flight: int) -> int:
    """By httpx at its best: a client for each connection, as a pool looks at each of them for each request."""
    base, verify = f"http://127.0.0.1:{port}{PREFIX}", httpx.create_ssl_context()
    clients = [httpx.AsyncClient(headers=HEADERS, verify=verify, trust_env=False) for _ in range(in_flight)]
    walk = Walk()

    async def labour(client: httpx.AsyncClient) -> None:
        async def ask(target: str) -> Any:
            return msgspec.json.decode((await client.get(base + target)).content)

        async with client:
            await walk.labour(ask)

    await asyncio.gather(*map(labour, clients))
    return walk.messages


def main() -> None:
    """`raw|httpx PORT IN_FLIGHT`; prints what it took, without the interpreter's start."""
    how, port, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    fetch = {"raw": fetch_raw, "httpx": fetch_httpx}[how]
    began, cpu = time.perf_counter(), time.process_time()
    messages = asyncio.run(fetch(port, in_flight))
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "messages": messages}
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main()
