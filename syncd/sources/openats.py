"""OpenATS: the calls of its REST API that a mirror needs, each answered in the model's own terms."""

from collections.abc import Callable
from typing import TypeVar

from syncd.core.model import Identity, NotModified, Snapshot, Subject, SubjectKind, SubjectList
from syncd.errors import NotFoundError, ProtocolError
from syncd.sources import openats_parse as parse
from syncd.sources.answers import Answer, parsed
from syncd.sources.http import HttpCost, PoliteClient, path_segment

T = TypeVar("T")


class OpenATS:
    """A SnapshotSource: one OpenATS server, read through a client whose base_url goes up to and including `/api`."""

    def __init__(self, client: PoliteClient) -> None:
        self._client = client

    @property
    def cost(self) -> HttpCost:
        """What its requests have cost since it was opened."""
        return self._client.cost

    async def fetch_identity(self) -> Identity:
        """When it answers; a server without users has no more to say."""
        return Identity(user_id=None, scopes=None, server_time=(await self.fetch_jobs()).server_time)

    async def fetch_chat(self, kind: SubjectKind, id: str, etag: str | None) -> Snapshot | NotModified:
        """All messages of one chat; an unchanged one costs no body."""
        answer = await self._client.get_json(f"/chat/{kind}/{path_segment(id)}", etag=etag)
        if answer.is_unchanged:
            return NotModified(server_time=answer.server_time)
        return parsed(answer, lambda answer: parse.parse_snapshot(answer, kind, id))

    async def fetch_jobs(self, etag: str | None = None) -> SubjectList | NotModified:
        """Every job of every status; an unchanged list costs no body."""
        try:
            answer = await self._client.get_json("/jobs", etag=etag)
            if answer.is_unchanged:
                return NotModified(server_time=answer.server_time)
            return parsed(answer, parse.parse_jobs)
        except NotFoundError as error:
            raise ProtocolError(
                "GET /jobs is not found: base_url must go up to and including /api",
                reason="no_api",
                request_id=error.request_id,
                status=error.status,
            ) from None

    async def fetch_job(self, id: str) -> Subject:
        """One job; NotFoundError when there is none."""
        return await self._get(f"/jobs/{path_segment(id)}", lambda answer: parse.parse_one(answer, parse.parse_job))

    async def fetch_candidates(self, job_id: str) -> SubjectList:
        """The candidates of one job."""
        return await self._get(
            f"/candidates/jobs/{path_segment(job_id)}", lambda answer: parse.parse_candidates(answer, job_id)
        )

    async def fetch_candidate(self, id: str) -> Subject:
        """One candidate; NotFoundError when there is none."""
        return await self._get(
            f"/candidates/{path_segment(id)}", lambda answer: parse.parse_one(answer, parse.parse_candidate)
        )

    def drop_connections(self) -> None:
        """Connect anew for what comes next."""
        self._client.drop_connections()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._client.close()

    async def _get(self, path: str, parse_answer: Callable[[Answer], T]) -> T:
        return parsed(await self._client.get_json(path), parse_answer)
