"""One round over the chats of an account: what may end it, and what its workers have found so far."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from syncd.core.model import Instant
from syncd.core.observations import Observation
from syncd.core.snapshot import Pace, Wanted
from syncd.core.snapshot_seen import ChatsUnchanged, SubjectFailed
from syncd.engine.account import BaseMirror, PassEndedError
from syncd.engine.passing import BasePass
from syncd.errors import FetchError, SyncdError, UnreachableError
from syncd.protocols import SnapshotSource

_T = TypeVar("_T")

_MOST_IN_A_ROW = 5  # chats that the server failed on, one after the other: it is time to ask whether it is the server


@dataclass(slots=True, kw_only=True)
class SnapshotMirror(BaseMirror):
    """An account whose source answers with whole chats."""

    source: SnapshotSource
    wanted: Wanted


class Round(BasePass):
    """What the workers of one round share.

    A chat's failure is its own only if the server is well: until that is known, it is kept here, not in the database.
    """

    def __init__(self, mirror: SnapshotMirror) -> None:
        super().__init__(mirror)
        self.mirror = mirror
        self.pace = Pace(poll_seconds=mirror.policy.poll_seconds, idle_seconds=mirror.policy.idle_seconds)
        self.changed = 0
        self.answered = 0
        self.unchanged: list[str] = []
        self._failed: list[tuple[str, str, FetchError]] = []
        self._is_well = False

    @property
    def now(self) -> Instant:
        """The wall clock's time."""
        return self.mirror.clock.now()

    async def apply(self, observation: Observation) -> object:
        """Commit an observation; the planner's answer."""
        answer: object = await self.mirror.store.apply(observation)
        return answer

    async def each(self, items: Iterable[_T], work: Callable[[_T], Awaitable[None]]) -> None:
        """Do the work for each item, so many at once as the account may ask; PassEndedError when the round is over."""
        left = deque(items)

        async def labour() -> None:
            while left and self.trouble is None:
                item = left.popleft()
                try:
                    await work(item)
                except SyncdError as error:
                    self.end(error.trouble if isinstance(error, PassEndedError) else error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(left), self.mirror.policy.concurrency)):
                group.create_task(labour())
        if self.trouble is not None:
            raise PassEndedError(self.trouble)

    async def make_sure_it_is_well(self) -> None:
        """Believe a 404 only where the server still answers what it must; asked once a round."""
        if not self._is_well:
            await self.probe()

    async def probe(self) -> None:
        """Ask what the server must answer whatever it holds; where it does not, the round is over."""
        try:
            await self.ask(self.mirror.source.fetch_jobs)
        except FetchError as error:
            raise self.end(error) from None
        self._is_well = True

    def note_well(self) -> None:
        """The server has just answered what it must."""
        self._is_well = True

    async def doubt(self, kind: str, subject_id: str, error: FetchError) -> None:
        """Keep a failure until it is known whose it is; many in a row are the server's, unless it answers otherwise."""
        self._failed.append((kind, subject_id, error))
        self._in_a_row += 1
        if self._in_a_row < _MOST_IN_A_ROW:
            return
        if isinstance(error, UnreachableError) and error.status is None:
            raise self.end(error)
        await self.probe()

    async def write_failures(self) -> None:
        """Put off what failed while other things went well, with the reason, in the database and in the log."""
        if self._failed and self.answered == 0:
            await self.probe()
        mirror = self.mirror
        for kind, subject_id, error in self._failed:
            failed = SubjectFailed(
                account=mirror.account,
                now=self.now,
                kind=kind,
                subject_id=subject_id,
                reason=error.reason,
                request_id=error.request_id,
            )
            await self.apply(failed)
            mirror.log(
                "failure",
                level="warning",
                kind=kind,
                subject_id=subject_id,
                reason=error.reason,
                request_id=error.request_id,
            )

    async def write_unchanged(self) -> None:
        """Let the chats rest that answered 304, all in one transaction."""
        if self.unchanged:
            ids, self.unchanged = tuple(self.unchanged), []
            await self.apply(
                ChatsUnchanged(account=self.mirror.account, now=self.now, conversation_ids=ids, pace=self.pace)
            )
