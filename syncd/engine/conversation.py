"""One conversation, from a pending task to its completion: pages are fetched, stored, and followed to a proved end."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Self, cast

from syncd.core.conversation import Unproved
from syncd.core.model import Key, Page
from syncd.core.observations import CheckDue, ConversationGone, CursorDied, PageRead
from syncd.core.times import EXPLAIN_PAGES
from syncd.core.walk import Direction, Trail, Walk, wants_solitude
from syncd.engine.requests import SyncPass
from syncd.errors import FetchError, ForbiddenError, NotFoundError, RejectedError, SyncdError

_MOST_AHEAD = 8  # pages of one conversation that are not stored yet


class Prefetcher:
    """Fetches a walk's pages, and some of them before the walk is known to go on there.

    One page is asked for at a time, and only behind a full one whose cursor leads on, where hardly ever nothing
    follows; what was asked for in vain is thrown away. With one request at a time nothing is asked ahead.
    """

    def __init__(self, sync_pass: SyncPass, conversation_id: str) -> None:
        self._under = sync_pass
        self._conversation_id = conversation_id
        self._chain: deque[tuple[str, asyncio.Task[Page]]] = deque()  # the cursor that was asked for, its page
        self._cursors: set[str] = set()
        self._direction: Direction = "newer"
        self._seam: Key | None = None
        self._newest: Page | None = None

    async def fetch(self, walk: Walk) -> Page:
        """The page that the walk asks for; raises as the request does, PassEndedError included."""
        if self._chain and (self._direction, self._chain[0][0]) == (walk.direction, walk.cursor):
            return await self._take()
        await self._forget()
        return await self._ask(walk.direction, walk.cursor)

    def look(self, walk: Walk, page: Page) -> None:
        """Ask for what is behind this page, which the walk has brought and which is being stored now."""
        if not self._chain:
            self._direction, self._seam, self._newest = walk.direction, walk.seam, page
        self._go_on()

    def _go_on(self) -> None:
        """Ask for the page behind the newest one, unless that is still on its way, or is far enough ahead."""
        if self._chain:
            task = self._chain[-1][1]
            if not task.done() or task.cancelled() or task.exception() is not None:
                return
            self._newest = task.result()
        page = self._newest
        if page is None or page.next_cursor is None or len(page.messages) < page.limit or not self._has_room():
            return
        if self._seam is not None and any(message.place >= self._seam for message in page.messages):
            return  # it has met the newest page, which is here already
        if page.next_cursor in self._cursors:
            return  # it goes in circles, which is for the walk to say
        self._cursors.add(page.next_cursor)
        task = asyncio.get_running_loop().create_task(self._ask(self._direction, page.next_cursor))
        self._chain.append((page.next_cursor, task))
        self._under.pages_ahead += 1
        task.add_done_callback(lambda _: self._go_on())

    def _has_room(self) -> bool:
        """One page ahead is each conversation's right; of more there is room for two to each request in flight."""
        concurrency = self._under.mirror.policy.concurrency
        if concurrency == 1 or len(self._chain) >= _MOST_AHEAD:
            return False
        return not self._chain or self._under.pages_ahead < 2 * concurrency

    async def _take(self) -> Page:
        _, task = self._chain.popleft()
        self._under.pages_ahead -= 1
        if self._chain:
            self._go_on()
        else:
            self._newest = None  # until the walk has brought it
        return await task

    async def _ask(self, direction: Direction, cursor: str | None) -> Page:
        source = self._under.mirror.source
        return await self._under.ask(lambda: source.fetch_messages(self._conversation_id, direction, cursor))

    async def _forget(self) -> None:
        """Let what is on its way end: a request that is cancelled costs its connection."""
        tasks = {task for _, task in self._chain}
        self._under.pages_ahead -= len(tasks)
        self._chain.clear()
        self._newest = None
        try:
            if tasks:
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            with suppress(SyncdError, asyncio.CancelledError):  # what it raised was said where it matters
                task.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for asked in self._chain:
                asked[1].cancel()
        await self._forget()


# One conversation, from a debt to its payment: look, ask for pages, store each, until its entry is proved.


async def walk_conversation(sync_pass: SyncPass, conversation_id: str) -> None:
    """Pay what the conversation is owed; what can't be had becomes a row in `failures`."""
    step = sync_pass.walks.pop(conversation_id, None) or await _look(sync_pass, conversation_id)
    if isinstance(step, Walk) and not wants_solitude(step):
        step = await _walk(sync_pass, conversation_id, step)
    if isinstance(step, Walk) and wants_solitude(step):
        async with sync_pass.alone():
            step = await _walk(sync_pass, conversation_id, step)
    if isinstance(step, Unproved):
        await _fail(sync_pass, conversation_id, step.reason, None)


