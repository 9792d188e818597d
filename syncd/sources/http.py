"""One polite HTTP client for every source: authentication, connections, retries, bounded bodies, errors with a meaning.

A request waits for its turn. It is handed to the transport of httpx-aiohttp as httpx's own types, without the work that
httpx's client does for each request, and its answer is read and decoded up to a bound. tenacity repeats it. What goes
wrong becomes a FetchError that tells above all whether the request may have arrived.
"""

import asyncio
import os
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache, lru_cache
from heapq import heappop, heappush
from importlib.metadata import version
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi
import httpx
import msgspec
from aiohttp.connector import Connection
from httpx_aiohttp import AiohttpTransport
from msgspec import Struct
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
    SyncdError,
    UnreachableError,
)
from syncd.protocols import Clock
from syncd.sources.answers import Answer, Reply, clean, parse_answer

T = TypeVar("T")

_KEEP_ALIVE_SECONDS: Final = 55.0  # longer than the pause between two busy polls: most polls need no new handshake
_CLOSE_SECONDS: Final = 2.0  # how long `close` waits until connections have closed
_HEARTBEAT_SECONDS: Final = 10.0
_HEADER_BYTES: Final = 100 * 1024  # a header may be this long: gateways add long ones
_DECODE_BYTES: Final = 256 * 1024  # how much is decoded before the bound is checked again


class Limits(Struct, frozen=True, kw_only=True):
    """The client's bounds, in seconds, bytes and attempts; `deadline` ends an attempt whose answer drips for ever."""

    attempts: int = 3
    first_wait: float = 0.2
    longest_wait: float = 2.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 60.0
    body_limit: int = 64 * 1024 * 1024


class HttpCost(Struct, kw_only=True):
    """What was spent: requests sent, bytes of bodies received as they were on the wire, answers by HTTP status."""

    requests: int = 0
    received_bytes: int = 0
    by_status: dict[int, int] = {}


