"""Walks over an abstract server, whichever way it turns out: each ends, soon, with everything held and proved."""

from itertools import count as numbers
from string import ascii_letters
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from syncd.core.model import Conversation, Key, Message, Page
from syncd.core.walk import (
    MOST_IDLE,
    ConversationCheckpoint,
    ListWalk,
    Reason,
    Trail,
    Walk,
    advance,
    after_dead_cursor,
    begin,
)

NOW = "2026-06-12T09:15:00.000Z"


class Server(Struct):
    """A thread's pages, in every way that no document rules out; a cursor is a place, written as text.

    `cut`: by how much a page is shorter than was asked for. `gaps`: runs of places whose messages are shown to nobody.
    """

    limit: int
    cut: int = 0
    gaps: list[tuple[int, int]] = []
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

    def is_hidden(self, at: int) -> bool:
        """Whether the message at that place is shown to nobody; the newest one is."""
        return at < len(self.places) - 1 and any(start <= at < start + length for start, length in self.gaps)

    @property
    def shown(self) -> set[str]:
        """The ids of what is shown."""
        return {id_ for at, (_, id_) in enumerate(self.places) if not self.is_hidden(at)}

    def page(self, direction: Literal["older", "newer"], cursor: str | None) -> Page:
        """What the server answers."""
        self.asked += 1
        start, end = self._slice(direction, None if cursor is None else int(cursor))
        edge = start if direction == "older" else end - 1
        more = start > 0 if direction == "older" else end < len(self.places)
        found = self.places[start:end]
        there = more or (self.last_page_cursor and (bool(found) or cursor is not None))
        stays = edge if found else cursor
        shown = [place for at, place in enumerate(found, start=start) if not self.is_hidden(at)]
        return Page(
            conversation_id="c",
            messages=tuple(Message(id=id_, conversation_id="c", created_at=at) for at, id_ in reversed(shown)),
            next_cursor=str(stays) if there else None,
            limit=self.limit + self.cut,
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
        leads_on = trail.advances(walk.cursor, page.next_cursor)
        reached = advance(self.thread, walk, page, last_id=entry.last_message_id, last=last, leads_on=leads_on)
        assert reached.ending is None
        self.thread, self.closed = reached.checkpoint, reached.closed
        return self.thread.walk

    @property
    def missing(self) -> set[str]:
        """What the server has and the mirror has not."""
        return self.server.shown - self.held.keys()


def servers() -> st.SearchStrategy[Server]:
    """Any server."""
    return st.builds(
        Server,
        limit=st.integers(2, 12),
        cut=st.sampled_from([0, 0, 1, 90]),
        gaps=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=2),
        newest_without_cursor=st.booleans(),
        inclusive=st.booleans(),
        last_page_cursor=st.booleans(),
        ties=st.booleans(),
        places=st.builds(list[Key]),
    )


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


@given(server=servers(), size=st.integers(0, 60), grows=st.integers(1, 40))
def test_cost(server: Server, size: int, grows: int) -> None:
    """A backfill costs little more than the thread's pages; a tail its own pages and one more; rest costs nothing."""
    server.gaps.clear()
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
    """Where `newer` begins at the oldest message, a backfill costs a request a page; where all are full, one more."""
    server = Server(limit=100, places=[])
    server.fill(size)
    mirror = Mirror(server)
    assert mirror.follow() == -(-size // 100) + (1 if size % 100 == 0 else 0)


TRAILS: list[tuple[list[tuple[str | None, str | None]], list[bool]]] = [
    ([(None, "a"), ("a", "a")], [True, False]),
    ([(None, "a"), ("a", "b"), ("b", "a")], [True, True, False]),
    ([(None, "a"), ("a", "b")], [True, True]),
    ([(None, None)], [False]),
    ([("t", "t")], [False]),
]


@pytest.mark.parametrize(("steps", "verdicts"), TRAILS)
def test_trail(steps: list[tuple[str | None, str | None]], verdicts: list[bool]) -> None:
    """A cursor that repeats or cycles leads nowhere."""
    trail = Trail()
    assert [trail.advances(asked, next_cursor) for asked, next_cursor in steps] == verdicts


LISTS: list[tuple[list[tuple[str, str | None]], bool, str | None]] = [
    ([("ab", "1"), ("cd", None)], True, None),
    ([("ab", "1"), ("", "2"), ("", "3"), ("cd", None)], True, None),
    ([("", None)], True, None),
    ([("ab", "1"), ("cd", "1")], False, "cursor_repeats"),
    ([("ab", "1"), ("cd", "2"), ("ef", "1")], False, "cursor_repeats"),
    ([("", "1"), ("", "1")], False, "cursor_repeats"),
    ([("ab", str(page)) for page in range(11)], False, "pages_without_end"),
    ([(("ab", "cd")[page % 2], str(page)) for page in range(12)], False, "pages_without_end"),
    ([("ab", "start"), *(("", str(page)) for page in range(MOST_IDLE))], False, "pages_without_end"),
    ([("ab", "start"), *(("", str(page)) for page in range(MOST_IDLE - 1)), ("c", None)], True, None),
    ([(letter, letter) for letter in ascii_letters] + [("", None)], True, None),
]


@pytest.mark.parametrize(("pages", "ended", "ending"), LISTS)
def test_list_walk(pages: list[tuple[str, str | None]], ending: str | None, *, ended: bool) -> None:
    """Only a null cursor proves a list's end; one that repeats, and pages that bring nothing, give it up at once."""
    walk = ListWalk()
    goes_on = [walk.advance(ids, next_cursor) for ids, next_cursor in pages]
    assert goes_on == [True] * (len(pages) - 1) + [False]
    assert (walk.ended, walk.ending) == (ended, ending)


@given(pages=st.lists(st.sets(st.integers(0, 5).map(str)), min_size=1))
def test_list_walk_is_bounded(pages: list[set[str]]) -> None:
    """Whatever comes, and however often, a walk over so few entries ends soon."""
    walk = ListWalk()
    asked = next(number for number in numbers() if not walk.advance(pages[number % len(pages)], f"fresh {number}"))
    assert asked <= (len(walk.seen) + 1) * MOST_IDLE
    assert walk.ending == "pages_without_end"


@given(server=servers(), size=st.integers(1, 60), verify=st.booleans())
def test_thread_without_end_is_given_up(server: Server, size: int, *, verify: bool) -> None:
    """A server that answers the same page for ever, with a fresh cursor each time, is given up."""
    server.fill(size)
    thread, asked, entry = ConversationCheckpoint(history_before=NOW), 0, entry_of(server)
    page, last = server.page("older", None), server.places[-1]
    step = begin(thread, Reason(entry=entry, verify=verify), entry, None, 0)
    while step is not None:
        asked += 1
        assert asked <= 3 * MOST_IDLE
        came = structs.replace(page, next_cursor=f"fresh {asked}")
        reached = advance(thread, step, came, last_id=last[1], last=last, leads_on=True)
        thread, step = reached.checkpoint, reached.checkpoint.walk
    assert reached.ending == "pages_without_end"
