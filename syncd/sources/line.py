"""One connection of our own beneath httpx: HTTP/1.1 as h11 speaks it, over asyncio's streams.

httpx's own transport is made for many connections to many servers: for each request it looks over its pool, tells each
step to whoever traces it, and goes through a layer that serves other event loops too. That costs half of what a request
costs us.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import h11
import httpx

_READ_BYTES: Final = 256 * 1024
_HEAD_BYTES: Final = 100 * 1024  # as httpx allows
_PORTS: Final = {"http": 80, "https": 443}
_SECOND_ADDRESS_SECONDS: Final = 0.25  # RFC 8305: when the next of a name's addresses is tried, too


class Line(httpx.AsyncBaseTransport):
    """A transport with a single connection, made when it is first needed and again when it can't be used any more.

    One request at a time; what it raises is an httpx.TransportError.
    """

    def __init__(self, trust: ssl.SSLContext, *, keep_alive: float, abroad: bool) -> None:
        """`keep_alive`: after so many seconds without a request the connection is not used again.

        `abroad`: the server is not on this machine, so its name may have addresses that lead nowhere.
        """
        self._trust = trust
        self._second_address = _SECOND_ADDRESS_SECONDS if abroad else None
        self._keep_alive = keep_alive
        self._wire: _Wire | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; its answer's body is still to be read, and then to be closed."""
        timeouts = request.extensions["timeout"]
        content = await request.aread()
        await self._drop_unusable()
        wire = self._wire or await self._connect(request.url, timeouts["connect"])
        self._wire = None
        try:
            wire.send(request, content)
            head = await wire.receive_head(timeouts["read"])
        except BaseException:
            wire.abort()
            raise
        return httpx.Response(
            head.status_code, headers=head.headers.raw_items(), stream=_Body(self, wire, timeouts["read"])
        )

    async def _drop_unusable(self) -> None:
        if self._wire is not None and not await self._wire.is_usable():
            self._wire.abort()
            self._wire = None

    async def _connect(self, url: httpx.URL, patience: float | None) -> "_Wire":
        try:
            async with asyncio.timeout(patience):
                reader, writer = await asyncio.open_connection(
                    url.raw_host.decode("ascii"),
                    url.port or _PORTS[url.scheme],
                    ssl=self._trust if url.scheme == "https" else None,
                    limit=_READ_BYTES,
                    happy_eyeballs_delay=self._second_address,
                )
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return _Wire(reader, writer)

    def take_back(self, wire: "_Wire") -> None:
        """Keep the connection for the next request, if its answer was read to the end."""
        if wire.begin_anew(self._keep_alive):
            self._wire = wire
        else:
            wire.abort()

    async def aclose(self) -> None:
        """Let go of the connection."""
        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.close()


class _Wire:
    """A connection and where its conversation stands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._spoken = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        self._good_until = 0.0

    def send(self, request: httpx.Request, content: bytes) -> None:
        """Put the request on its way; what goes wrong with that shows when its answer is read."""
        with _translated():
            target = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            head = self._spoken.send(target) or b""
            body = self._spoken.send(h11.Data(data=content)) or b"" if content else b""
            self._writer.write(head + body + (self._spoken.send(h11.EndOfMessage()) or b""))

    async def receive_head(self, patience: float | None) -> h11.Response:
        """Status and headers."""
        while True:
            event = await self._receive(patience)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError("the answer has no beginning")

    async def receive_body(self, patience: float | None) -> AsyncIterator[bytes]:
        """The body as it comes."""
        while isinstance(event := await self._receive(patience), h11.Data):
            yield bytes(event.data)

    async def _receive(self, patience: float | None) -> object:
        with _translated():
            while (event := self._spoken.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(patience):
                    data = await self._reader.read(_READ_BYTES)
                if not data and self._spoken.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("it closed the connection without an answer")
                self._spoken.receive_data(data)
            return event

    def begin_anew(self, keep_alive: float) -> bool:
        """Whether another request may follow."""
        if self._spoken.our_state is not h11.DONE or self._spoken.their_state is not h11.DONE:
            return False
        if self._spoken.trailing_data[0]:  # more than was asked for: the next answer would be told from it by nothing
            return False
        self._spoken.start_next_cycle()
        self._good_until = asyncio.get_running_loop().time() + keep_alive
        return True

    async def is_usable(self) -> bool:
        """Whether the connection is still open and silent, as far as it is known here."""
        if self._writer.is_closing() or asyncio.get_running_loop().time() >= self._good_until:
            return False
        try:
            async with asyncio.timeout(0):
                await self._reader.read(1)  # its end, or something that would pass for the next answer
        except (TimeoutError, OSError) as silence:
            return isinstance(silence, TimeoutError)
        return False

    def abort(self) -> None:
        """Close at once: whoever was cancelled must not wait for it."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Say goodbye."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class _Body(httpx.AsyncByteStream):
    """The body of one answer; closing it gives the connection back."""

    def __init__(self, line: Line, wire: _Wire, patience: float | None) -> None:
        self._line = line
        self._wire = wire
        self._patience = patience

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._wire.receive_body(self._patience)

    async def aclose(self) -> None:
        self._line.take_back(self._wire)


@contextmanager
def _translated() -> Iterator[None]:
    """What went wrong on the way, as httpx calls it."""
    try:
        yield
    except TimeoutError:
        raise httpx.ReadTimeout("no answer in time") from None
    except OSError as error:
        raise httpx.ReadError(str(error)) from error
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
