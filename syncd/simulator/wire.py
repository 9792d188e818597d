"""Between the socket and the API: the request log, the hook and the faults."""

import inspect
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from syncd.simulator.app import PREFIX, http_date
from syncd.simulator.exchange import App, Exchange, GoneError, Receive, Scope, Send
from syncd.simulator.faults import Faults
from syncd.simulator.records import Json
from syncd.simulator.requests import RequestLog, RequestRecord
from syncd.simulator.world import World

Hook = Callable[[RequestRecord], Awaitable[None] | None]


class Wire:
    """An ASGI application around the API's; what begins with /_simulator goes to `control` untouched."""

    def __init__(self, api: App, control: App, world: World, faults: Faults, requests: RequestLog) -> None:
        self._api = api
        self._control = control
        self._world = world
        self._faults = faults
        self._requests = requests
        self.hook: Hook | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or break it."""
        if scope["path"].startswith("/_simulator/"):
            await self._control(scope, receive, send)
            return
        body = await _read(receive)
        record = _record(scope, body)
        self._requests.add(record)
        exchange = Exchange(self._api, scope, receive, send, record, body, lambda: http_date(self._world))
        try:
            await self._answer(exchange)
        except GoneError:
            pass
        finally:
            self._requests.finish(record)

    async def _answer(self, exchange: Exchange) -> None:
        hooked = self.hook(exchange.record) if self.hook else None
        if inspect.isawaitable(hooked):
            await exchange.while_connected(hooked)
        fault = self._faults.take(exchange.record)
        if fault is None:
            await exchange.deliver(await exchange.ask())
            return
        exchange.record.fault = fault.name
        await fault.action(exchange)


async def _read(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _record(scope: Scope, body: bytes) -> RequestRecord:
    headers = dict(scope["headers"])
    parts = headers.get(b"authorization", b"").decode("latin-1").split("_")
    return RequestRecord(
        at=time.monotonic(),
        method=scope["method"],
        path=scope["path"].removeprefix(PREFIX),
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        token_id=parts[2] if len(parts) > 3 else None,  # noqa: PLR2004 - ot_pat_<publicId>_<secret>
        body=_parse(body),
    )


def _parse(body: bytes) -> Json | None:
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
