"""The ASGI application: every endpoint a mirror needs, answering from the world."""

import json
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from syncd.simulator.cursors import Cursors
from syncd.simulator.gate import Gate
from syncd.simulator.problems import Problem
from syncd.simulator.quirks import Quirks
from syncd.simulator.reads import Reads
from syncd.simulator.records import Json
from syncd.simulator.specification import SPECIFICATION
from syncd.simulator.state import WorldState
from syncd.simulator.world import World
from syncd.simulator.writes import Writes

PREFIX = "/api/public/v1"


def encode(value: Any) -> bytes:
    """JSON as the server writes it: UTF-8, escapes only where a text can't be UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


class Api:
    """Answers requests under the lock of the world, so that each answer is one moment's truth."""

    def __init__(self, world: World, quirks: Quirks) -> None:
        self._world = world
        self._gate = Gate(world, quirks)
        self._cursors = Cursors(world, quirks)
        self._reads = Reads(world, quirks, self._cursors, self._gate)
        self._writes = Writes(world, quirks, self._gate)

    async def answer(self, request: Request) -> Response:
        """Find the endpoint, check the token and answer; problems become the API's errors."""
        body = await request.body()
        with self._world.lock:
            self._cursors.served += 1
            request_id = f"req_{self._cursors.served:08x}"
            try:
                status, content = self._dispatch(request, body)
            except Problem as problem:
                status, content = problem.status, problem.to_json(request_id)
            headers = {"date": http_date(self._world), "x-request-id": request_id}
            return Response(encode(content), status, headers, media_type="application/json")

    def _dispatch(self, request: Request, body: bytes) -> tuple[int, Json]:
        path = request.url.path.removeprefix(PREFIX).strip("/").split("/")
        if path == ["openapi.json"]:
            return 200, SPECIFICATION
        token = self._gate.token_of(request.headers.get("authorization"))
        self._gate.count(token, "read" if request.method == "GET" else "write")
        if request.method == "POST":
            return self._writes.answer(token, path, body)
        return 200, self._reads.answer(token, path, dict(request.query_params))


def http_date(world: WorldState) -> str:
    """The world's time as a `Date` header."""
    return format_datetime(world.now().replace(microsecond=0), usegmt=True)


def make_app(world: World, quirks: Quirks) -> Starlette:
    """The API alone, without faults, log and control plane."""
    api = Api(world, quirks)
    return Starlette(routes=[Route(PREFIX + "/{rest:path}", api.answer, methods=["GET", "POST"])])
