"""The simulator as a running server: a thread of its own, a real socket, the request log, the control plane."""

import asyncio
import dataclasses
import inspect
import ipaddress
import json
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncd.simulator.api import PREFIX, encode, http_date, make_app
from syncd.simulator.faults import App, Exchange, Faults, GoneError, Receive, RequestLog, RequestRecord, Scope, Send
from syncd.simulator.inbox import Scenario, World
from syncd.simulator.openats import Team, make_openats, side_by_side
from syncd.simulator.paging import Quirks
from syncd.simulator.records import Json

_SECONDS = 5.0


class ReachableProtocol(H11Protocol):
    """HTTP/1.1 that tells the application its connection, as `scope["state"]["transport"]`."""

    def connection_made(self, transport: Any) -> None:
        """Note the connection for every request on it."""
        super().connection_made(transport)
        # asyncio sets this only where the socket names its protocol; without it each answer waits 40 ms for an ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class PromptServer(uvicorn.Server):
    """A server that says when it listens and stops without waiting for its clients."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.listening.set()

    async def main_loop(self) -> None:
        """Wait to be stopped, instead of looking ten times a second."""
        await self._stopping.wait()

    def stop(self) -> None:
        """Ask from another thread for the end."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Break every connection, which ends every request, stalled ones too."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=1)


class Listener:
    """One bound address served by one thread."""

    def __init__(self, app: App, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self._server = PromptServer(_config(app))
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> None:
        """Serve in the background; returns when connections are accepted."""
        self._thread.start()
        if not self._server.listening.wait(_SECONDS):
            raise TimeoutError("the simulator did not start")

    def stop(self) -> None:
        """End the thread and close the socket."""
        self._server.stop()
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._socket]))


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ReachableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=600,
    )


# Between the socket and the API: the request log, the hook and the faults.


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


# The control plane under /_simulator/: steers a simulator in another process; loopback only.


# What the world does under its lock, except telling the truth, which has its own address.
HAPPENINGS = frozenset(name for name in dir(World) if hasattr(getattr(World, name), "__wrapped__")) - {
    "truth",
    "generate",
}
TEAM_HAPPENINGS = frozenset(name for name in dir(Team) if hasattr(getattr(Team, name), "__wrapped__")) - {"restore"}
FAULTS = frozenset(name for name in vars(Faults) if not name.startswith("_")) - {"take", "add", "clear", "pending"}


class Control:
    """Answers the control plane's requests."""

    def __init__(
        self,
        world: World,
        team: Team,
        quirks: Quirks,
        faults: Faults,
        requests: RequestLog,
        url: Callable[[], str],
    ) -> None:
        self._world = world
        self._team = team
        self._quirks = quirks
        self._faults = faults
        self._requests = requests
        self._url = url

    async def answer(self, request: Request) -> Response:
        """Find what is asked for; 403 from another machine, 404 and 400 with a text otherwise."""
        if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
            return JSONResponse({"error": "only from this machine"}, 403)
        verb = getattr(self, f"_{request.method.lower()}_{request.path_params['what']}", None)
        if verb is None:
            return JSONResponse({"error": "no such control"}, 404)
        body = await request.json() if request.method == "POST" else {}
        try:
            return Response(encode(verb(body)), media_type="application/json")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    def _get_truth(self, _: Any) -> Any:
        return self._world.truth()

    def _get_requests(self, _: Any) -> Any:
        return [record.to_json() for record in self._requests]

    def _get_info(self, _: Any) -> Any:
        return {"url": self._url(), "token": self._world.token, "viewerUserId": self._world.viewer}

    def _post_happening(self, body: Any) -> Any:
        return {"result": _call(self._world, HAPPENINGS, body)}

    def _get_team(self, _: Any) -> Any:
        return self._team.truth()

    def _post_team(self, body: Any) -> Any:
        return {"result": _call(self._team, TEAM_HAPPENINGS, body)}

    def _post_fault(self, body: Any) -> Any:
        _call(self._faults, FAULTS, body)
        return {"ok": True}

    def _delete_fault(self, _: Any) -> Any:
        self._faults.clear()
        return {"ok": True}

    def _post_quirks(self, body: Any) -> Any:
        known = {entry.name for entry in dataclasses.fields(Quirks)}
        if unknown := set(body) - known:
            raise ValueError(f"no such quirk: {', '.join(sorted(unknown))}")
        for name, value in body.items():
            setattr(self._quirks, name, value)
        return dataclasses.asdict(self._quirks)


