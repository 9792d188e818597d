"""The cheap signals beside the list's head: the unread list and the server's own feed."""

from syncd.core.answers import Change
from syncd.core.entries import Surveyed
from syncd.core.observations import FeedRead, UnreadList
from syncd.engine.hydrate import Work
from syncd.engine.passing import Pass
from syncd.errors import (
    FetchError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    UnreachableError,
)


async def read_unread(under: Pass, work: Work) -> None:
    """Compare the unread list's first page with what counts as unread here; what the list itself said stands alone."""
    mirror = under.mirror
    try:
        page = await under.ask(lambda: mirror.source.fetch_entries(None, unread_only=True))
    except (UnreachableError, ProtocolError) as failed:
        under.weigh(failed)
        if not mirror.unread_fails:
            mirror.log("unread.failed", level="warning", reason=failed.reason, request_id=failed.request_id)
        mirror.unread_fails = True
        return
    if mirror.unread_fails:
        mirror.log("unread.recovered")
    mirror.unread_fails = False
    observed = UnreadList(
        account=mirror.account,
        now=mirror.clock.now(),
        entries=page.entries,
        complete=page.next_cursor is None,
        server_time=page.server_time,
    )
    surveyed: Surveyed = await mirror.store.apply(observed)
    under.walks.update(surveyed.walks)
    work.add(("conversation", id_) for id_ in surveyed.owed)


async def read_feed(under: Pass, work: Work) -> None:
    """One page of the server's feed, where it has one; it only makes haste, so nothing rests on it."""
    mirror = under.mirror
    if mirror.feed_absent:
        return
    held = await mirror.store.fetch_account(mirror.account)
    cursor = held.memo.feed_cursor
    changes: tuple[Change, ...] = ()
    try:
        page = await under.ask(lambda: mirror.source.fetch_changes(cursor))
    except RejectedError:
        mirror.feed_absent = cursor is None
        cursor = None  # its cursor is dead: from the beginning again, which costs a page a poll
    except (NotFoundError, ForbiddenError):
        mirror.feed_absent = True  # until the next start
        return
    except FetchError:
        return
    else:
        cursor, changes = page.next_cursor or cursor, page.changes
    surveyed: Surveyed = await mirror.store.apply(_feed(under, changes, cursor))
    work.add(("conversation", id_) for id_ in surveyed.owed)


def _feed(under: Pass, changes: tuple[Change, ...], cursor: str | None) -> FeedRead:
    mirror = under.mirror
    return FeedRead(
        account=mirror.account,
        now=mirror.clock.now(),
        messages=tuple(
            (change.conversation_id, change.message_id, change.created_at)
            for change in changes
            if change.conversation_id is not None and change.message_id is not None
        ),
        proposals=tuple((c.proposal_id, c.created_at) for c in changes if c.proposal_id is not None),
        cursor=cursor,
        every_proposal=mirror.policy.every_proposal,
    )
