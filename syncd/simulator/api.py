"""OpenTrain's API as an ASGI application: errors, tokens and limits, every GET and POST, the specification."""

import json
import math
import re
from bisect import bisect_right
from collections import deque
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from syncd.simulator.inbox import World
from syncd.simulator.paging import Cursors, Quirks, page_of_list, page_of_messages, read_limit
from syncd.simulator.records import Conversation, Event, Job, Json, Problem, Proposal, Token, invalid, missing, refused
from syncd.simulator.world import WorldState

_BEARER = re.compile(r"Bearer (ot_pat_[A-Za-z0-9]+_[A-Za-z0-9]+)", re.IGNORECASE)


class Gate:
    """Checks a request's token and how often it came."""

    def __init__(self, world: WorldState, quirks: Quirks) -> None:
        self._world = world
        self._quirks = quirks
        self._seen: dict[tuple[str, str], deque[int]] = {}

    def token_of(self, header: str | None) -> Token:
        """The token of an Authorization header; 401 when there is none that is known."""
        match = _BEARER.fullmatch(header or "")
        token = self._world.tokens.get(match.group(1)) if match else None
        if token is None:
            raise Problem(401, "Invalid or missing API token")
        return token

    def require(self, token: Token, scope: str) -> None:
        """403 unless the token holds the scope."""
        if not token.allows(scope):
            raise Problem(403, f"Token is missing the {scope} scope", details={"requiredScope": scope})

    def require_writes(self, token: Token) -> None:
        """403 unless the token may write, writing is switched on and the account is claimed."""
        self.require(token, "messages:write")
        if not self._quirks.writes_enabled:
            raise refused("feature_disabled", feature="public_api_messaging_writes")
        if not token.claimed:
            raise refused("account_claim_required", claimUrl="https://app.example/claim")

    def count(self, token: Token, kind: str) -> None:
        """429 when the token made more requests of a kind ("read", "write") in the window than allowed."""
        limit = self._quirks.read_limit if kind == "read" else self._quirks.write_limit
        if limit is None:
            return
        seen = self._seen.setdefault((token.public_id, kind), deque())
        now, window = self._world.now_ms(), self._quirks.read_window * 1000
        while seen and seen[0] <= now - window:
            seen.popleft()
        if len(seen) >= limit:
            wait = math.ceil((seen[0] + window - now) / 1000)
            raise Problem(429, "Too many requests", details={"retryAfterSeconds": max(1, wait)})
        seen.append(now)


# Every GET of the API.


Query = dict[str, str]
_FILTERS = {"all": None, "job": "job", "proposal": "proposal"}


def choose(query: Query, name: str, allowed: tuple[str, ...]) -> str:
    """A parameter of a fixed set, the first being the default; 400 for another value."""
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise invalid(name, f"Invalid enum value. Expected {' | '.join(allowed)}", "invalid_enum_value")
    return value


