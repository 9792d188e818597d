"""The control plane under /_simulator/: steers a simulator in another process; loopback only."""

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncd.simulator.app import encode
from syncd.simulator.faults import Faults
from syncd.simulator.openats import Team
from syncd.simulator.quirks import Quirks
from syncd.simulator.requests import RequestLog
from syncd.simulator.world import World

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
