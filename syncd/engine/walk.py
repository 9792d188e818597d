"""One conversation, from a debt to its payment: look, ask for pages, store each, until its entry is proved."""

from typing import cast

from syncd.core.answers import Page
from syncd.core.messages import Stuck
from syncd.core.observations import ConversationGone, CursorDied, Look, PageRead
from syncd.core.pacing import EXPLAIN_PAGES
from syncd.core.thread import Trail, Walk
from syncd.core.walk import wants_solitude
from syncd.engine.ahead import Ahead
from syncd.engine.passing import Pass
from syncd.errors import FetchError, ForbiddenError, NotFoundError, RejectedError


async def walk_conversation(under: Pass, conversation_id: str) -> None:
    """Pay what the conversation is owed; what can't be had becomes a row in `failures`."""
    step = under.walks.pop(conversation_id, None) or await _look(under, conversation_id)
    if isinstance(step, Walk) and not wants_solitude(step):
        step = await _walk(under, conversation_id, step)
    if isinstance(step, Walk) and wants_solitude(step):
        async with under.alone():
            step = await _walk(under, conversation_id, step)
    if isinstance(step, Stuck):
        await _fail(under, conversation_id, "cursor_repeats", None)


async def _look(under: Pass, conversation_id: str) -> Walk | Stuck | None:
    """The walk that the debt needs; None when it could be settled at once."""
    mirror = under.mirror
    look = Look(account=mirror.account, now=mirror.clock.now(), conversation_id=conversation_id)
    return cast("Walk | Stuck | None", await mirror.store.apply(look))


async def _walk(under: Pass, conversation_id: str, begun: Walk) -> Walk | Stuck | None:
    """Page after page, to the walk's end or to where it goes on alone, or at the next poll."""
    async with Ahead(under, conversation_id) as ahead:
        return await _follow(under, conversation_id, begun, ahead)


async def _follow(under: Pass, conversation_id: str, begun: Walk, ahead: Ahead) -> Walk | Stuck | None:
    mirror, now = under.mirror, under.mirror.clock.now
    step: Walk | Stuck | None = begun
    trail, pages = Trail(), 0
    while isinstance(step, Walk) and wants_solitude(step) is wants_solitude(begun):
        if step.goal == "explain" and pages >= EXPLAIN_PAGES:
            return None  # it goes on at the next poll, from the cursor that is stored
        asked = step
        page = await _fetch_page(under, conversation_id, asked, ahead)
        if page is None:
            return None
        if isinstance(page, RejectedError):
            step, trail = await _recover(under, conversation_id, asked, page), Trail()
            continue
        pages += 1
        leads_on = trail.advances(asked.cursor, page)
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
            ahead.look(asked, page)
        step = await mirror.store.apply(read)
        if isinstance(step, Walk) and (step.direction, step.cursor is None) != (asked.direction, False):
            trail = Trail()
    return step


async def _fetch_page(under: Pass, conversation_id: str, walk: Walk, ahead: Ahead) -> Page | RejectedError | None:
    """The page that the walk asks for; a RejectedError if its cursor was refused, None if there is nothing more."""
    try:
        return await ahead.fetch(walk)
    except RejectedError as refused:
        if walk.cursor is not None:
            return refused
        await _fail(under, conversation_id, refused.reason, refused.request_id)
    except NotFoundError:
        await _gone(under, conversation_id, 404)
    except ForbiddenError as refused:
        if await under.list_still_answers():
            await _gone(under, conversation_id, 403)
        else:
            await _fail(under, conversation_id, refused.reason, refused.request_id)
    except FetchError as failed:
        await _fail(under, conversation_id, failed.reason, failed.request_id)
        under.weigh(failed)
    return None


async def _recover(under: Pass, conversation_id: str, walk: Walk, refused: RejectedError) -> Walk | None:
    """The bounded recovery from a dead cursor: once beside others and once alone; a third one is a failure."""
    mirror = under.mirror
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
    await _fail(under, conversation_id, "cursor_expired", refused.request_id)
    return None


async def _gone(under: Pass, conversation_id: str, status: int) -> None:
    mirror = under.mirror
    await mirror.store.apply(
        ConversationGone(account=mirror.account, now=mirror.clock.now(), conversation_id=conversation_id, status=status)
    )


async def _fail(under: Pass, conversation_id: str, reason: str, request_id: str | None) -> None:
    await under.fail("conversation", conversation_id, reason, request_id)
