"""Whatever the documents leave open can turn out either way."""

from itertools import pairwise
from typing import Any

import httpx
import pytest

from syncd.simulator import Simulator


def fill(sim: Simulator, count: int) -> tuple[str, list[str]]:
    """A new thread with `count` messages; its id and theirs, oldest first."""
    cid = sim.world.new_conversation()
    return cid, sim.world.burst(cid, count)


def read(api: httpx.Client, cid: str, **query: Any) -> tuple[list[str], str | None]:
    """The ids on one page and the next cursor."""
    page = api.get("/messages", params={"conversationId": cid, **query}).json()
    return [message["id"] for message in page["messages"]], page["nextCursor"]


def walk(api: httpx.Client, cid: str, **query: Any) -> list[list[str]]:
    """Every page until the cursor is null."""
    pages: list[list[str]] = []
    cursor = None
    for _ in range(20):
        ids, cursor = read(api, cid, **query, **({"cursor": cursor} if cursor else {}))
        pages.append(ids)
        if cursor is None:
            return pages
    raise AssertionError("the walk does not end")


def test_older_walk_is_whole(sim: Simulator, api: httpx.Client) -> None:
    """Walking older by default: newest page first, each page oldest first, null at the start."""
    cid, ids = fill(sim, 21)
    assert walk(api, cid, limit=10) == [ids[11:], ids[1:11], ids[:1]]


def test_newer_walk_starts_at_the_oldest(sim: Simulator, api: httpx.Client) -> None:
    """Walking newer by default begins with the oldest message and leaves no cursor to tail from."""
    cid, ids = fill(sim, 20)
    assert walk(api, cid, limit=10, direction="newer") == [ids[:10], ids[10:]]


def test_newer_may_start_at_the_newest_page(sim: Simulator, api: httpx.Client) -> None:
    """With the quirk, newer without a cursor is the newest page and nothing more."""
    cid, ids = fill(sim, 25)
    sim.quirks.newer_without_cursor = "newest"
    assert walk(api, cid, limit=10, direction="newer") == [ids[15:]]


@pytest.mark.parametrize(("order", "older", "newer"), [("newest", True, True), ("walk", True, False)])
def test_page_order(sim: Simulator, api: httpx.Client, order: str, *, older: bool, newer: bool) -> None:
    """A page may run newest first, always or only where the walk goes back."""
    cid, ids = fill(sim, 5)
    sim.quirks.page_order = order
    assert read(api, cid)[0] == (ids[::-1] if older else ids)
    assert read(api, cid, direction="newer")[0] == (ids[::-1] if newer else ids)


@pytest.mark.parametrize("direction", ["older", "newer"])
def test_inclusive_cursor_repeats_its_message(sim: Simulator, api: httpx.Client, direction: str) -> None:
    """With an inclusive cursor each page begins with the one message the page before ended with."""
    cid, ids = fill(sim, 25)
    sim.quirks.cursor_inclusive = True
    pages = walk(api, cid, limit=10, direction=direction)
    assert {id_ for page in pages for id_ in page} == set(ids)
    assert all(len(set(before) & set(after)) == 1 for before, after in pairwise(pages))


def test_last_page_may_carry_a_cursor(sim: Simulator, api: httpx.Client) -> None:
    """With the quirk the last page has a cursor, which leads to empty pages and to what comes later."""
    cid, ids = fill(sim, 15)
    sim.quirks.last_page_cursor = True
    page, cursor = read(api, cid, limit=100, direction="newer")
    assert page == ids
    assert read(api, cid, direction="newer", cursor=cursor) == ([], cursor)
    late = sim.world.add_message(cid, "one more")
    assert read(api, cid, direction="newer", cursor=cursor)[0] == [late]
    page, cursor = read(api, cid, limit=100)
    assert read(api, cid, limit=100, cursor=cursor) == ([], cursor)


def test_cursor_dies_after_requests(sim: Simulator, api: httpx.Client) -> None:
    """A cursor that lives for one request answers 400 at the second."""
    cid, _ = fill(sim, 25)
    sim.quirks.cursor_lifetime_requests = 1
    cursor = read(api, cid, limit=10)[1]
    query = {"conversationId": cid, "cursor": str(cursor)}
    assert api.get("/messages", params=query).status_code == 200
    assert api.get("/messages", params=query).status_code == 400


