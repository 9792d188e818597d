"""One request and its answer on a real connection, which a fault may break."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from syncd.simulator.requests import RequestRecord

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
T = TypeVar("T")

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# A reset throws away what the client has not read yet, so the first half gets a moment to be read.
_READING_SECONDS = 0.03


class GoneError(Exception):
    """The client hung up, or the server stops."""


@dataclass
class Answer:
    """A whole answer before it is sent."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def replaced(self, value: Any) -> "Answer":
        """The same answer with other JSON."""
        return Answer(self.status, json.dumps(value).encode(), self.headers)


@dataclass
class Exchange:
    """What a fault works on: the request, the application behind it and the connection."""

    app: App
    scope: Scope
    receive: Receive
    send: Send
    record: RequestRecord
    body: bytes
    date: Callable[[], str]

    async def ask(self) -> Answer:
        """The application's own answer."""
        answer = Answer(500, b"")
        unread = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> Message:
            return unread.pop() if unread else await self.receive()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = list(message["headers"])
            else:
                answer.body += message.get("body", b"")

        await self.app(self.scope, receive, send)
        return answer

    async def deliver(self, answer: Answer) -> None:
        """Send a whole answer."""
        await self.start(answer)
        await self.send({"type": "http.response.body", "body": answer.body})
        self.record.status = answer.status

    async def start(self, answer: Answer) -> None:
        """Send status and headers, which announce the whole body."""
        headers = dict(answer.headers) | {b"content-length": str(len(answer.body)).encode()}
        headers.setdefault(b"content-type", b"application/json")
        headers.setdefault(b"date", self.date().encode())
        await self.send({"type": "http.response.start", "status": answer.status, "headers": list(headers.items())})

    async def send_half(self, answer: Answer) -> None:
        """Send the headers and half of the body."""
        await self.start(answer)
        half = answer.body[: len(answer.body) // 2]
        await self.send({"type": "http.response.body", "body": half, "more_body": True})

    async def close(self) -> None:
        """End the connection in order, after what was written."""
        self._transport.close()
        await self.wait_until_gone()

    async def reset(self, *, after_half: bool = False) -> None:
        """Break the connection with a TCP reset."""
        if after_half:
            await asyncio.sleep(_READING_SECONDS)
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
        await self.wait_until_gone()

    async def wait_until_gone(self) -> None:
        """Wait until the client hangs up or the server stops."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def while_connected(self, work: Awaitable[T]) -> T:
        """Await something, but no longer than the connection lives; GoneError after that."""
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(self.wait_until_gone())
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        for waiting in (task, gone):
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait((waiting,))
        if task.cancelled():
            raise GoneError
        return task.result()

    @property
    def _transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self.scope["state"]["transport"]
        return transport
