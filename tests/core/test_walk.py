"""Walks over an abstract server, whichever way it turns out: each ends, soon, with everything held and proved."""

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from syncd.core.model import Conversation, Key, Message, Page
from syncd.core.walk import ConversationCheckpoint, Reason, Trail, Walk, advance, after_dead_cursor, begin

NOW = "2026-06-12T09:15:00.000Z"


class Server(Struct):
    """A thread's pages, in every way that no document rules out; a cursor is a place, written as text."""

    limit: int
    newest_without_cursor: bool = False
    inclusive: bool = False
    last_page_cursor: bool = False
    ties: bool = False
    places: list[Key] = []
    asked: int = 0

    def fill(self, count: int) -> None:
        """Add so many messages at the thread's end."""
        for number in range(len(self.places), len(self.places) + count):
            self.places.append((f"{NOW[:-2]}{number // 7 if self.ties else number:06}", f"m{number:06}"))

    def page(self, direction: Literal["older", "newer"], cursor: str | None) -> Page:
        """What the server answers."""
        self.asked += 1
        start, end = self._slice(direction, None if cursor is None else int(cursor))
        edge = start if direction == "older" else end - 1
        more = start > 0 if direction == "older" else end < len(self.places)
        found = self.places[start:end]
        there = more or (self.last_page_cursor and (bool(found) or cursor is not None))
        stays = edge if found else cursor
        return Page(
            conversation_id="c",
            messages=tuple(Message(id=id_, conversation_id="c", created_at=at) for at, id_ in reversed(found)),
            next_cursor=str(stays) if there else None,
            limit=self.limit,
            server_time=NOW,
        )

    def _slice(self, direction: str, cursor: int | None) -> tuple[int, int]:
        if direction == "older":
            end = len(self.places) if cursor is None else cursor + (1 if self.inclusive else 0)
            return max(0, end - self.limit), end
        first = max(0, len(self.places) - self.limit) if self.newest_without_cursor else 0
        start = first if cursor is None else cursor + (0 if self.inclusive else 1)
        return start, min(len(self.places), start + self.limit)


def entry_of(server: Server) -> Conversation:
    """The list's entry of that thread."""
    last = server.places[-1] if server.places else None
    return Conversation(id="c", last_message_id=last[1] if last else None)