def test_cursor_dies_after_seconds(sim: Simulator, api: httpx.Client, clock: Any) -> None:
    """A cursor that lives for a minute answers 400 later, with a requestId."""
    cid, _ = fill(sim, 25)
    sim.quirks.cursor_lifetime_seconds = 60
    cursor = read(api, cid, limit=10)[1]
    clock.advance(61)
    reply = api.get("/messages", params={"conversationId": cid, "cursor": str(cursor)})
    assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST")
    assert reply.json()["requestId"]


@pytest.mark.parametrize("kind", ["keyset", "offset"])
def test_list_is_whole(sim: Simulator, api: httpx.Client, kind: str) -> None:
    """A list that nothing disturbs comes whole and in order, whatever its cursors are."""
    sim.quirks.list_cursor = kind
    assert walk_list(api) == sim.world.truth()["order"]


def walk_list(api: httpx.Client, *, between: Any = None) -> list[str]:
    """The ids of every page of the list; `between` is called once, after the first page."""
    ids: list[str] = []
    cursor: str | None = None
    for _ in range(20):
        query = {"limit": "10", **({"cursor": cursor} if cursor else {})}
        page = api.get("/messages", params=query).json()
        ids += [entry["id"] for entry in page["conversations"]]
        cursor = page["nextCursor"]
        if between:
            between()
            between = None
        if cursor is None:
            return ids
    raise AssertionError("the list does not end")


def test_moving_list_by_offset_repeats(sim: Simulator, api: httpx.Client) -> None:
    """With offsets, a conversation that rises between two pages shows another one twice."""
    sim.quirks.list_cursor = "offset"
    last = sim.world.truth()["order"][-1]
    ids = walk_list(api, between=lambda: sim.world.touch(last))
    assert len(ids) != len(set(ids))
    assert last not in ids


def test_moving_list_by_key_misses(sim: Simulator, api: httpx.Client) -> None:
    """With keys, what rises between two pages is missed and nothing comes twice."""
    last = sim.world.truth()["order"][-1]
    ids = walk_list(api, between=lambda: sim.world.touch(last))
    assert len(ids) == len(set(ids)) == len(sim.world.conversations) - 1
    assert last not in ids


def test_list_cursor_on_the_last_page(sim: Simulator, api: httpx.Client) -> None:
    """The list's last page may carry a cursor too; the page after it is empty."""
    sim.quirks.list_last_page_cursor = True
    page = api.get("/messages", params={"limit": 100}).json()
    after = api.get("/messages", params={"limit": 100, "cursor": page["nextCursor"]}).json()
    assert after == {"conversations": [], "nextCursor": None}


def test_updates_may_not_exist(sim: Simulator, api: httpx.Client) -> None:
    """A server without the feed answers 404."""
    sim.quirks.updates_available = False
    assert api.get("/updates").status_code == 404


def test_read_limit(sim: Simulator, api: httpx.Client, clock: Any) -> None:
    """After so many reads in a window comes 429 with the seconds that are left, and then all is well."""
    sim.quirks.read_limit = 2
    assert [api.get("/messages").status_code for _ in range(3)] == [200, 200, 429]
    clock.advance(20)
    assert api.get("/messages").json()["details"] == {"retryAfterSeconds": 40}
    clock.advance(40)
    assert api.get("/messages").status_code == 200


def test_write_quirks(sim: Simulator, api: httpx.Client) -> None:
    """The server may trim a text, limit writes, or refuse them all."""
    cid = sim.world.new_conversation()
    sim.quirks.trims_content, sim.quirks.write_limit = True, 1
    sent = api.post("/messages", json={"conversationId": cid, "content": "  hello\n"})
    assert sent.json()["message"]["content"] == "hello"
    assert api.post("/messages", json={"conversationId": cid, "content": "again"}).status_code == 429
    sim.quirks.writes_enabled, sim.quirks.write_limit = False, None
    assert api.post("/messages", json={"conversationId": cid, "content": "again"}).status_code == 403
