"""Faults on demand: which requests they meet, how often, and what happens on the connection then."""

import asyncio
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from syncd.simulator.records import Json, Problem, invalid


@dataclass
class RequestRecord:
    """One request: `at` in monotonic seconds, `path` after the API's prefix; no `status`: no whole answer went out."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    token_id: str | None
    body: Json | None = None
    status: int | None = None
    fault: str | None = None
    done: bool = False

    @property
    def conversation_id(self) -> str | None:
        """The conversation that the query or the body names."""
        return self.query.get("conversationId") or (self.body or {}).get("conversationId")

    @property
    def lists(self) -> bool:
        """Whether it asks for the conversation list."""
        return self.method == "GET" and self.path == "/messages" and "conversationId" not in self.query

    def to_json(self) -> Json:
        """The record as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Match:
    """Which requests are meant; None: any. `path` is a regular expression searched in the path."""

    method: str | None = None
    path: str | None = None
    conversation: str | None = None
    proposal: str | None = None
    direction: str | None = None
    has_cursor: bool | None = None
    listing: bool | None = None
    token: str | None = None
    status: int | None = None

    def fits(self, record: RequestRecord) -> bool:
        """Whether a request is one of those."""
        proposal = re.fullmatch(r"/proposals/([^/]+)(/.*)?", record.path)
        return (
            self.method in (None, record.method)
            and (self.path is None or re.search(self.path, record.path) is not None)
            and self.conversation in (None, record.conversation_id)
            and self.proposal in (None, proposal and proposal.group(1))
            and self.direction in (None, record.query.get("direction", "older"))
            and self.has_cursor in (None, "cursor" in record.query)
            and self.listing in (None, record.lists)
            and (self.token is None or f"_{record.token_id}_" in self.token)
            and self.status in (None, record.status)
        )


class RequestLog:
    """Every request in the order of arrival; thread-safe."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._changed = threading.Condition()

    def add(self, record: RequestRecord) -> None:
        """Note an arrival."""
        with self._changed:
            self._records.append(record)

    def finish(self, record: RequestRecord) -> None:
        """Note that a request was answered, or given up."""
        with self._changed:
            record.done = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(list(self._records))

    def __getitem__(self, index: int) -> RequestRecord:
        return self._records[index]

    def select(self, **match: Any) -> list[RequestRecord]:
        """The requests that fit the fields of `Match`."""
        wanted = Match(**match)
        return [record for record in self if wanted.fits(record)]

    def count(self, **match: Any) -> int:
        """How many requests fit."""
        return len(self.select(**match))

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._records.clear()

    def wait_for(self, count: int, *, timeout: float = 5.0, **match: Any) -> list[RequestRecord]:
        """Block until `count` fitting requests are answered; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := [record for record in self.select(**match) if record.done]) < count:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"{len(found)} of {count} requests came in {timeout} s")
        return found


# One request and its answer on a real connection, which a fault may break.


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


# What a fault does to an exchange.


Action = Callable[[Exchange], Awaitable[None]]
_PAGE = b"<!DOCTYPE html>\n<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>\n"


