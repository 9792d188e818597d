"""What syncd reads of OpenTrain, held against the specification that the server publishes of itself."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from syncd.sources.http import PoliteClient

READ: Final[Mapping[str, str]] = {
    "conversation": "id type bucket jobId proposalId updatedAt lastMessage unreadCount needsReplyCount",
    "message": "id createdAt updatedAt conversationId senderUserId isFromViewer content system hasUnreadFlag "
    "attachmentCount hasAudio editedAt reactionCount",
    "interview": "proposalId interviewId score summary messages",
    "proposal": "id jobId jobTitle createdAt updatedAt status bid candidate metrics aiInterview",
    "job": "id title status createdAt updatedAt",
}
"""The fields that syncd reads, by what they belong to."""

CALLS: Final = (
    "/messages",
    "/proposals/{}",
    "/proposals/{}/interview",
    "/jobs/mine",
    "/jobs/{}/proposals",
    "/auth/me",
)
"""The calls that syncd makes, with a parameter's name left out."""

_HALF = 0.5


async def fetch_specification(client: PoliteClient) -> Any:
    """The server's published specification, as JSON; raises what any request raises."""
    return (await client.get_json("/api/public/v1/openapi.json")).body


def find_differences(specification: Any) -> list[str]:
    """What syncd reads and the specification does not have, in words; empty when all is there.

    A schema's name is not relied upon: a thing is the schema that shares most fields with it, where that is at least
    half of them.
    """
    if not isinstance(specification, dict) or not isinstance(specification.get("paths"), dict):
        return ["it is no OpenAPI document"]
    paths = {_without_names(path) for path in specification["paths"]}
    missing = [f"no call {call}" for call in CALLS if not any(path.endswith(call) for path in paths)]
    schemas = list(_property_sets(specification))
    for thing, names in READ.items():
        fields = set(names.split())
        best = max((fields & schema for schema in schemas), key=len, default=set())
        if len(best) >= _HALF * len(fields):
            missing += [f"a {thing} has no {name}" for name in names.split() if name not in best]
        elif schemas:
            missing.append(f"nothing that looks like a {thing}")
    return missing


def _without_names(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _property_sets(node: Any) -> Iterator[set[str]]:
    """The property names of every object schema, wherever it stands."""
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and isinstance(node.get("properties"), dict):
        yield set(node["properties"])
    for child in below:
        yield from _property_sets(child)
