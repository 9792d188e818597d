"""Every POST of the API."""

import json
from typing import Any

from syncd.simulator.gate import Gate
from syncd.simulator.problems import Problem, invalid, missing, refused
from syncd.simulator.quirks import Quirks
from syncd.simulator.records import Conversation, Json, Token
from syncd.simulator.world import World

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
