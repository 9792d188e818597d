"""The benchmarks' inbox pages honestly: what a walk meets does not depend on its direction or its pages' size."""

from typing import Any

import msgspec
import pytest

from benchmarks.inbox import MOST_UNREAD, Direction, Inbox, count_pages, plan_lengths

LENGTHS = plan_lengths(230, 2_500)


def walk(inbox: Inbox, conversation_id: str, direction: Direction, limit: int) -> list[Any]:
    """Every message of a conversation, oldest first."""
    found: list[Any] = []
    cursor: int | None = None
    while True:
        body = inbox.render_page(conversation_id, direction, cursor, limit)
        assert body is not None
        page = msgspec.json.decode(body)
        found = [*found, *page["messages"]] if direction == "newer" else [*page["messages"], *found]
        if page["nextCursor"] is None:
            return found
        cursor = int(page["nextCursor"])


def entries(inbox: Inbox, *, unread_only: bool = False) -> list[Any]:
    """The whole list."""
    found: list[Any] = []
    while True:
        page = msgspec.json.decode(inbox.render_list(len(found), 100, unread_only=unread_only))
        found += page["conversations"]
        if page["nextCursor"] is None:
            return found
        assert int(page["nextCursor"]) == len(found)


def test_lengths_are_as_asked() -> None:
    """The lengths add up to the messages asked for, and no conversation is empty."""
    assert (len(LENGTHS), sum(LENGTHS)) == (230, 2_500)
    assert min(LENGTHS) >= 1
    assert count_pages([1, 100, 101]) == 1 + 1 + 1 + 2


@pytest.mark.parametrize("direction", ["older", "newer"])
@pytest.mark.parametrize("limit", [7, 100])
def test_walks_agree(direction: Direction, limit: int) -> None:
    """Each walk meets every message once, in the order of time; the list names the last of them."""
    inbox = Inbox(LENGTHS)
    for number, entry in enumerate(entries(inbox)):
        messages = walk(inbox, entry["id"], direction, limit)
        assert [message["id"] for message in messages] == list(dict.fromkeys(message["id"] for message in messages))
        assert len(messages) == LENGTHS[number]
        assert sorted(messages, key=lambda message: message["createdAt"]) == messages
        assert entry["lastMessage"].items() <= messages[-1].items()
        assert entry["updatedAt"] == messages[-1]["updatedAt"]


def test_list_runs_newest_first() -> None:
    """The list runs from the newest activity down; the unread list is its beginning, on one page."""
    inbox = Inbox(LENGTHS)
    found = entries(inbox)
    assert sorted(found, key=lambda entry: entry["updatedAt"], reverse=True) == found
    assert entries(inbox, unread_only=True) == found[:MOST_UNREAD]
    assert [entry["unreadCount"] for entry in found] == [1] * MOST_UNREAD + [0] * (len(found) - MOST_UNREAD)


def test_unknown_conversation() -> None:
    """There is no page of a conversation that is not there."""
    assert Inbox(LENGTHS).render_page("cnv_0", "older", None, 100) is None