class Reads:
    """Answers GET requests of a token."""

    def __init__(self, world: World, quirks: Quirks, cursors: Cursors, gate: Gate) -> None:
        self._world = world
        self._quirks = quirks
        self._cursors = cursors
        self._gate = gate

    def answer(self, token: Token, path: list[str], query: Query) -> Json:
        """The body of a GET; `path` is what follows the API's prefix, split."""
        self._world.show_due()
        match path:
            case ["messages"]:
                read = self._messages if "conversationId" in query else self._conversations
                answer = read(token, query)
            case ["updates"]:
                answer = self._updates(token, query)
            case ["auth", "me"]:
                answer = self._identity(token)
            case ["jobs", "mine"]:
                answer = self._jobs(token, query)
            case ["jobs", job_id, "proposals"]:
                answer = self._job_proposals(token, job_id, query)
            case ["proposals", proposal_id]:
                answer = {"proposal": self._proposal(token, proposal_id).to_json()}
            case ["proposals", proposal_id, "interview"]:
                answer = self._interview(token, proposal_id)
            case _:
                raise missing("Contract" if path[0] == "contracts" else "Route")
        return answer

    def _conversations(self, token: Token, query: Query) -> Json:
        self._gate.require(token, "messages:read")
        limit = read_limit(query.get("limit"))
        bucket = _FILTERS[choose(query, "filter", tuple(_FILTERS))]
        unread = choose(query, "unreadOnly", ("false", "true", "1", "0")) in ("true", "1")

        def shown(conversation: Conversation) -> bool:
            return (
                token.user_id in conversation.participants
                and bucket in (None, conversation.bucket)
                and (not unread or (conversation.unread > 0 and conversation.owner == token.user_id))
            )

        page, cursor = page_of_list(
            self._world.every_conversation(),
            self._cursors,
            f"list:{bucket}:{unread}",
            cursor=query.get("cursor"),
            limit=limit,
            shown=shown,
        )
        return {"conversations": [c.to_json(token.user_id) for c in page], "nextCursor": cursor}

    def _messages(self, token: Token, query: Query) -> Json:
        self._gate.require(token, "messages:read")
        limit = read_limit(query.get("limit"))
        direction = choose(query, "direction", ("older", "newer"))
        conversation = self.conversation(token, query["conversationId"])
        walk = f"messages:{direction}:{conversation.id}"
        at = self._cursors.decode(walk, query.get("cursor"))
        page, edge = page_of_messages(conversation, self._quirks, at, limit=limit, direction=direction)
        return {
            "messages": [message.to_json(token.user_id) for message in page],
            "nextCursor": None if edge is None else self._cursors.encode(walk, edge),
        }

    def conversation(self, token: Token, conversation_id: str) -> Conversation:
        """A conversation of the token's user; 404 for none, 403 for another's."""
        conversation = self._world.conversations.get(conversation_id)
        if conversation is None:
            raise missing("Conversation")
        if token.user_id not in conversation.participants:
            raise Problem(403, "You are not a participant in this conversation")
        return conversation

    def _updates(self, token: Token, query: Query) -> Json:
        if not self._quirks.updates_available:
            raise missing("Route")
        if not any(scope.endswith((":read", ":write")) for scope in token.scopes):
            raise Problem(403, "Token has no scope that qualifies for any event")
        limit = read_limit(query.get("limit"), default=50, highest=200)
        cursor = query.get("cursor", "0")
        if not cursor.isascii() or not cursor.isdigit():
            raise invalid("cursor", "Invalid cursor")
        found = self._events_after(token, int(cursor))
        page = found[:limit]
        return {
            "events": [event.to_json() for event in page],
            "nextCursor": str(page[-1].id) if page else cursor,
            "hasMore": len(found) > limit,
        }

    def _events_after(self, token: Token, number: int) -> list[Event]:
        later = self._world.events[bisect_right(self._world.events, number, key=lambda event: event.id) :]
        mine = (event for event in later if event.visible and event.viewer == token.user_id)
        return [event for event in mine if token.allows(f"{event.type.split('.')[0]}s:read")]

    def _identity(self, token: Token) -> Json:
        return {
            "actor": {"userId": token.user_id, "email": "owner@example.test", "name": "Olivia Owner"},
            "token": {"publicId": token.public_id, "scopes": list(token.scopes)},
            "account": {"organizationId": self._world.organization, "claimed": token.claimed},
        }

    def _jobs(self, token: Token, query: Query) -> Json:
        self._gate.require(token, "jobs:read")
        limit = read_limit(query.get("limit"), default=25)
        mine = [job for job in self._world.jobs.values() if job.owner == token.user_id]
        mine.sort(key=lambda job: job.key, reverse=True)
        page, cursor = page_of_list(mine, self._cursors, "jobs", cursor=query.get("cursor"), limit=limit)
        return {"jobs": [self._world.job_json(job) for job in page], "nextCursor": cursor}

    def _job_proposals(self, token: Token, job_id: str, query: Query) -> Json:
        self._gate.require(token, "proposals:read")
        limit = read_limit(query.get("limit"), default=25)
        job = self._owned(token, self._world.jobs.get(job_id))
        proposals = [self._world.proposals[proposal_id] for proposal_id in job.proposal_ids]
        status = query.get("status")
        proposals = [p for p in proposals if status in (None, p.status)]
        proposals.sort(key=lambda p: p.key, reverse=True)
        walk = f"proposals:{job_id}:{status}"
        page, cursor = page_of_list(proposals, self._cursors, walk, cursor=query.get("cursor"), limit=limit)
        return {"proposals": [proposal.to_entry() for proposal in page], "nextCursor": cursor}

    def _owned(self, token: Token, job: Job | None) -> Job:
        if job is None:
            raise missing("Job")
        if job.owner != token.user_id:
            raise Problem(403, "You do not have access to this job")
        return job

    def _proposal(self, token: Token, proposal_id: str) -> Proposal:
        self._gate.require(token, "proposals:read")
        proposal = self._world.proposals.get(proposal_id)
        if proposal is None:
            raise missing("Proposal")
        self._owned(token, proposal.job)
        return proposal

    def _interview(self, token: Token, proposal_id: str) -> Json:
        interview = self._proposal(token, proposal_id).interview
        if interview is None or not interview.ready:
            raise Problem(404, "No AI interview is recorded for this proposal", details={"proposalId": proposal_id})
        return {"interview": interview.to_json(proposal_id)}


# Every POST of the API.


_LONGEST = 10_000