class PoliteClient:
    """Asks one server, `concurrency` requests at a time at most; what it raises is a FetchError.

    GETs are tried again after passing faults. A 401 or 429 concerns the whole account: requests that still wait for
    their turn raise it too and are not sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        token: Callable[[], str] | None = None,
        headers: Callable[[], Mapping[str, str]] | None = None,
        concurrency: int = 8,
        limits: Limits | None = None,
    ) -> None:
        self.cost = HttpCost()
        self._base_url = base_url
        self._clock = clock
        self._token = Renewable(None if token is None else lambda: _checked(token()))
        self._headers = Renewable(None if headers is None else lambda: dict(headers()))
        self._limits = limits or Limits()
        self._turns = Turns(concurrency)
        self._pool: _Pool | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._halt = _Halt()

    async def get_json(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        etag: str | None = None,
        urgency: int = 0,
        decoder: msgspec.json.Decoder[Any] | None = None,
    ) -> Answer:
        """The answer to a GET, tried a few times if need be; only a 304 if the content still is version `etag`.

        Of the requests that wait for their turn the one of the lowest `urgency` is next. A body that fits the
        `decoder` is what that makes of it.
        """
        with _only_text():
            target = f"{path}?{urlencode(params)}" if params else path
        return await self._ask(
            _Request(method="GET", path=path, target=target, etag=etag, urgency=urgency, decoder=decoder)
        )

    async def post_json(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer to a POST; tried again only where the request surely never left (`reason` "connect")."""
        with _only_text():
            content = None if body is None else msgspec.json.encode(body)
        texts = tuple(text for text in (body or {}).values() if isinstance(text, str))
        return await self._ask(_Request(method="POST", path=path, target=path, content=content, texts=texts))

    @property
    def tokens_taken(self) -> int:
        """How many different tokens it has used so far."""
        return self._token.changes

    def drop_connections(self) -> None:
        """Connect anew for what comes next: after a suspend the old connections lead nowhere, the token may be old."""
        self._drop_pool()
        self._token.forget()

    async def close(self) -> None:
        """Close every connection."""
        self._drop_pool()
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_SECONDS)

    async def _ask(self, request: "_Request") -> Answer:
        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            stop=stop_after_attempt(self._limits.attempts),
            wait=wait_random_exponential(multiplier=self._limits.first_wait, max=self._limits.longest_wait),
            retry=retry_if_exception(request.may_repeat_after),
            reraise=True,
        )
        return await retrying(self._attempt, request, self._halt)

    async def _attempt(self, request: "_Request", halt: "_Halt") -> Answer:
        """One attempt, or two where the token or a header was rotated meanwhile."""
        try:
            token, headers = await self._token.current(), await self._headers.current()
            try:
                return await self._exchange(request, token, headers, halt)
            except (AuthError, ForbiddenError) as refusal:
                new_token = await self._token.renewed(token) if isinstance(refusal, AuthError) else token
                new_headers = await self._headers.renewed(headers)
                if (new_token, new_headers) == (token, headers):
                    raise
            return await self._exchange(request, new_token, new_headers, halt)
        except (AuthError, RateLimitedError) as refusal:
            halt.refusal = self._halt.refusal = refusal
            self._halt = _Halt()
            raise

    async def _exchange(
        self, request: "_Request", token: str | None, configured: Mapping[str, str] | None, halt: "_Halt"
    ) -> Answer:
        """One request on the wire; what was refused while this one waited for its turn is refused here too."""
        headers = httpx.Headers(configured)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        secrets = (*(configured or {}).values(), *request.texts, *((token,) if token else ()))
        try:
            async with self._connected(request) as transport:
                if halt.refusal is not None:
                    raise halt.refusal
                reply = await self._send(transport, request, headers, secrets)
        except FAULTS as fault:
            raise _unreachable(fault, request.name, secrets, once_only=request.is_once_only) from None
        return parse_answer(reply, self._clock.now(), conditional=request.etag is not None, decoder=request.decoder)

    async def _send(
        self, transport: AiohttpTransport, request: "_Request", headers: httpx.Headers, secrets: tuple[str, ...]
    ) -> Reply:
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        if request.etag is not None:
            headers["If-None-Match"] = request.etag
        url = self._base_url.rstrip("/") + request.target
        timeouts = {"connect": self._limits.connect_timeout, "read": self._limits.read_timeout}
        asked = httpx.Request(
            request.method, url, headers=headers, content=request.content, extensions={"timeout": timeouts}
        )
        self.cost.requests += 1
        async with asyncio.timeout(self._limits.deadline):
            response = await transport.handle_async_request(asked)
            try:
                status = response.status_code
                self.cost.by_status[status] = self.cost.by_status.get(status, 0) + 1
                body = await self._read(response, request.name)
            finally:
                await response.aclose()
        return Reply(request=request.name, status=status, headers=response.headers, body=body, secrets=secrets)

    async def _read(self, response: httpx.Response, name: str) -> bytearray:
        """The decoded body; refused as soon as more was decoded than any answer of an API holds."""
        is_gzip = _is_gzip(", ".join(response.headers.get_list("content-encoding")), name, response.status_code)
        gunzip = _Gunzip() if is_gzip else None
        body = bytearray()
        async for chunk in response.aiter_raw():
            self.cost.received_bytes += len(chunk)
            for piece in (chunk,) if gunzip is None else gunzip.feed(chunk):
                body += piece
                if len(body) > self._limits.body_limit:
                    raise ProtocolError(
                        f"{name} was answered with more than {self._limits.body_limit} bytes: no answer is that long",
                        reason="too_large",
                        status=response.status_code,
                    )
        if gunzip is not None:
            gunzip.end()
        return body

    @asynccontextmanager
    async def _connected(self, request: "_Request") -> AsyncIterator[AiohttpTransport]:
        """A transport for one request, in its turn; what is sent only once gets a connection that can't be stale."""
        async with self._turns.take(request.urgency):
            if request.is_once_only:
                pool = _Pool(open_transport(self._base_url))
            else:
                pool = self._pool = self._pool or _Pool(open_transport(self._base_url))
            pool.users += 1
            try:
                yield pool.transport
            finally:
                pool.users -= 1
                self._close_unused(pool)

    def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            self._close_unused(pool)

    def _close_unused(self, pool: "_Pool") -> None:
        """Close a pool that no request uses or will use; in the background, as a cancelled request must not wait."""
        if pool is not self._pool and not pool.users:
            task = asyncio.get_running_loop().create_task(pool.transport.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _Request(Struct, frozen=True, kw_only=True):
    """What to ask; `target` is the path with its query, `texts` are people's words in it, which no error repeats."""

    method: str
    path: str
    target: str
    content: bytes | None = None
    texts: tuple[str, ...] = ()
    etag: str | None = None
    urgency: int = 0
    decoder: msgspec.json.Decoder[Any] | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.method} {clean(self.path)}"

    @property
    def is_once_only(self) -> bool:
        """Whether doing it twice would be seen."""
        return self.method != "GET"

    def may_repeat_after(self, fault: BaseException) -> bool:
        """Whether it may go better at once: after a fault of the network, a 5xx, or a body cut short."""
        if self.is_once_only:
            return isinstance(fault, UnreachableError) and fault.reason == "connect"
        return isinstance(fault, UnreachableError) or (isinstance(fault, ProtocolError) and fault.reason == "not_json")


