"""OpenTrain: the calls of its public API that a mirror needs, each answered in the model's own terms."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec.json import Decoder

from syncd.core.model import (
    ChangePage,
    EntryPage,
    Identity,
    JobPage,
    Message,
    OpenedConversation,
    Page,
    ProposalPage,
    ProposalWithCandidate,
    Transcript,
)
from syncd.protocols import Direction
from syncd.sources import opentrain_hiring as hiring
from syncd.sources import opentrain_parse as parse
from syncd.sources.answers import Answer, parsed
from syncd.sources.http import HttpCost, PoliteClient, path_segment
from syncd.sources.opentrain_usual import USUAL_PAGE

T = TypeVar("T")

# A conversation that is under way is gone on with before another one is begun, so that the longest does not end last;
# what hangs on conversations comes after them.
_AT_ONCE: Final = 0
_BEGINNING: Final = 1
_HIRING: Final = 2

_API: Final = "/api/public/v1"  # below the origin, which is all that a user configures
_PAGE_LIMIT: Final = 100  # the most that GET /messages, /jobs/mine and /jobs/{id}/proposals give (their documentation)
_CHANGES_LIMIT: Final = 200  # the most that GET /updates gives (its documentation)


class OpenTrain:
    """A PagedSource: one OpenTrain account, read through a client whose base_url is the origin."""

    def __init__(self, client: PoliteClient) -> None:
        self._client = client

    @property
    def cost(self) -> HttpCost:
        """What its requests have cost since it was opened."""
        return self._client.cost

    @property
    def tokens_taken(self) -> int:
        """How many different tokens it has used so far."""
        return self._client.tokens_taken

    async def fetch_identity(self) -> Identity:
        """Whose token it is."""
        return await self._get("/auth/me", {}, parse.parse_identity)

    async def fetch_entries(self, cursor: str | None, *, unread_only: bool = False) -> EntryPage:
        """A page of the conversation list, newest activity first."""
        only = {"unreadOnly": "true"} if unread_only else {}
        return await self._get("/messages", _paging(cursor) | only, parse.parse_entries)

    async def fetch_messages(self, conversation_id: str, direction: Direction, cursor: str | None) -> Page:
        """A page of one conversation's messages; a cursor belongs to the direction it came from."""
        params = {"conversationId": conversation_id, "direction": direction, **_paging(cursor)}
        return await self._get(
            "/messages",
            params,
            lambda answer: parse.parse_page(answer, conversation_id, _PAGE_LIMIT),
            urgency=_BEGINNING if cursor is None else _AT_ONCE,
            decoder=USUAL_PAGE,
        )

    async def fetch_proposal(self, proposal_id: str) -> ProposalWithCandidate:
        """A proposal with its candidate."""
        return await self._get(f"/proposals/{path_segment(proposal_id)}", {}, hiring.parse_dossier, urgency=_HIRING)

    async def fetch_interview(self, proposal_id: str) -> Transcript:
        """A proposal's interview; NotFoundError when none is recorded."""
        return await self._get(
            f"/proposals/{path_segment(proposal_id)}/interview",
            {},
            lambda answer: hiring.parse_transcript(answer, proposal_id),
            urgency=_HIRING,
        )

    async def fetch_jobs(self, cursor: str | None) -> JobPage:
        """A page of the owner's jobs; plain /jobs would be the public market."""
        return await self._get("/jobs/mine", _paging(cursor), hiring.parse_jobs)

    async def fetch_job_proposals(self, job_id: str, cursor: str | None) -> ProposalPage:
        """A page of one job's proposals, newest first."""
        return await self._get(
            f"/jobs/{path_segment(job_id)}/proposals",
            _paging(cursor),
            lambda answer: hiring.parse_dossiers(answer, job_id),
        )

    async def fetch_changes(self, cursor: str | None) -> ChangePage:
        """One page of the feed from after `cursor`, oldest first."""
        return await self._get("/updates", _paging(cursor, _CHANGES_LIMIT), parse.parse_changes)

    async def send_message(self, conversation_id: str, content: str) -> Message:
        """Send one message of at most 10,000 characters, once: UnreachableError "connect" says that it never left."""
        body = {"conversationId": conversation_id, "content": content}
        answer = await self._client.post_json(f"{_API}/messages", body)
        return parsed(answer, lambda answer: parse.parse_sent(answer, conversation_id))

    async def open_conversation(self, proposal_id: str) -> OpenedConversation:
        """The proposal's conversation, which is opened if there is none yet."""
        answer = await self._client.post_json(f"{_API}/proposals/{path_segment(proposal_id)}/conversation")
        return parsed(answer, parse.parse_opened)

    def drop_connections(self) -> None:
        """Connect anew for what comes next."""
        self._client.drop_connections()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.close()

    async def _get(
        self,
        path: str,
        params: Mapping[str, str],
        parse_answer: Callable[[Answer], T],
        *,
        urgency: int = _AT_ONCE,
        decoder: Decoder[Any] | None = None,
    ) -> T:
        return parsed(await self._client.get_json(_API + path, params, urgency=urgency, decoder=decoder), parse_answer)


def _paging(cursor: str | None, limit: int = _PAGE_LIMIT) -> dict[str, str]:
    return {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