async def _look(sync_pass: SyncPass, conversation_id: str) -> Walk | Unproved | None:
    """The walk that the debt needs; None when it could be settled at once."""
    mirror = sync_pass.mirror
    look = CheckDue(account=mirror.account, now=mirror.clock.now(), conversation_id=conversation_id)
    return cast("Walk | Unproved | None", await mirror.store.apply(look))


async def _walk(sync_pass: SyncPass, conversation_id: str, begun: Walk) -> Walk | Unproved | None:
    """Page after page, to the walk's end or to where it goes on alone, or at the next poll."""
    async with Prefetcher(sync_pass, conversation_id) as prefetcher:
        return await _follow(sync_pass, conversation_id, begun, prefetcher)


async def _follow(
    sync_pass: SyncPass, conversation_id: str, begun: Walk, prefetcher: Prefetcher
) -> Walk | Unproved | None:
    mirror, now = sync_pass.mirror, sync_pass.mirror.clock.now
    step: Walk | Unproved | None = begun
    trail, pages = Trail(), 0
    while isinstance(step, Walk) and wants_solitude(step) is wants_solitude(begun):
        if step.goal == "explain" and pages >= EXPLAIN_PAGES:
            return None  # it goes on at the next poll, from the cursor that is stored
        asked = step
        page = await _fetch_page(sync_pass, conversation_id, asked, prefetcher)
        if page is None:
            return None
        if isinstance(page, RejectedError):
            step, trail = await _recover(sync_pass, conversation_id, asked, page), Trail()
            continue
        pages += 1
        leads_on = trail.advances(asked.cursor, page.next_cursor)
        mirror.tally.messages += len(page.messages)
        read = PageRead(
            account=mirror.account,
            now=now(),
            walk=asked,
            page=page,
            leads_on=leads_on,
            pausing=pages >= EXPLAIN_PAGES,
        )
        if leads_on and asked.goal == "fill" and not wants_solitude(asked):
            prefetcher.look(asked, page)
        step = await mirror.store.apply(read)
        if isinstance(step, Walk) and (step.direction, step.cursor is None) != (asked.direction, False):
            trail = Trail()
    return step


async def _fetch_page(
    sync_pass: SyncPass, conversation_id: str, walk: Walk, prefetcher: Prefetcher
) -> Page | RejectedError | None:
    """The page that the walk asks for; a RejectedError if its cursor was refused, None if there is nothing more."""
    try:
        return await prefetcher.fetch(walk)
    except RejectedError as refused:
        if walk.cursor is not None:
            return refused
        await _fail(sync_pass, conversation_id, refused.reason, refused.request_id)
    except NotFoundError:
        await _gone(sync_pass, conversation_id, 404)
    except ForbiddenError as refused:
        if await sync_pass.list_still_answers():
            await _gone(sync_pass, conversation_id, 403)
        else:
            await _fail(sync_pass, conversation_id, refused.reason, refused.request_id)
    except FetchError as failed:
        await _fail(sync_pass, conversation_id, failed.reason, failed.request_id)
        sync_pass.weigh(failed)
    return None


async def _recover(sync_pass: SyncPass, conversation_id: str, walk: Walk, refused: RejectedError) -> Walk | None:
    """The bounded recovery from a dead cursor: once beside others and once alone; a third one is a failure."""
    mirror = sync_pass.mirror
    died = CursorDied(account=mirror.account, now=mirror.clock.now(), conversation_id=conversation_id, walk=walk)
    step = await mirror.store.apply(died)
    mirror.log(
        "cursor.expired",
        level="info",
        conversation_id=conversation_id,
        request_id=refused.request_id,
        recovering=step is not None,
    )
    if isinstance(step, Walk):
        return step
    await _fail(sync_pass, conversation_id, "cursor_expired", refused.request_id)
    return None


async def _gone(sync_pass: SyncPass, conversation_id: str, status: int) -> None:
    mirror = sync_pass.mirror
    await mirror.store.apply(
        ConversationGone(account=mirror.account, now=mirror.clock.now(), conversation_id=conversation_id, status=status)
    )


async def _fail(sync_pass: SyncPass, conversation_id: str, reason: str, request_id: str | None) -> None:
    await sync_pass.fail("conversation", conversation_id, reason, request_id)