def _problem(problem: Problem, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(problem.status, json.dumps(problem.to_json("req_fault")).encode(), list(headers))


def rate_limit(retry_after: Any, where: str) -> Action:
    """429 with the wait where it is asked for."""
    details = {"retryAfterSeconds": retry_after} if where == "details" else None
    headers = [(b"retry-after", str(retry_after).encode())] if where == "header" else []
    return _always(_problem(Problem(429, "Too many requests", details=details), *headers))


def error(code: int, reason: str | None) -> Action:
    """An error of the API."""
    details = {"reason": reason} if reason else None
    return _always(_problem(Problem(code, f"Simulated error {code}", details=details)))


def page(status: int) -> Action:
    """An HTML page."""
    return _always(Answer(status, _PAGE % (status, status), [(b"content-type", b"text/html")]))


def body(data: Any, status: int) -> Action:
    """A body of one's own."""
    return _always(Answer(status, data if isinstance(data, bytes) else json.dumps(data).encode()))


def _always(answer: Answer) -> Action:
    async def deliver(exchange: Exchange) -> None:
        await exchange.deliver(answer)

    return deliver


def delay(seconds: float) -> Action:
    """The right answer after so many seconds."""

    async def wait(exchange: Exchange) -> None:
        await exchange.while_connected(asyncio.sleep(seconds))
        await exchange.deliver(await exchange.ask())

    return wait


async def stall(exchange: Exchange) -> None:
    """Nothing, until the client gives up."""
    await exchange.wait_until_gone()


async def reset(exchange: Exchange) -> None:
    """A reset before anything is done."""
    await exchange.reset()


async def reset_midway(exchange: Exchange) -> None:
    """Half a body, then a reset."""
    await exchange.send_half(await exchange.ask())
    await exchange.reset(after_half=True)


async def truncate(exchange: Exchange) -> None:
    """Half a body, then the connection's end."""
    await exchange.send_half(await exchange.ask())
    await exchange.close()


async def lose_reply(exchange: Exchange) -> None:
    """Everything done, and a reset instead of the reply."""
    await exchange.ask()
    await exchange.reset()


async def cut_json(exchange: Exchange) -> None:
    """Half of the JSON as if it were all."""
    answer = await exchange.ask()
    await exchange.deliver(Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers))


async def repeat_cursor(exchange: Exchange) -> None:
    """The cursor sent comes back."""
    await _change(exchange, lambda answer: answer | {"nextCursor": exchange.record.query.get("cursor")})


def cycle_cursor() -> Action:
    """Cursors A, B, A, B …; one fault keeps its own two."""
    seen: list[str] = []

    async def cycle(exchange: Exchange) -> None:
        await _change(exchange, turn)

    def turn(answer: Json) -> Json:
        if len(seen) > 1:
            seen.append(seen[-2])
        elif answer.get("nextCursor") is not None:
            seen.append(answer["nextCursor"])
        return answer | {"nextCursor": seen[-1] if seen else None}

    return cycle


async def dead_cursor(exchange: Exchange) -> None:
    """400, as for a cursor that expired."""
    await exchange.deliver(_problem(invalid("cursor", "Invalid cursor")))


async def null_cursor(exchange: Exchange) -> None:
    """The walk seems to end here."""
    await _change(exchange, lambda answer: answer | {"nextCursor": None})


async def empty_page(exchange: Exchange) -> None:
    """Every list empty, every cursor null."""
    await _change(
        exchange, lambda answer: {key: [] if isinstance(value, list) else None for key, value in answer.items()}
    )


def rewrite(pattern: bytes, into: bytes, count: int) -> Action:
    """Other bytes in the right answer, which thereby is another version of itself."""

    async def change(exchange: Exchange) -> None:
        answer = await exchange.ask()
        body, found = re.subn(pattern, lambda _: into, answer.body, count=count)
        headers = [(name, value) for name, value in answer.headers if not found or name != b"etag"]
        await exchange.deliver(Answer(answer.status, body, headers))

    return change


async def _change(exchange: Exchange, change: Callable[[Json], Json]) -> None:
    answer = await exchange.ask()
    if answer.status < 300:  # noqa: PLR2004 - HTTP's own border between success and the rest
        answer = answer.replaced(change(json.loads(answer.body)))
    await exchange.deliver(answer)


# Faults on demand: which requests they meet, how often, and what happens then.


