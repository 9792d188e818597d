"""The server of the benchmarks: an inbox over HTTP/1.1 in a process of its own, as cheap as Python can make it.

It answers from bytes that it encoded before it began to listen, so that what is measured is the client.
"""

import argparse
import asyncio
import json
import sys
import time
from email.utils import formatdate
from typing import Any, Final

from benchmarks.inbox import PAGE, VIEWER, Inbox, plan_lengths

PREFIX: Final = "/api/public/v1"
CONTROL: Final = "/_figures"
_REASONS: Final = {200: "OK", 403: "Forbidden", 404: "Not Found"}
_IDENTITY: Final = {"actor": {"userId": VIEWER}, "token": {"scopes": ["messages:read"]}, "account": {}}
_FORBIDDEN: Final = {"error": "Missing scope", "code": "FORBIDDEN", "requestId": "req_1"}
_MISSING: Final = {"error": "Not found", "code": "NOT_FOUND", "requestId": "req_1"}

Answer = tuple[int, bytes]


class Site:
    """What is answered to each GET; `kept`: pages are encoded once and kept, else anew each time."""

    def __init__(self, inbox: Inbox, *, kept: bool) -> None:
        self._inbox = inbox
        self._kept: dict[tuple[Any, ...], bytes | None] | None = {} if kept else None
        self.requests = self.sent_bytes = self.polls = 0

    def answer(self, target: str) -> Answer:
        """Status and body; everything but the control page is counted."""
        path, _, query = target.partition("?")
        if path == CONTROL:
            return 200, self._figures()
        words = dict(part.split("=", 1) for part in query.split("&") if part)
        status, body = self._find(path.removeprefix(PREFIX), words)
        self.requests, self.sent_bytes = self.requests + 1, self.sent_bytes + len(body)
        return status, body

    def _figures(self) -> bytes:
        figures = {
            "requests": self.requests,
            "bytes": self.sent_bytes,
            "polls": self.polls,
            "cpu": time.process_time(),
        }
        return json.dumps(figures).encode()

    def _find(self, path: str, words: dict[str, str]) -> Answer:
        if path == "/messages":
            page = self._page(words) if "conversationId" in words else self._list(words)
            return (200, page) if page is not None else (404, json.dumps(_MISSING).encode())
        if path == "/auth/me":
            return 200, json.dumps(_IDENTITY).encode()
        if path == "/updates":
            nothing = {"events": [], "nextCursor": words.get("cursor", "0"), "hasMore": False}
            return 200, json.dumps(nothing).encode()
        return 403, json.dumps(_FORBIDDEN).encode()

    def _list(self, words: dict[str, str]) -> bytes:
        unread_only = words.get("unreadOnly") in ("true", "1")
        start, limit = int(words.get("cursor", 0)), int(words.get("limit", 20))
        self.polls += unread_only  # which is asked for once a poll
        page = self._once(("list", start, limit, unread_only))
        assert page is not None
        return page

    def _page(self, words: dict[str, str]) -> bytes | None:
        cursor = int(words["cursor"]) if "cursor" in words else None
        direction = words.get("direction", "older")
        return self._once((words["conversationId"], direction, cursor, int(words.get("limit", 20))))

    def _once(self, key: tuple[Any, ...]) -> bytes | None:
        if self._kept is None:
            return self._render(key)
        if key not in self._kept:
            self._kept[key] = self._render(key)
        return self._kept[key]

    def _render(self, key: tuple[Any, ...]) -> bytes | None:
        if key[0] == "list":
            return self._inbox.render_list(key[1], key[2], unread_only=key[3])
        return self._inbox.render_page(*key)

    def encode_everything(self, lengths: list[int]) -> None:
        """Encode each page that a walk in either direction meets."""
        for start in range(0, len(lengths), PAGE):
            self._once(("list", start, PAGE, False))
        for number, length in enumerate(lengths):
            id_ = self._inbox.conversation_id(number)
            for place in range(0, length, PAGE):
                self._once((id_, "newer", place or None, PAGE))
                self._once((id_, "older", (length - place) if place else None, PAGE))


class Speaker(asyncio.Protocol):
    """One connection: GETs, one at a time, each answered after `latency` seconds."""

    def __init__(self, site: Site, latency: float) -> None:
        self._site, self._latency = site, latency
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to speak."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            target = self._received.split(b" ", 2)[1].decode("ascii")
            self._received = self._received[end + 4 :]
            if self._latency and target != CONTROL:
                self._loop.call_later(self._latency, self._reply, target)
            else:
                self._reply(target)

    def _reply(self, target: str) -> None:
        status, body = self._site.answer(target)
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"Date: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode())
        self._transport.write(body)


async def _serve(site: Site, latency: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Speaker(site, latency), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Serve an inbox until killed; the port is printed once everything is ready."""
    parser = argparse.ArgumentParser()
    parser.add_argument("conversations", type=int)
    parser.add_argument("messages", type=int)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--lean", action="store_true", help="keep no page")
    options = parser.parse_args()
    lengths = plan_lengths(options.conversations, options.messages)
    site = Site(Inbox(lengths), kept=not options.lean)
    if not options.lean:
        site.encode_everything(lengths)
    asyncio.run(_serve(site, options.latency))


if __name__ == "__main__":
    main()
