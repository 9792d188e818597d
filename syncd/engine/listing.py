"""Down the conversation list, page by page, from its head to the mark of the last walk or to its end."""

from dataclasses import dataclass, field

from msgspec import Struct

from syncd.core.answers import EntryPage
from syncd.core.entries import Surveyed, newest
from syncd.core.model import Instant
from syncd.core.observations import Entries, ListWalked
from syncd.engine.hydrate import Work
from syncd.engine.passing import Pass
from syncd.errors import RejectedError

_SPREAD_SECONDS = 0.2  # between one conversation and the next of a reconcile that nobody waits for


class Listing(Struct, frozen=True, kw_only=True):
    """What a walk down the list found: pages read, and conversations never seen before."""

    pages: int
    unknown: int


@dataclass(slots=True)
class _Descent:
    """A walk so far; `reached`: it is down at the mark; `changed`: the last page showed something new."""

    cursor: str | None = None
    cursors: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    head: Instant | None = None
    head_time: Instant | None = None
    pages: int = 0
    unknown: int = 0
    reached: bool = False
    changed: bool = False
    restarted: bool = False

    def note(self, page: EntryPage, surveyed: Surveyed) -> None:
        """Count a page, and move on to its cursor."""
        if self.head_time is None:
            self.head, self.head_time = newest(page.entries), page.server_time
        self.pages, self.unknown = self.pages + 1, self.unknown + surveyed.unknown
        self.reached = surveyed.done
        self.changed = bool(surveyed.owed) if page.entries else self.changed
        self.listed.update(entry.id for entry in page.entries)
        self.cursor = page.next_cursor

    def leads_on(self, page: EntryPage) -> bool:
        """Whether the page's cursor leads anywhere; one that was there before does not."""
        if self.cursor is None or self.cursor in self.cursors or not page.entries:
            return False
        self.cursors.add(self.cursor)
        return True

    def restart(self) -> None:
        """Begin again at the head, which stays what it was at first."""
        self.cursor, self.restarted = None, True
        self.cursors.clear()


async def walk_list(under: Pass, work: Work, *, whole: bool = False, reconcile: bool = False) -> Listing:
    """Walk the list, and owe a look to whatever changed.

    The mark is set when the walk is finished, to the head as it was before: what moves up in the meantime is above it.
    """
    descent = _Descent()
    while True:
        page = await _fetch_page(under, descent)
        surveyed = await _store_page(under, descent, page, whole=whole, reconcile=reconcile)
        under.walks.update(surveyed.walks)
        work.add(("conversation", id_) for id_ in surveyed.owed)
        descent.note(page, surveyed)
        under.mirror.tally.conversations = len(descent.listed)
        if not descent.leads_on(page) or (descent.reached and not whole):
            break
    await _finish(under, descent, whole=whole, reconcile=reconcile)
    return Listing(pages=descent.pages, unknown=descent.unknown)


async def _fetch_page(under: Pass, descent: _Descent) -> EntryPage:
    """The next page; a cursor that died costs one new beginning."""
    source = under.mirror.source
    try:
        return await under.ask(lambda: source.fetch_entries(descent.cursor))
    except RejectedError as refused:
        if descent.cursor is None or descent.restarted:
            raise
        under.mirror.log("cursor.expired", level="info", listing=True, request_id=refused.request_id)
    descent.restart()
    return await under.ask(lambda: source.fetch_entries(None))


async def _store_page(under: Pass, descent: _Descent, page: EntryPage, *, whole: bool, reconcile: bool) -> Surveyed:
    mirror = under.mirror
    observed = Entries(
        account=mirror.account,
        now=mirror.clock.now(),
        entries=page.entries,
        server_time=page.server_time,
        reconcile=reconcile,
        seen_before=len(descent.listed),
        spread=0.0 if whole else _SPREAD_SECONDS,
    )
    surveyed: Surveyed = await mirror.store.apply(observed)
    return surveyed


async def _finish(under: Pass, descent: _Descent, *, whole: bool, reconcile: bool) -> None:
    """Move the mark, unless the list broke off above it: then the next poll walks down again.

    A list that ended while it still showed changes, short of the mark, may have broken off.
    """
    mirror, ended = under.mirror, descent.cursor is None
    finished = whole or descent.reached or (ended and not descent.changed)
    if descent.head_time is None or not (finished or ended):
        return
    walked = ListWalked(
        account=mirror.account,
        now=mirror.clock.now(),
        head=descent.head if finished else None,
        server_time=descent.head_time,
        listed=frozenset(descent.listed) if reconcile and ended else None,
    )
    await mirror.store.apply(walked)