def utf16_length(text: str) -> int:
    """A text's length as JavaScript counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class Writes:
    """Answers POST requests of a token."""

    def __init__(self, world: World, quirks: Quirks, gate: Gate) -> None:
        self._world = world
        self._quirks = quirks
        self._gate = gate

    def answer(self, token: Token, path: list[str], body: bytes) -> tuple[int, Json]:
        """Status and body of a POST; `path` is what follows the API's prefix, split."""
        match path:
            case ["messages"]:
                return 201, self._send(token, body)
            case ["proposals", proposal_id, "conversation"]:
                return 200, self._open(token, proposal_id)
        raise missing("Route")

    def _send(self, token: Token, body: bytes) -> Json:
        self._gate.require_writes(token)
        conversation_id, content = self._parse(body)
        conversation = self._world.conversations.get(conversation_id)
        if conversation is None:
            raise missing("Conversation")
        self._check_sending(token, conversation, content)
        mine = token.user_id == self._world.viewer
        message_id = self._world.add_message(
            conversation_id, content, from_viewer=mine, sender=None if mine else token.user_id
        )
        message = self._world.find_message(conversation_id, message_id)
        if self._quirks.sent_visible_after > 0:
            self._world.hide_message(conversation_id, message_id, seconds=self._quirks.sent_visible_after)
        return {"ok": True, "message": message.to_json(token.user_id)}

    def _parse(self, body: bytes) -> tuple[str, str]:
        try:
            parsed: Any = json.loads(body)
        except ValueError:
            raise Problem(400, "Invalid JSON body") from None
        fields = parsed if isinstance(parsed, dict) else {}
        conversation_id, content = fields.get("conversationId"), fields.get("content")
        if not isinstance(conversation_id, str) or not conversation_id:
            raise invalid("conversationId", "Required", "invalid_type")
        if not isinstance(content, str):
            raise invalid("content", "Required", "invalid_type")
        content = content.strip() if self._quirks.trims_content else content
        if not 1 <= utf16_length(content) <= _LONGEST:
            raise invalid(
                "content", f"String must contain 1 to {_LONGEST} characters", "too_big" if content else "too_small"
            )
        return conversation_id, content

    def _check_sending(self, token: Token, conversation: Conversation, content: str) -> None:
        if token.user_id not in conversation.participants:
            raise Problem(403, "You are not a participant in this conversation")
        for word in sorted(self._world.blocked_words):
            if word in content:
                raise refused("message_policy_blocked", policy="contact_details")
        if conversation.read_only:
            raise refused("read_only_conversation", 409)
        if conversation.blocked:
            raise refused("message_blocked", 409)
        candidate_first = token.user_id != conversation.owner and not conversation.messages
        if conversation.proposal_id and candidate_first:
            raise refused("employer_first_message_required", 409)

    def _open(self, token: Token, proposal_id: str) -> Json:
        self._gate.require_writes(token)
        proposal = self._world.proposals.get(proposal_id)
        if proposal is None:
            raise missing("Proposal")
        if token.user_id == proposal.candidate.id:
            raise refused("employer_first_message_required")
        if proposal.job.owner != token.user_id:
            raise Problem(403, "The proposal is on another account's job")
        if proposal.candidate.erased and proposal.conversation_id is None:
            raise refused("proposal_not_ready_for_messaging", 409)
        created = proposal.conversation_id is None
        conversation_id = self._world.open_proposal_thread(proposal_id)
        return {
            "ok": True,
            "conversationId": conversation_id,
            "proposalId": proposal_id,
            "jobId": proposal.job.id,
            "created": created,
        }


# A plausible `openapi.json`: the paths, and the fields of what they answer.


_FIELDS = {
    "Conversation": "id type bucket jobId proposalId channelName updatedAt lastMessage unreadCount needsReplyCount",
    "Message": "id createdAt updatedAt conversationId jobId senderUserId isFromViewer content messageType system "
    "hasUnreadFlag attachmentCount hasAudio editedAt reactionCount",
    "Interview": "proposalId interviewId score summary messages",
    "InterviewMessage": "id role content sentAt",
    "Proposal": "id jobId jobTitle createdAt updatedAt status bid candidate metrics aiInterview verification openLabel "
    "contract",
    "Job": "id title status createdAt updatedAt proposalCounts",
    "Event": "id type apiVersion createdAt resourceId jobId data",
}
_PATHS = {
    "/messages": ("get", "post"),
    "/proposals/{proposalId}": ("get",),
    "/proposals/{proposalId}/interview": ("get",),
    "/proposals/{proposalId}/conversation": ("post",),
    "/jobs/mine": ("get",),
    "/jobs/{jobId}/proposals": ("get",),
    "/updates": ("get",),
    "/auth/me": ("get",),
    "/contracts/{contractId}": ("get",),
}


def _schema(names: str) -> Json:
    return {"type": "object", "properties": {name: {} for name in names.split()}}


SPECIFICATION: Json = {
    "openapi": "3.1.0",
    "info": {"title": "OpenTrain public API (simulated)", "version": "v1"},
    "servers": [{"url": "/api/public/v1"}],
    "paths": {
        path: {method: {"responses": {"200": {"description": "OK"}}} for method in methods}
        for path, methods in _PATHS.items()
    },
    "components": {"schemas": {name: _schema(names) for name, names in _FIELDS.items()}},
}


# The ASGI application: every endpoint a mirror needs, answering from the world.


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
