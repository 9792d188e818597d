"""Cursors, the switches for what no document says, and which slice of a list a page is."""

import base64
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from syncd.simulator.records import Conversation, Message, invalid
from syncd.simulator.world import WorldState


@dataclass
class Quirks:
    """How this server turns out where the documents are silent; every field may change while it runs.

    `newer_without_cursor`: "oldest" or "newest" end of the thread. `page_order`: "oldest" or "newest" first, or "walk"
    (in the direction of the walk). `cursor_inclusive`: a page repeats its cursor's own message. `last_page_cursor`: a
    cursor even at the end of a thread. `cursor_lifetime_*`: after so many requests or seconds a cursor answers 400.
    `read_limit`, `write_limit`: requests a token may make in `read_window` seconds, then 429. `sent_visible_after`: a
    message that was sent is on no page for so many seconds. `filters_late`: pages are cut before what the viewer may
    not see is left out of them, so that some are short or empty and have a cursor. `page_cap`: the most that a page
    holds, whatever limit is asked for. `endless_lists`: each page of a list is the first one, with a cursor that was
    never there before.
    """

    newer_without_cursor: str = "oldest"
    page_order: str = "oldest"
    cursor_inclusive: bool = False
    last_page_cursor: bool = False
    list_last_page_cursor: bool = False
    cursor_lifetime_requests: int | None = None
    cursor_lifetime_seconds: float | None = None
    list_cursor: str = "keyset"
    updates_available: bool = True
    read_limit: int | None = None
    read_window: float = 60.0
    write_limit: int | None = None
    trims_content: bool = False
    sent_visible_after: float = 0.0
    writes_enabled: bool = True
    filters_late: bool = False
    page_cap: int | None = None
    endless_lists: bool = False

    def expires_cursors(self) -> bool:
        """Whether a cursor must carry its birth."""
        return self.cursor_lifetime_requests is not None or self.cursor_lifetime_seconds is not None


# Opaque cursors: where a walk goes on, bound to the walk they come from.


Key = tuple[int, str]


class Cursors:
    """Writes and reads cursors; counts requests, because a cursor may live for so many only."""

    def __init__(self, world: WorldState, quirks: Quirks) -> None:
        self._world = world
        self.quirks = quirks
        self.served = 0

    def encode(self, walk: str, key: Key) -> str:
        """A cursor of this walk standing at `key`; it carries its birth only where cursors die."""
        birth = [self.served, self._world.now_ms()] if self.quirks.expires_cursors() else []
        packed = json.dumps([walk, *key, *birth], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def decode(self, walk: str, text: str | None) -> Key | None:
        """The key a cursor stands at; 400 for another walk's, a dead or a made-up one."""
        if text is None:
            return None
        try:
            origin, number, id_, *birth = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, TypeError):
            raise invalid("cursor", "Invalid cursor") from None
        if origin != walk or self._is_dead(birth):
            raise invalid("cursor", "Invalid cursor")
        return (int(number), str(id_))

    def _is_dead(self, birth: list[int]) -> bool:
        if not birth:
            return False
        requests, seconds = self.quirks.cursor_lifetime_requests, self.quirks.cursor_lifetime_seconds
        too_many = requests is not None and self.served - birth[0] > requests
        return too_many or (seconds is not None and self._world.now_ms() - birth[1] > seconds * 1000)


# Which slice of an ordered list a page is; pure, so that every quirk can be read in one place.


T = TypeVar("T")


def _key(entry: Any) -> Key:
    key: Key = entry.key
    return key


def read_limit(text: str | None, *, default: int = 20, highest: int = 100) -> int:
    """The `limit` parameter; 400 when it is no whole number of 1 to `highest`."""
    if text is None:
        return default
    if not text.isascii() or not text.isdigit():
        raise invalid("limit", "Expected number, received nan", "invalid_type")
    number = int(text)
    if not 1 <= number <= highest:
        code = "too_big" if number > highest else "too_small"
        raise invalid("limit", f"Number must be between 1 and {highest}", code)
    return number


def cut_older(messages: Sequence[Message], key: Key | None, limit: int, *, inclusive: bool) -> tuple[int, int, bool]:
    """Start, end and whether more lies beyond, walking back from `key` (None: from the newest)."""
    bisect = bisect_right if inclusive else bisect_left
    end = len(messages) if key is None else bisect(messages, key, key=_key)
    start = max(0, end - limit)
    return start, end, start > 0


def cut_newer(
    messages: Sequence[Message], key: Key | None, limit: int, *, inclusive: bool, newest: bool
) -> tuple[int, int, bool]:
    """The same walking forward; without a key from the oldest, or the newest page where `newest`."""
    bisect = bisect_left if inclusive else bisect_right
    start = bisect(messages, key, key=_key) if key is not None else (max(0, len(messages) - limit) if newest else 0)
    end = min(len(messages), start + limit)
    return start, end, end < len(messages)


def page_of_messages(
    conversation: Conversation, quirks: Quirks, key: Key | None, *, limit: int, direction: str
) -> tuple[list[Message], Key | None]:
    """One page in the order the quirks say, and where the next one starts (None at the end)."""
    older = direction == "older"
    inclusive = quirks.cursor_inclusive
    messages = conversation.every_message() if quirks.filters_late else conversation.messages
    limit = min(limit, quirks.page_cap or limit)
    if older:
        start, end, more = cut_older(messages, key, limit, inclusive=inclusive)
    else:
        newest = quirks.newer_without_cursor == "newest"
        start, end, more = cut_newer(messages, key, limit, inclusive=inclusive, newest=newest)
    cut = messages[start:end]
    edge = (cut[0].key if older else cut[-1].key) if cut else key
    page = [message for message in cut if message.id not in conversation.deleted_messages]
    if quirks.page_order == "newest" or (quirks.page_order == "walk" and older):
        page.reverse()
    return page, edge if more or quirks.last_page_cursor else None


def page_of_list(
    entries: Sequence[T],
    cursors: Cursors,
    walk: str,
    *,
    cursor: str | None,
    limit: int,
    shown: Callable[[T], bool] = lambda _: True,
) -> tuple[Sequence[T], str | None]:
    """A page of what is shown of a list that runs newest first, by key or by offset, and the next cursor."""
    at, quirks = cursors.decode(walk, cursor), cursors.quirks
    if not quirks.filters_late:
        entries = [entry for entry in entries if shown(entry)]
    limit = min(limit, quirks.page_cap or limit)
    offset = quirks.list_cursor == "offset"
    start = 0
    if at is not None and not quirks.endless_lists:
        start = at[0] if offset else _first_below(entries, at)
    cut = entries[start : start + limit]
    page = [entry for entry in cut if shown(entry)]
    if quirks.endless_lists:
        return page, cursors.encode(walk, (cursors.served, f"again {cursors.served}"))
    more = start + limit < len(entries) or (quirks.list_last_page_cursor and bool(cut))
    if not more:
        return page, None
    return page, cursors.encode(walk, (start + limit, "") if offset else _key(cut[-1]))


def _first_below(entries: Sequence[T], key: Key) -> int:
    """Where a list that runs newest first passes `key`."""
    return bisect_left(range(len(entries)), True, key=lambda at: _key(entries[at]) < key)  # noqa: FBT003 - the value sought