class _Halt:
    """Shared by the requests under way: the refusal that one of them met."""

    refusal: FetchError | None = None


class _Pool:
    """A transport with its connections, and how many requests use it now."""

    def __init__(self, transport: AiohttpTransport) -> None:
        self.transport = transport
        self.users = 0


class Turns:
    """Lets `size` requests go at once; of those that wait the lowest urgency is next, then the one that came first."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._numbers = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def take(self, urgency: int) -> AsyncIterator[None]:
        """A turn, as long as the body lasts."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (urgency, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._give_up()  # it was given the turn in the very moment of being cancelled
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


class Renewable(Generic[T]):
    """A secret that `ask` gives: asked for when it is needed, and again when it was refused; None without `ask`.

    `changes` counts the different values, so that a caller can tell whether the token is still the one it knows.
    """

    def __init__(self, ask: Callable[[], T] | None) -> None:
        self._ask = ask
        self._value: T | None = None
        self._last: T | None = None
        self._times_asked = 0
        self._lock = asyncio.Lock()
        self.changes = 0

    async def current(self) -> T | None:
        """The value in use, asked for if there is none yet; raises AuthError where none can be had."""
        return await self.renewed(None) if self._value is None and self._ask is not None else self._value

    def forget(self) -> None:
        """Ask anew for what comes next: a value that works may still be an old one."""
        self._value = None

    async def renewed(self, refused: T | None) -> T | None:
        """Another value if it was rotated, else the refused one; those who ask at once share one answer."""
        times_asked = self._times_asked
        async with self._lock:
            if self._ask is not None and self._value == refused and self._times_asked == times_asked:
                self._value = await self._fetch(self._ask)
                self._times_asked += 1
                self.changes += self._value != self._last
                self._last = self._value
            return self._value

    async def _fetch(self, ask: Callable[[], T]) -> T:
        """Ask in a thread: it may run a command or read a slow disk."""
        try:
            return await asyncio.to_thread(ask)
        except FetchError:
            raise
        except SyncdError as trouble:
            raise AuthError(str(trouble), reason="no_token") from None


def _checked(token: str) -> str:
    """The token without white space around it; raises AuthError where no header can carry it."""
    token = token.strip()
    if not (token and token.isascii() and token.isprintable()):
        raise AuthError("the token is empty or has characters that no token has: give it anew", reason="no_token")
    return token


