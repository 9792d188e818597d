"""Every GET of the API."""

from bisect import bisect_right

from syncd.simulator.cursors import Cursors
from syncd.simulator.gate import Gate
from syncd.simulator.paging import page_of_list, page_of_messages, read_limit
from syncd.simulator.postings import Job, Proposal
from syncd.simulator.problems import Problem, invalid, missing
from syncd.simulator.quirks import Quirks
from syncd.simulator.records import Conversation, Event, Json, Token
from syncd.simulator.world import World

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
