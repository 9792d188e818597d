"""OpenATS as an ASGI application under /api, with the oddities that the real server has."""

import base64
import hashlib
import json
from email.utils import format_datetime
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from syncd.simulator.exchange import App, Receive, Scope, Send
from syncd.simulator.openats import Team
from syncd.simulator.records import Json

_LARGEST = 2**31 - 1  # what the database's integers hold: a larger number is its error, and so a 500
_PAGE = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
    "<pre>Cannot GET {path}</pre>\n</body>\n</html>\n"
)


class OpenATSApi:
    """Answers requests under the lock of the team, so that each answer is one moment's truth."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._bodies: dict[str, tuple[tuple[int, ...], bytes, str]] = {}

    async def chat(self, request: Request) -> Response:
        """The whole history of a chat; of one that never was, an empty one."""
        kind, text = request.path_params["kind"], request.path_params["id"]
        with self._team.lock:
            if self._team.is_down or not _is_number(text):
                return self._answer(request, {"error": f"Failed to fetch {kind} chat history"}, 500)
            return self._conditional(request, *self._chat_body(kind, int(text)))

    async def jobs(self, request: Request) -> Response:
        """Every job."""
        with self._team.lock:
            if self._team.is_down:
                return self._answer(request, {"error": "Failed to fetch jobs"}, 500)
            return self._answer(request, {"data": [job.fields for job in self._team.subjects["job"].values()]})

    async def candidates(self, request: Request) -> Response:
        """Everybody who applied for a job."""
        text = request.path_params["id"]
        with self._team.lock:
            if self._team.is_down or not _is_number(text):
                return self._answer(request, {"error": "Failed to fetch candidates"}, 500)
            found = [c.fields for c in self._team.subjects["candidate"].values() if c.fields["jobId"] == int(text)]
            return self._answer(request, {"data": found})

    async def job(self, request: Request) -> Response:
        """One job, with more than the list shows of it."""
        return self._single(request, "job")

    async def candidate(self, request: Request) -> Response:
        """One candidate."""
        return self._single(request, "candidate")

    def _single(self, request: Request, kind: str) -> Response:
        text = request.path_params["id"]
        with self._team.lock:
            if self._team.is_down or not _is_number(text):
                return self._answer(request, {"error": f"Failed to fetch {kind}"}, 500)
            subject = self._team.subjects[kind].get(int(text))
            if subject is None:
                return self._answer(request, {"error": f"{kind.capitalize()} not found"}, 404)
            return self._answer(request, {"data": subject.fields | {"customQuestions": []}})

    def _chat_body(self, kind: str, id: int) -> tuple[bytes, str]:
        """The answer's bytes and their ETag, made anew only when something in it has changed."""
        team, name = self._team, f"{kind}:{id}"
        chat = team.subjects[kind].get(id)
        version = (
            team.salt,
            -1 if chat is None else chat.version,
            int(team.milliseconds) + 2 * int(team.documented) + 4 * int(team.full_names),
        )
        known = self._bodies.get(name)
        if known is None or known[0] != version:
            body = _encode({"data": team.history(kind, id)})
            known = self._bodies[name] = (version, body, _etag(body))
        return known[1], known[2]

    def _answer(self, request: Request, value: Json, status: int = 200) -> Response:
        body = _encode(value)
        return self._conditional(request, body, _etag(body), status)

    def _conditional(self, request: Request, body: bytes, etag: str, status: int = 200) -> Response:
        headers = {"date": format_datetime(self._team.clock().replace(microsecond=0), usegmt=True), "etag": etag}
        if status == HTTPStatus.OK and request.headers.get("if-none-match") == etag:
            return Response(b"", 304, headers)
        return Response(body, status, headers, media_type="application/json")


def _is_number(text: str) -> bool:
    return text.isdecimal() and int(text) <= _LARGEST


def _encode(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _etag(body: bytes) -> str:
    """A weak tag, as Express makes it."""
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()[:27]
    return f'W/"{len(body):x}-{digest}"'


async def _health(_: Request) -> Response:
    """The server itself is well, whatever its database does."""
    return Response(b'{"status":"ok"}', media_type="application/json")


async def _nowhere(request: Request, _: Exception) -> Response:
    """A page for people, as for every address that is no route."""
    return HTMLResponse(_PAGE.format(path=request.url.path), 404)


def make_openats(team: Team) -> Starlette:
    """The API alone, without faults, log and control plane."""
    api = OpenATSApi(team)
    routes = [
        Route("/health", _health),
        Route("/api/chat/{kind:str}/{id:str}", api.chat),
        Route("/api/jobs", api.jobs),
        Route("/api/jobs/{id:str}", api.job),
        Route("/api/candidates/jobs/{id:str}", api.candidates),
        Route("/api/candidates/{id:str}", api.candidate),
    ]
    return Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere})


def side_by_side(first: App, prefix: str, second: App) -> App:
    """One application of two: what begins with the prefix goes to the first."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (first if scope["path"].startswith(prefix) else second)(scope, receive, send)

    return answer