class _Gunzip:
    """Decodes gzip (RFC 1952): any number of members, and zeros behind them."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._is_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded data in pieces of bounded size, so that the caller can stop; raises zlib.error."""
        self._is_begun = True
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            yield from self._decode(data)
            data = self._member.unused_data

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._member.decompress(data, _DECODE_BYTES)
            yield piece
            data = self._member.unconsumed_tail
            if not data and len(piece) < _DECODE_BYTES:  # zlib keeps output back where a piece was full
                return

    def end(self) -> None:
        """Raise zlib.error where the end of the last member is missing."""
        if self._is_begun and not self._member.eof:
            raise zlib.error("the compressed body is incomplete")


def _is_gzip(encoding: str, name: str, status: int) -> bool:
    """Whether the body is compressed; ProtocolError where it is encoded in a way that was not asked for, or twice."""
    found = encoding.strip().lower()
    if found not in ("", "identity", "gzip", "x-gzip"):
        raise ProtocolError(
            f'{name} was answered with a body encoded as "{clean(encoding)}": only one layer of gzip is understood;'
            " check any proxy on the way",
            reason="encoding",
            status=status,
        )
    return found.endswith("gzip")


class _GuardedRequest(aiohttp.ClientRequest):
    """A request that refuses a kept connection over which something came that nobody asked for.

    aiohttp would take it for the answer (https://github.com/aio-libs/aiohttp/issues/13656). The error makes it connect
    anew.
    """

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send it, unless the connection is not silent."""
        if conn.protocol is not None and conn.protocol.should_close:
            raise aiohttp.ServerDisconnectedError("something came that nobody asked for")
        return await super().send(conn)


def open_transport(base_url: str) -> AiohttpTransport:
    """A transport to one server, through the environment's proxy unless the server is on this machine."""
    proxy = find_proxy(base_url)
    is_encrypted = "https" in (urlsplit(base_url).scheme, urlsplit(proxy or "").scheme)
    connector = aiohttp.TCPConnector(
        limit=0,  # requests wait for their turn before they come here
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        ssl=load_trust() if is_encrypted else True,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        request_class=_GuardedRequest,
        headers={"User-Agent": _user_agent(), "Accept": "application/json", "Accept-Encoding": "gzip"},
        skip_auto_headers=("Content-Type",),
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
        auto_decompress=False,  # its bound is on what comes, ours on what is made of it
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
    )
    session._retry_connection = False  # noqa: SLF001 - the client itself repeats and counts what was sent
    return AiohttpTransport(client=session, verify=False)  # the session's connector knows whom to trust


def find_proxy(base_url: str) -> str | None:
    """The environment's proxy for that address; none for this machine's own and those that `no_proxy` names."""
    parts = urlsplit(base_url)
    if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    scheme, separator, _ = proxy.partition("://")
    if separator and scheme.lower() not in ("http", "https"):
        raise _UnusableSettingError(
            f'the environment names a proxy of the kind "{clean(scheme)}", which can\'t be used: give one that begins'
            " with http:// or https://"
        )
    return proxy if separator else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def load_trust() -> ssl.SSLContext:
    """The certificate authorities of SSL_CERT_FILE or SSL_CERT_DIR, else those that browsers trust."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := os.environ.get(name):
            return _load_trust(name, path)
    return _load_trust("certifi", certifi.where())


@lru_cache(maxsize=4)
def _load_trust(name: str, path: str) -> ssl.SSLContext:
    """Read once: the certificates of all authorities take 20 ms."""
    try:
        if name == "SSL_CERT_DIR":
            next(Path(path).iterdir(), None)  # OpenSSL says nothing where there is no folder
            trust = ssl.create_default_context(capath=path)
        else:
            trust = ssl.create_default_context(cafile=path)
    except OSError as trouble:  # ssl.SSLError is one
        reason = trouble.strerror or "it holds no certificate"
        raise _UnusableSettingError(
            f"{name} is {clean(path)}, which can't be read ({clean(reason)}); correct it or unset it"
        ) from None
    trust.set_alpn_protocols(["http/1.1"])
    return trust


@cache
def _user_agent() -> str:
    return f"syncd/{version('syncd')}"


def path_segment(id: str) -> str:
    """The id as one segment of a path; raises RejectedError where an address can't hold it as one.

    Slashes and segments of one or two dots are resolved on the way, quoted or not, so that another path would be asked.
    """
    with _only_text():
        segment = quote(id, safe="")
    if segment in ("", ".", "..") or "/" in id or "\\" in id:
        raise _unusable(f'the id "{clean(id)}" can\'t be part of an address')
    return segment


@contextmanager
def _only_text() -> Iterator[None]:
    """Raise RejectedError for half a surrogate pair, which an argument that is no UTF-8 holds and no request can."""
    try:
        yield
    except UnicodeEncodeError:
        raise _unusable("text that is no valid Unicode can't be sent") from None


def _unusable(why: str) -> RejectedError:
    return RejectedError(f"{why}: nothing was asked", reason="unusable", said=why)


class _UnusableSettingError(Exception):
    """A setting of the environment that can't be used; its text may be shown and says what to do."""