class Mirror:
    """What is held of the thread, by walks alone."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.held: dict[str, Key] = {}
        self.thread = ConversationCheckpoint(history_before=NOW)
        self.closed = False

    def follow(self, *, verify: bool = False, dies: int | None = None) -> int:
        """Pay what the entry of this moment owes; how many requests that took. The cursor of request `dies` is dead."""
        entry, before = entry_of(self.server), self.server.asked
        reason = Reason(entry=entry, verify=verify)
        walk = begin(self.thread, reason, entry, self.held.get(entry.last_message_id or ""), 0)
        trail, self.closed = Trail(), False
        while walk is not None:
            assert self.server.asked - before <= 3 * len(self.server.places) / max(1, self.server.limit - 1) + 12
            if dies is not None and self.server.asked - before == dies and walk.cursor is not None:
                walk, dies, trail = after_dead_cursor(self.thread, walk), None, Trail()
                continue
            asked = walk
            walk = self._read(asked, trail, entry)
            if walk is not None and (walk.direction, walk.cursor is None) != (asked.direction, False):
                trail = Trail()
        if self.thread.whole_since is None:
            self.thread = ConversationCheckpoint(
                **{name: getattr(self.thread, name) for name in self.thread.__struct_fields__} | {"whole_since": NOW}
            )
        return self.server.asked - before

    def _read(self, walk: Walk, trail: Trail, entry: Conversation) -> Walk | None:
        page = self.server.page(walk.direction, walk.cursor)
        self.held |= {message.id: message.place for message in page.messages}
        last = self.held.get(entry.last_message_id or "")
        leads_on = trail.advances(walk.cursor, page)
        reached = advance(self.thread, walk, page, last_id=entry.last_message_id, last=last, leads_on=leads_on)
        assert not reached.stuck
        self.thread, self.closed = reached.checkpoint, reached.closed
        return self.thread.walk

    @property
    def missing(self) -> set[str]:
        """What the server has and the mirror has not."""
        return {id_ for _, id_ in self.server.places} - self.held.keys()


def servers() -> st.SearchStrategy[Server]:
    """Any server."""
    return st.builds(
        Server,
        limit=st.integers(2, 12),
        newest_without_cursor=st.booleans(),
        inclusive=st.booleans(),
        last_page_cursor=st.booleans(),
        ties=st.booleans(),
        places=st.builds(list[Key]),
    )


@settings(max_examples=400, deadline=None)
@given(server=servers(), size=st.integers(0, 60), grows=st.lists(st.integers(0, 40), max_size=4))
def test_everything_is_held(server: Server, size: int, grows: list[int]) -> None:
    """After a backfill, and after each tail, nothing is missing."""
    server.fill(size)
    mirror = Mirror(server)
    mirror.follow()
    assert mirror.missing == set()
    for count in grows:
        server.fill(count)
        mirror.follow()
        assert mirror.missing == set()


@settings(max_examples=300, deadline=None)
@given(
    server=servers(), size=st.integers(0, 60), grows=st.integers(0, 40), first=st.integers(0, 9), then=st.integers(0, 9)
)
def test_one_dead_cursor(server: Server, size: int, grows: int, first: int, then: int) -> None:
    """A cursor that dies anywhere costs requests, and no message."""
    server.fill(size)
    mirror = Mirror(server)
    mirror.follow(dies=first)
    assert mirror.missing == set()
    server.fill(grows)
    mirror.follow(dies=then)
    assert mirror.missing == set()


@settings(max_examples=300, deadline=None)
@given(server=servers(), size=st.integers(0, 60))
def test_comparison_meets_everything(server: Server, size: int) -> None:
    """A comparison goes from the first message to the last, and says so."""
    server.fill(size)
    mirror = Mirror(server)
    mirror.follow()
    mirror.held.clear()
    mirror.follow(verify=True)
    assert mirror.missing == set()
    assert mirror.closed


@settings(max_examples=200, deadline=None)
@given(server=servers(), size=st.integers(0, 60), grows=st.integers(1, 40))
def test_cost(server: Server, size: int, grows: int) -> None:
    """A backfill costs little more than the thread's pages; a tail its own pages and one more; rest costs nothing."""
    server.fill(size)
    mirror = Mirror(server)
    step = server.limit - (1 if server.inclusive else 0)
    pages = -(-size // step) if size else 0
    assert mirror.follow() <= 2 * pages + 1
    assert mirror.follow() == 0
    server.fill(grows)
    assert mirror.follow() <= 2 * -(-grows // step) + 3


@pytest.mark.parametrize("size", [1, 99, 100, 101, 200, 350])
def test_least_on_a_plain_server(size: int) -> None:
    """Where `newer` begins at the oldest message, a backfill costs a request a page; a lone full page one more."""
    server = Server(limit=100, places=[])
    server.fill(size)
    mirror = Mirror(server)
    assert mirror.follow() == -(-size // 100) + (1 if size == 100 else 0)


TRAILS: list[tuple[list[tuple[str | None, str | None, str]], list[bool]]] = [
    ([(None, "a", "x"), ("a", "a", "x")], [True, False]),
    ([(None, "a", "x"), ("a", "b", "y"), ("b", "a", "x")], [True, True, False]),
    ([(None, "a", "x"), ("a", "b", "x")], [True, False]),
    ([(None, None, "x")], [False]),
    ([("t", "t", "x")], [False]),
    ([(None, "a", "")], [False]),
]


@pytest.mark.parametrize(("steps", "verdicts"), TRAILS)
def test_trail(steps: list[tuple[str | None, str | None, str]], verdicts: list[bool]) -> None:
    """A cursor that repeats or cycles, or a page with nothing new, leads nowhere."""
    trail = Trail()

    def page(next_cursor: str | None, ids: str) -> Any:
        messages = tuple(Message(id=id_, conversation_id="c") for id_ in ids)
        return Page(conversation_id="c", messages=messages, next_cursor=next_cursor, limit=2, server_time=NOW)

    assert [trail.advances(asked, page(next_cursor, ids)) for asked, next_cursor, ids in steps] == verdicts
