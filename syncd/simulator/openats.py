"""An OpenATS server: its jobs, candidates and team chats, with the oddities that the real server has."""

import base64
import hashlib
import json
import random
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from syncd.simulator import texts
from syncd.simulator.faults import App, Receive, Scope, Send
from syncd.simulator.records import DAY_MS, ChatMessage, Json, Subject, iso, to_ms
from syncd.simulator.world import Clock, locked

_AVATARS = "https://r2.example/avatars"


class Team:
    """What an OpenATS server holds. Every message's chat is named by kind ("job", "candidate") and number.

    `is_down`: its database is; `milliseconds`: whether times show them; `documented`: system messages have no sender,
    as the document says and the server does not do. `full_names`: the last name shows too, as later versions have it.
    """

    def __init__(self, clock: Clock | None = None, seed: int = 1) -> None:
        self.lock = threading.RLock()
        self.clock: Clock = clock or (lambda: datetime.now(UTC))
        self.random = random.Random(seed)
        self.users: dict[int, tuple[str, str]] = {}
        self.subjects: dict[str, dict[int, Subject]] = {"job": {}, "candidate": {}}
        self.is_down = False
        self.milliseconds = True
        self.documented = False
        self.full_names = False
        self.salt = 0
        self._serials = {"job": 0, "candidate": 0, "job message": 0, "candidate message": 0}
        for name in ("John", "Sarah", "Mike"):
            self.new_user(name)

    def now_ms(self) -> int:
        """The server's time in milliseconds since 1970."""
        return to_ms(self.clock())

    def _next(self, name: str) -> int:
        self._serials[name] += 1
        return self._serials[name]

    def chat(self, kind: str, id: int) -> Subject:
        """A job or candidate that is there; KeyError when it is not."""
        return self.subjects[kind][id]

    @locked
    def new_user(self, first_name: str, last_name: str = "Doe") -> int:
        """A member of the team; returns their number."""
        id_ = len(self.users) + 1
        self.users[id_] = (first_name, last_name)
        return id_

    @locked
    def rename_user(self, id: int, first_name: str) -> None:
        """Every message of theirs, however old, shows the new name."""
        self.users[id] = (first_name, self.users[id][1])
        self.salt += 1

    @locked
    def new_job(self, title: str | None = None, status: str = "published") -> int:
        """A job; returns its number."""
        id_, now = self._next("job"), iso(self.now_ms())
        self.subjects["job"][id_] = Subject(
            {
                "id": id_,
                "title": title or self.random.choice(texts.JOB_TITLES),
                "status": status,
                "employmentType": "full_time",
                "salaryMin": "90000.00",
                "currency": "USD",
                "createdAt": now,
                "updatedAt": now,
            }
        )
        return id_

    @locked
    def new_candidate(self, job_id: int, first_name: str | None = None, last_name: str = "Doe") -> int:
        """Somebody applies for a job; returns their number."""
        id_, now = self._next("candidate"), iso(self.now_ms())
        self.subjects["candidate"][id_] = Subject(
            {
                "id": id_,
                "firstName": first_name or self.random.choice(texts.FIRST_NAMES),
                "lastName": last_name,
                "email": f"candidate{id_}@mail.example",
                "jobId": job_id,
                "currentStageId": 1,
                "appliedAt": now,
                "updatedAt": now,
            }
        )
        return id_

    @locked
    def change(self, kind: str, id: int, **fields: Any) -> None:
        """Change fields of a job or a candidate, by the API's names."""
        self.chat(kind, id).fields.update(fields, updatedAt=iso(self.now_ms()))

    @locked
    def delete(self, kind: str, id: int) -> None:
        """Delete a job or a candidate with its chat; a job that has candidates stays, as the server refuses that."""
        if kind == "job" and any(c.fields["jobId"] == id for c in self.subjects["candidate"].values()):
            raise ValueError("a job that has candidates can't be deleted")
        del self.subjects[kind][id]

    @locked
    def restore(self, kind: str, id: int, subject: Subject) -> None:
        """Put a deleted job or candidate back, as from a backup."""
        self.subjects[kind][id] = subject

    @locked
    def reserve(self, kind: str) -> int:
        """Take a message's number for a transaction that commits later."""
        return self._next(f"{kind} message")

    @locked
    def say(
        self,
        kind: str,
        id: int,
        text: str | None,
        *,
        sender: int | None = 2,
        sent_at: datetime | str | None = None,
        number: int | None = None,
    ) -> int:
        """Add a message and return its number; without a sender it is the system's.

        `number` as reserved, `sent_at` for a backdated or a tied one.
        """
        number = self.reserve(kind) if number is None else number
        moment = datetime.fromisoformat(sent_at) if isinstance(sent_at, str) else sent_at
        sent = self.now_ms() if moment is None else to_ms(moment)
        chat = self.chat(kind, id)
        chat.messages[number] = ChatMessage(number, text, sender or 1, sent, system=sender is None)
        chat.version += 1
        return number

    @locked
    def edit(self, kind: str, id: int, number: int, text: str | None) -> None:
        """Change a message's text; its number and time stay."""
        chat = self.chat(kind, id)
        chat.messages[number].text = text
        chat.version += 1

    @locked
    def hide(self, kind: str, id: int, number: int, *, hidden: bool = True) -> None:
        """Soft-delete a message, or take that back."""
        chat = self.chat(kind, id)
        chat.messages[number].deleted = hidden
        chat.version += 1

    @locked
    def erase(self, kind: str, id: int, number: int) -> None:
        """Hard-delete a message."""
        chat = self.chat(kind, id)
        del chat.messages[number]
        chat.version += 1

    @locked
    def shuffle_ties(self) -> None:
        """Let messages of the same time come in another order from now on."""
        self.salt += 1

    @locked
    def truth(self) -> Json:
        """All that the API would tell: chats by `kind:number`, jobs and candidates by number."""
        return {
            "chats": {
                f"{kind}:{id_}": self.history(kind, id_) for kind, found in self.subjects.items() for id_ in found
            },
            "jobs": {id_: dict(job.fields) for id_, job in self.subjects["job"].items()},
            "candidates": {id_: dict(candidate.fields) for id_, candidate in self.subjects["candidate"].items()},
        }

    @locked
    def history(self, kind: str, id: int) -> list[Json]:
        """One chat as the API prints it: newest first, ties in any order; empty where there is no such thing."""
        chat = self.subjects[kind].get(id)
        shown = [] if chat is None else [m for m in chat.messages.values() if not m.deleted]
        return [self._print(m) for m in sorted(shown, key=lambda m: (-m.sent, hash((self.salt, m.id))))]

    def _print(self, message: ChatMessage) -> Json:
        sender = None if self.documented and message.system else message.sender
        first, last = self.users.get(sender or 0, (None, None))
        shown: Json = {
            "id": message.id,
            "message": message.text,
            "senderId": sender,
            "sentAt": iso(message.sent) if self.milliseconds else iso(message.sent)[:-5] + "Z",
            "isSystemMessage": message.system,
            "senderName": f"{first} {last}" if first and self.full_names else first,
            "senderAvatar": f"{_AVATARS}/{first.lower()}.jpg" if first and sender == 2 else None,  # noqa: PLR2004 - one user has a picture
        }
        return shown | ({"senderLastName": last} if self.full_names else {})

    @classmethod
    def generate(
        cls,
        seed: int = 1,
        *,
        jobs: int = 6,
        candidates: int = 18,
        messages: int = 300,
        clock: Clock | None = None,
    ) -> "Team":
        """A team with a history of some weeks before now, the same for the same seed."""
        team = cls(clock, seed)
        chats = [("job", team.new_job()) for _ in range(jobs)]
        chats += [
            ("candidate", team.new_candidate(team.random.randint(1, jobs))) for _ in range(candidates if jobs else 0)
        ]
        now = team.now_ms()
        for n in range(messages if chats else 0):
            kind, id_ = team.random.choice(chats)
            ago = (messages - n) * 30 * DAY_MS // messages + team.random.randrange(1, 60_000)
            team.say_something(kind, id_, now - ago)
        return team

    @locked
    def say_something(self, kind: str, id: int, sent: int | None = None) -> int:
        """Somebody, or the system, says something made up; `sent` in milliseconds since 1970."""
        sender = self.random.choice([*self.users, None])
        text = self.random.choice(texts.TEAM_SYSTEM if sender is None else texts.TEAM)
        number = self.say(kind, id, text, sender=sender)
        if sent is not None:
            self.chat(kind, id).messages[number].sent = sent
        return number


# OpenATS as an ASGI application under /api, with the oddities that the real server has.


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