@dataclass
class Fault:
    """What happens to the next `times` fitting requests (None: to all), after the first `skip` of them passed."""

    name: str
    action: Action
    match: Match = field(default_factory=Match)
    times: int | None = 1
    skip: int = 0
    hits: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not strike again."""
        return self.times is not None and self.hits >= self.times

    def strikes(self, record: RequestRecord) -> bool:
        """Whether this request is one to strike; counts it."""
        if self.spent or not self.match.fits(record):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class Faults:
    """The faults that wait; each method adds one and returns it. `match`: the fields of `Match`, `times`, `skip`."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def take(self, record: RequestRecord) -> Fault | None:
        """The first fault that strikes this request."""
        with self._lock:
            return next((fault for fault in self._faults if fault.strikes(record)), None)

    def add(self, name: str, action: Action, *, times: int | None = 1, skip: int = 0, **match: Any) -> Fault:
        """Add a fault with an action of one's own."""
        fault = Fault(name, action, Match(**match), times, skip)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Call every fault off."""
        with self._lock:
            self._faults.clear()

    @property
    def pending(self) -> list[Fault]:
        """The faults that can still strike."""
        with self._lock:
            return [fault for fault in self._faults if not fault.spent]

    def rate_limit(self, retry_after: Any = 1, where: str = "details", **match: Any) -> Fault:
        """429; `retry_after` as given (number or text) in the "details", the "header", or "nowhere"."""
        return self.add("rate_limit", rate_limit(retry_after, where), **match)

    def status(self, code: int, reason: str | None = None, **match: Any) -> Fault:
        """An error of the API with this HTTP status, `reason` in its details."""
        return self.add("status", error(code, reason), **match)

    def gateway(self, status: int = 502, **match: Any) -> Fault:
        """A gateway's HTML error page."""
        return self.add("gateway", page(status), **match)

    def html(self, **match: Any) -> Fault:
        """An HTML page with 200, as a captive portal sends it."""
        return self.add("html", page(200), **match)

    def body(self, data: Any, status: int = 200, **match: Any) -> Fault:
        """Any body: bytes as they are, anything else as JSON."""
        return self.add("body", body(data, status), **match)

    def rewrite(self, pattern: str, into: str, count: int = 0, **match: Any) -> Fault:
        """The right answer, with `into` for each place (0), or the first `count`, where the pattern is found."""
        return self.add("rewrite", rewrite(pattern.encode(), into.encode(), count), **match)

    def empty_object(self, **match: Any) -> Fault:
        """`{}` with 200."""
        return self.add("empty_object", body({}, 200), **match)

    def cut_json(self, **match: Any) -> Fault:
        """A whole answer with 200 whose JSON breaks off."""
        return self.add("cut_json", cut_json, **match)

    def delay(self, seconds: float, **match: Any) -> Fault:
        """The right answer, late."""
        return self.add("delay", delay(seconds), **match)

    def stall(self, **match: Any) -> Fault:
        """No answer, for ever."""
        return self.add("stall", stall, **match)

    def reset(self, **match: Any) -> Fault:
        """A TCP reset instead of an answer; nothing was done."""
        return self.add("reset", reset, **match)

    def reset_midway(self, **match: Any) -> Fault:
        """A TCP reset in the middle of the body."""
        return self.add("reset_midway", reset_midway, **match)

    def truncate(self, **match: Any) -> Fault:
        """The connection ends in the middle of the body."""
        return self.add("truncate", truncate, **match)

    def lose_reply(self, **match: Any) -> Fault:
        """The request is carried out, then the connection is reset without a reply."""
        return self.add("lose_reply", lose_reply, **match)

    def repeat_cursor(self, **match: Any) -> Fault:
        """`nextCursor` is the cursor that was sent."""
        return self.add("repeat_cursor", repeat_cursor, **{"has_cursor": True, **match})

    def cycle_cursor(self, **match: Any) -> Fault:
        """From the third answer on, `nextCursor` alternates between the first two."""
        return self.add("cycle_cursor", cycle_cursor(), **{"times": None, **match})

    def dead_cursor(self, **match: Any) -> Fault:
        """400 for a request that carries a cursor."""
        return self.add("dead_cursor", dead_cursor, **{"has_cursor": True, **match})

    def null_cursor(self, **match: Any) -> Fault:
        """`nextCursor` is null though more follows."""
        return self.add("null_cursor", null_cursor, **match)

    def empty_page(self, **match: Any) -> Fault:
        """A page of the right shape without entries."""
        return self.add("empty_page", empty_page, **match)
