"""Connections: one to a slot, the one used last first, so that few stay open when little is asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from heapq import heappop, heappush
from ipaddress import ip_address
from itertools import count
from typing import Final
from urllib.request import getproxies

import httpx

from syncd.sources.line import Line

CLOSE_SECONDS: Final = 2.0
"""How long `close` waits for connections to say goodbye."""

_KEEP_ALIVE_SECONDS: Final = 55.0  # outlives the pause between two busy polls, so that most polls need no new handshake


class Places:
    """So many places; of those who wait for one the most urgent (the lowest number) is next, then who came first."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._numbers = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def take(self, urgency: int) -> AsyncIterator[None]:
        """A place, as long as the body lasts."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (urgency, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_up()  # it was given the place in the very moment of being cancelled
                raise
        try:
            yield
        finally:
            self._give_up()

    def _give_up(self) -> None:
        while self._waiting:
            *_, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Slots:
    """Lends at most `size` connections at once.

    A pool with many connections looks at each of them for each request, which costs more than the request does; and
    a request cancelled in flight can wedge its pool. Hence a client for each connection, dropped unless all went well.
    """

    def __init__(self, size: int, open_client: Callable[[], httpx.AsyncClient]) -> None:
        self._open_client = open_client
        self._size = size
        self._places = Places(size)
        self._idle: list[httpx.AsyncClient] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._generation = 0

    @asynccontextmanager
    async def lend(self, *, fresh: bool = False, urgency: int = 0) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one request, the lowest `urgency` first; `fresh` ones are not connected yet."""
        async with self._places.take(urgency):
            generation = self._generation
            client = self._idle.pop() if self._idle and not fresh else self._open_client()
            returned = False
            try:
                yield client
                returned = generation == self._generation
            finally:
                if returned:
                    self._idle.append(client)
                    if len(self._idle) > self._size:  # each fresh one is one more
                        self._discard(self._idle.pop(0))
                else:
                    self._discard(client)

    def drop(self) -> None:
        """Forgets every connection; those in use are let go of when their request ends."""
        self._generation += 1
        while self._idle:
            self._discard(self._idle.pop())

    async def close(self) -> None:
        """Drops every connection and waits a moment for them to close."""
        self.drop()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)

    def _discard(self, client: httpx.AsyncClient) -> None:
        """Closes in the background: whoever was cancelled must not wait for it."""
        task = asyncio.get_running_loop().create_task(_close_quietly(client))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def open_client(base_url: str, headers: dict[str, str], timeout: httpx.Timeout) -> httpx.AsyncClient:
    """A client with one connection, through the environment's proxies unless it stays on this machine."""
    abroad = not is_loopback(base_url)
    proxied = abroad and bool(getproxies())  # then it is for httpx to say which address goes through which
    return httpx.AsyncClient(
        headers=headers,
        timeout=timeout,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE_SECONDS),
        verify=_trust(),
        transport=None if proxied else Line(_trust(), keep_alive=_KEEP_ALIVE_SECONDS, abroad=abroad),
        trust_env=abroad,
        follow_redirects=False,  # a redirect would carry the token to another host
    )


def is_loopback(base_url: str) -> bool:
    """Whether the address is this machine's own."""
    host = httpx.URL(base_url).host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@cache
def _trust() -> ssl.SSLContext:
    """Read once: the certificates of all authorities take 20 ms for each client otherwise."""
    trust = httpx.create_ssl_context()
    trust.set_alpn_protocols(["http/1.1"])
    return trust


async def _close_quietly(client: httpx.AsyncClient) -> None:
    with suppress(httpx.HTTPError, OSError, RuntimeError):  # it is thrown away because it is broken
        await client.aclose()
