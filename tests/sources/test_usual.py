"""A page read at once and a page read field by field come to the same."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import json

from syncd.core.model import Page
from syncd.errors import ProtocolError
from syncd.sources.answers import Answer
from syncd.sources.fields import parse_json
from syncd.sources.opentrain_parse import parse_page
from syncd.sources.opentrain_usual import USUAL_PAGE, UsualPage

USUAL: dict[str, Any] = {
    "id": "m1",
    "createdAt": "2026-03-01T10:00:00.000Z",
    "updatedAt": "2026-03-01T10:00:00.000Z",
    "conversationId": "c1",
    "jobId": None,
    "senderUserId": "u1",
    "isFromViewer": False,
    "content": "hello",
    "messageType": "TEXT",
    "system": False,
    "hasUnreadFlag": True,
    "attachmentCount": 0,
    "hasAudio": False,
    "editedAt": None,
    "reactionCount": 2,
}
times = (
    "2026-03-01T10:00:00Z",
    "2026-02-30T10:00:00.000Z",
    "2026-03-01T10:00:00.000Z\n",
    "2026-03-31T11:00:00.000+02:00",
)
values: tuple[Any, ...] = (None, "", "x", "c2", 0, 3, 3.0, 3.5, -(2**63), 2**63, 2**70, True, [], {}, {"a": 1})
odd: st.SearchStrategy[Any] = st.sampled_from([*values, *times])
changes = st.dictionaries(st.sampled_from([*USUAL, "senderName", "unknown"]), odd, max_size=3)
losses = st.sets(st.sampled_from(sorted(USUAL)), max_size=2)


def read(body: Any) -> Page | str:
    """The page, or what is wrong with it."""
    try:
        return parse_page(Answer(body=body, server_time="", status=200, request_id=None), "c1", 100)
    except ProtocolError as error:
        return str(error)


def test_the_usual_is_read_at_once() -> None:
    """What the documentation shows is of the usual shape."""
    assert isinstance(parse_json(json.encode({"messages": [USUAL], "nextCursor": None}), USUAL_PAGE), UsualPage)


@given(st.lists(st.tuples(changes, losses), max_size=4), st.sampled_from([None, "", "next", 7, [], "absent"]))
@example([({}, set())], "next")
def test_both_ways_agree(oddities: list[tuple[dict[str, Any], set[str]]], cursor: Any) -> None:
    """Whatever is odd about a message or the cursor, the result is the same with and without the usual shape."""
    messages = [
        {name: value for name, value in {**USUAL, **change}.items() if name not in lost} for change, lost in oddities
    ]
    page: dict[str, Any] = {"messages": messages, "beside": 1}
    sent = json.encode(page if cursor == "absent" else page | {"nextCursor": cursor})
    assert read(parse_json(sent, USUAL_PAGE)) == read(parse_json(sent))
