"""One polite HTTP client for every source: authentication, connections, retries, and errors with a meaning."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import httpx
import msgspec
from msgspec import Struct
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from syncd.errors import AuthError, FetchError, ForbiddenError, ProtocolError, RateLimitedError, UnreachableError
from syncd.protocols import Clock
from syncd.sources.answers import Answer, Reply, clean, parse_answer
from syncd.sources.credentials import Credentials, Headers
from syncd.sources.slots import Slots, open_client
from syncd.sources.transport_faults import FAULTS, transport_fault

__all__ = ["Answer", "HttpCost", "Manners", "PoliteClient"]

for _chatty in ("httpx", "httpcore"):  # a line for each request, with its whole address, belongs in no log of ours
    logging.getLogger(_chatty).setLevel(logging.WARNING)


class Manners(Struct, frozen=True, kw_only=True):
    """How patient the client is: seconds, bytes and tries; the deadline ends an attempt that drips for ever."""

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

    GETs are tried again on passing faults. The refusal of one request, by 401 or 429, is that of all: those that still
    wait for their turn raise it too and are not sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        token: Callable[[], str] | None = None,
        headers: Callable[[], Mapping[str, str]] | None = None,
        concurrency: int = 8,
        manners: Manners | None = None,
    ) -> None:
        self.cost = HttpCost()
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._credentials = Credentials(token)
        self._manners = manners or Manners()
        self._headers = Headers(headers)
        self._slots = Slots(concurrency, self._open_client)
        self._halt = _Halt()

    async def get_json(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        etag: str | None = None,
        urgency: int = 0,
        usual: msgspec.json.Decoder[Any] | None = None,
    ) -> Answer:
        """What the server says there, asked a few times if need be; nothing but a 304 if it still is version `etag`.

        Where more is asked than may be in flight, the lowest `urgency` goes first. A body of the `usual` shape is
        what that decoder makes of it.
        """
        request = _Request(method="GET", path=path, params=dict(params or {}), etag=etag, urgency=urgency, usual=usual)
        return await self._ask(request, _is_passing)

    async def post_json(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """What the server says to that; repeated only where it surely never left (`reason` "connect")."""
        content = None if body is None else msgspec.json.encode(body)
        texts = tuple(text for text in (body or {}).values() if isinstance(text, str))
        return await self._ask(_Request(method="POST", path=path, content=content, texts=texts), _never_left)

    @property
    def tokens_taken(self) -> int:
        """How many different tokens it has used so far."""
        return self._credentials.taken

    def drop_connections(self) -> None:
        """Connect anew for what comes next: after a suspend the old connections lead nowhere, the token may be old."""
        self._slots.drop()
        self._credentials.forget()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._slots.close()

    async def _ask(self, request: "_Request", again: Callable[[BaseException], bool]) -> Answer:
        manners = self._manners
        retrying = AsyncRetrying(
            stop=stop_after_attempt(manners.attempts),
            wait=wait_random_exponential(multiplier=manners.first_wait, max=manners.longest_wait),
            retry=retry_if_exception(again),
            sleep=self._clock.sleep,
            reraise=True,
        )
        return await retrying(self._attempt, request, self._halt)

    async def _attempt(self, request: "_Request", halt: "_Halt") -> Answer:
        """One try, or two where the token or a header was rotated meanwhile."""
        try:
            token, headers = await self._credentials.current(), await self._headers.current()
            try:
                return await self._exchange(request, token, halt)
            except (AuthError, ForbiddenError) as refusal:
                renewed = await self._credentials.renewed(token) if isinstance(refusal, AuthError) else token
                if await self._headers.renewed(headers) != headers:
                    self._slots.drop()
                elif renewed == token:
                    raise
            return await self._exchange(request, renewed, halt)
        except (AuthError, RateLimitedError) as refusal:
            halt.refusal = self._halt.refusal = refusal
            self._halt = _Halt()
            raise

    async def _exchange(self, request: "_Request", token: str | None, halt: "_Halt") -> Answer:
        """One request on the wire; what was refused while this one waited for its turn is refused here too."""
        secrets = (*self._headers.values, *request.texts, *((token,) if token else ()))
        try:
            async with self._slots.lend(fresh=request.once_only, urgency=request.urgency) as client:
                outcome = halt.refusal or await self._send(client, request, token, secrets)
        except FAULTS as fault:
            raise transport_fault(fault, request.name, secrets, once_only=request.once_only) from None
        if isinstance(outcome, FetchError):
            raise outcome
        return parse_answer(outcome, self._clock.now(), conditional=request.etag is not None, usual=request.usual)

    async def _send(
        self, client: httpx.AsyncClient, request: "_Request", token: str | None, secrets: tuple[str, ...]
    ) -> Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        if request.etag is not None:
            headers["If-None-Match"] = request.etag
        self.cost.requests += 1
        async with (
            asyncio.timeout(self._manners.deadline),
            client.stream(
                request.method,
                self._base_url + request.path,
                params=request.params or None,
                content=request.content,
                headers=headers,
            ) as response,
        ):
            status = response.status_code
            self.cost.by_status[status] = self.cost.by_status.get(status, 0) + 1
            body = await self._read(response, request.name)
        return Reply(request=request.name, status=status, headers=response.headers, body=body, secrets=secrets)

    def _open_client(self) -> httpx.AsyncClient:
        manners = self._manners
        ours = {"User-Agent": _user_agent(), "Accept": "application/json", **self._headers.held}
        timeout = httpx.Timeout(manners.read_timeout, connect=manners.connect_timeout)
        return open_client(self._base_url, ours, timeout)

    async def _read(self, response: httpx.Response, name: str) -> bytes:
        """The body, decoded; counted even where it breaks off, refused where it is larger than any answer we know."""
        body = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._manners.body_limit:
                    raise ProtocolError(
                        f"{name} was answered with more than {self._manners.body_limit} bytes: no answer is that long",
                        reason="too_large",
                        status=response.status_code,
                    )
        finally:
            self.cost.received_bytes += response.num_bytes_downloaded
        return bytes(body)


class _Request(Struct, frozen=True, kw_only=True):
    """What to ask; `texts` are people's words in it, which no error repeats."""

    method: str
    path: str
    params: dict[str, str] = {}
    content: bytes | None = None
    texts: tuple[str, ...] = ()
    etag: str | None = None
    urgency: int = 0
    usual: msgspec.json.Decoder[Any] | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.method} {clean(self.path)}"

    @property
    def once_only(self) -> bool:
        """Whether doing it twice would be seen; it then travels on a connection of its own, which can't be stale."""
        return self.method != "GET"


class _Halt:
    """Shared by the requests under way: the refusal that one of them met."""

    refusal: FetchError | None = None


def _is_passing(fault: BaseException) -> bool:
    """Whether a GET may go better at once: a fault of the network, a 5xx, or a body cut short."""
    return isinstance(fault, UnreachableError) or (isinstance(fault, ProtocolError) and fault.reason == "not_json")


def _never_left(fault: BaseException) -> bool:
    return isinstance(fault, UnreachableError) and fault.reason == "connect"


@cache
def _user_agent() -> str:
    return f"syncd/{version('syncd')}"