def _call(target: object, allowed: frozenset[str], body: Any) -> Any:
    if body["name"] not in allowed:
        raise ValueError(f"unknown name {body['name']!r}; one of {', '.join(sorted(allowed))}")
    return getattr(target, body["name"])(**body.get("arguments", {}))


def make_control(control: Control) -> Starlette:
    """The control plane as an application."""
    return Starlette(routes=[Route("/_simulator/{what}", control.answer, methods=["GET", "POST", "DELETE"])])


# The simulator as a running server: a thread of its own, a real socket, a clean stop.


class Simulator:
    """An OpenTrain server on loopback: `with Simulator() as sim: …sim.url, sim.token…`.

    It serves OpenATS too, at `sim.openats_url`, from `sim.team`.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        team: Team | None = None,
        quirks: Quirks | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        **size: Any,
    ) -> None:
        self.world = world or World.generate(**size)
        self.team = team or Team.generate(size.get("seed", 1), clock=self.world.clock)
        self.quirks = quirks or Quirks()
        self.faults = Faults()
        self.requests = RequestLog()
        self.host = host
        self.port = port
        control = Control(self.world, self.team, self.quirks, self.faults, self.requests, lambda: self.url)
        api = side_by_side(make_app(self.world, self.quirks), PREFIX, make_openats(self.team))
        self._wire = Wire(api, make_control(control), self.world, self.faults, self.requests)
        self._listener: Listener | None = None
        self._scenario: Scenario | None = None

    @property
    def url(self) -> str:
        """The origin to put in a configuration."""
        return f"http://{self.host}:{self.port}"

    @property
    def openats_url(self) -> str:
        """The base_url of an OpenATS account."""
        return f"{self.url}/api"

    @property
    def token(self) -> str:
        """The owner's token with every scope."""
        return self.world.token

    @property
    def on_request(self) -> Hook | None:
        """Called (and awaited) in the server's thread before each answer."""
        return self._wire.hook

    @on_request.setter
    def on_request(self, hook: Hook | None) -> None:
        self._wire.hook = hook

    def start(self) -> Self:
        """Listen; returns when connections are accepted."""
        listener = Listener(self._wire, self.host, self.port)
        self.port = listener.port
        self._listener = listener
        listener.start()
        return self

    def stop(self) -> None:
        """Break every connection, stop listening and end the scenario."""
        if self._scenario:
            self._scenario.stop()
            self._scenario = None
        self.pause()

    def pause(self) -> None:
        """Stop listening: connections are refused until `resume`."""
        if self._listener:
            self._listener.stop()
            self._listener = None

    def resume(self) -> None:
        """Listen again on the same port."""
        self.start()

    def play(self, *, every: float = 1.0, seed: int = 1) -> Scenario:
        """Let seeded happenings occur, one every so many seconds on average, until the simulator stops."""
        self._scenario = Scenario(self.world, seed=seed, team=self.team)
        self._scenario.start(every)
        return self._scenario

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    *,
    announce: Callable[[str], None],
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    live: bool = True,
    **size: Any,
) -> None:
    """Run a simulator until SIGINT or SIGTERM; `announce` gets the text to print once it listens."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Simulator(host=host, port=port, seed=seed, **size) as simulator:
            if live:
                simulator.play(seed=seed)
            announce(render_welcome(simulator))
            ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def render_welcome(simulator: Simulator) -> str:
    """What a person needs to use the simulator from another terminal."""
    return "\n".join(
        (
            f"OpenTrain simulator at {simulator.url} with {len(simulator.world.conversations)} conversations.",
            "In another terminal:",
            f"  export OT_API_BASE_URL={simulator.url}",
            f"  export OT_API_TOKEN={simulator.token}",
            f"It serves OpenATS too, at {simulator.openats_url} (no token).",
            "Ctrl-C ends it.",
        )
    )