FAULTS: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    ValueError,
    zlib.error,
    _UnusableSettingError,
)
"""Everything that a request raises beside being cancelled; ValueError is a header or an address that can't be used."""

_NEVER_LEFT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    _UnusableSettingError,
)
_BROKEN_OFF: Final = (
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
    aiohttp.ServerDisconnectedError,
    zlib.error,
)
# Their texts repeat headers, addresses and the passwords of proxies.
_UNTOLD: Final = (
    ValueError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.NonHttpUrlClientError,
)


def _unreachable(fault: Exception, request: str, secrets: tuple[str, ...], *, once_only: bool) -> UnreachableError:
    """The error for a fault of the network; for what must not be done twice, only whether it left is of use."""
    # What httpx's names leave open, as whether a request has left, the exception behind them says.
    if isinstance(fault, httpx.HTTPError) and isinstance(fault.__cause__, Exception):
        fault = fault.__cause__
    if isinstance(fault, _UnusableSettingError):
        return UnreachableError(f"{request}: {fault}", reason="connect")
    # aiohttp's exceptions hold headers in their attributes, which is why they are not chained.
    text = fault.message if isinstance(fault, aiohttp.ClientResponseError) else str(fault)
    said = "" if isinstance(fault, _UNTOLD) else clean(text, secrets)
    reason, advice = _explain(fault, is_lost=once_only and not isinstance(fault, _NEVER_LEFT))
    return UnreachableError(f"{request}: the server {advice}{said and f' ({said})'}", reason=reason)


def _explain(fault: Exception, *, is_lost: bool) -> tuple[str, str]:
    """The reason, and what to say of the server."""
    if is_lost:
        return "lost", "may have taken this, but its answer was lost; look before doing it again"
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return "connect", "can't be trusted; check the address, or name its authority's certificate in SSL_CERT_FILE"
    if isinstance(fault, (*_NEVER_LEFT, ValueError)):
        return "connect", "can't be reached; check the address, the network and any proxy"
    if isinstance(fault, TimeoutError):
        return "timeout", "does not answer in time; it is asked again later"
    if isinstance(fault, _BROKEN_OFF):
        return "truncated", "broke off its answer; it is asked again later"
    return "reset", "closed the connection; it is asked again later"


async def send_heartbeat(url: str) -> None:
    """Ask for the address once; raises UnreachableError, which does not name it: who knows it can feign our life."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_HEARTBEAT_SECONDS), open_transport(url) as transport:
            response = await transport.handle_async_request(httpx.Request("GET", url))
            await response.aclose()
    except FAULTS as fault:
        raise _unreachable(fault, "the heartbeat", (url, parts.path, parts.netloc), once_only=False) from None
    if response.status_code // 100 not in (2, 3):
        raise UnreachableError(
            f"the heartbeat was answered with {response.status_code}; check [heartbeat] url",
            reason=f"http_{response.status_code}",
        )
