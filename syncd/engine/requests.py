"""How one account's requests are made: beside one another or alone, held back by a rate limit, ended by a trouble."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from syncd.core.account import limited_until
from syncd.core.observations import Failed, Waiting
from syncd.core.times import SIT_OUT_SECONDS, after, seconds_between
from syncd.core.walk import Walk
from syncd.engine.account import BaseMirror, Mirror, PassEndedError, WrongAccountError, identified
from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    RateLimitedError,
    StoreTroubleError,
    SyncdError,
    UnreachableError,
)

_T = TypeVar("_T")

_MOST_WAITS = 5  # waits in a row without an answer in between: the server means it


async def read_wait(mirror: BaseMirror) -> float:
    """Seconds that are left of a stored wait, 0 or less where there is none."""
    checkpoint, now = (await mirror.store.fetch_account(mirror.account)).account_checkpoint, mirror.clock.now()
    until = limited_until(checkpoint, now)
    if until is None:
        return 0.0
    if until != checkpoint.limited_until:  # the clock was set back: the wait ends by the new one
        await mirror.store.apply(Waiting(account=mirror.account, now=now, until=until))
    return seconds_between(now, until)


class RateLimitGate:
    """Lets requests pass, or keeps them all back: a wait belongs to the account, not to the request that met it.

    A wait of up to a minute is sat out, after storing it; then one request goes ahead, and the others only when it was
    answered.
    """

    def __init__(self, mirror: BaseMirror) -> None:
        self._mirror = mirror
        self._turn = asyncio.Lock()
        self._open_at: float | None = None
        self._waits = 0

    async def ask(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of `fetch`, as soon as the account may ask; RateLimitedError when that is too long for a pass."""
        while True:
            if self._open_at is None:
                try:
                    return await fetch()
                except RateLimitedError as limited:
                    await self._close(limited)
            async with self._turn:
                if self._open_at is not None:
                    await self._sit_out(self._open_at)
                    try:
                        answer = await fetch()
                    except RateLimitedError as limited:
                        await self._close(limited)
                    else:
                        self._open_at, self._waits = None, 0
                        return answer

    async def _close(self, limited: RateLimitedError) -> None:
        """Store the wait, then keep everybody back."""
        mirror = self._mirror
        already = self._open_at is not None and self._open_at > mirror.clock.monotonic()
        self._open_at = max(self._open_at or 0.0, mirror.clock.monotonic() + limited.retry_after)
        until = after(mirror.clock.now(), limited.retry_after)
        await mirror.store.apply(Waiting(account=mirror.account, now=mirror.clock.now(), until=until))
        if not already:  # the others that were in flight have met the same wait
            self._waits += 1
            mirror.log("account.waiting", level="info", retry_at=until, request_id=limited.request_id)
        if limited.retry_after > SIT_OUT_SECONDS or self._waits > _MOST_WAITS:
            raise limited

    async def _sit_out(self, open_at: float) -> None:
        left = open_at - self._mirror.clock.monotonic()
        if left > SIT_OUT_SECONDS:
            raise RateLimitedError("the server says to wait", retry_after=left)
        if left > 0:
            self._mirror.sits_until = open_at
            await self._mirror.clock.sleep(left)

    async def resume(self) -> None:
        """Keep a wait that an earlier process was told; RateLimitedError when it is too long to sit out."""
        left = await read_wait(self._mirror)
        if left > SIT_OUT_SECONDS:
            raise RateLimitedError("the server said to wait", retry_after=left)
        if left > 0:
            self._open_at = self._mirror.clock.monotonic() + left


# Requests beside one another, or those of one walk alone.


class ExclusiveAccess:
    """Lets every request pass, until one walk wants to be alone: then only those of its own task do."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._owner: asyncio.Task[object] | None = None
        self._passing = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def beside_others(self) -> AsyncIterator[None]:
        """One request; it waits while another task is alone."""
        if self._owner not in (None, asyncio.current_task()):
            async with self._changed:
                await self._changed.wait_for(lambda: self._owner is None)
        self._passing += 1
        try:
            yield
        finally:
            self._passing -= 1
            if self._owner is not None:
                async with self._changed:
                    self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """As many requests as this task makes inside, with no other one under way."""
        async with self._turn:
            self._owner = asyncio.current_task()
            try:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._passing == 0)
                yield
            finally:
                self._owner = None
                async with self._changed:
                    self._changed.notify_all()


# One pass over an account: what may end it, and what all of its workers share.


_MOST_IN_A_ROW = 5  # subjects that the server failed on, one after the other: then it is the server


class BasePass:
    """What the workers of one pass share, whatever the source; `trouble` is set once and ends them all."""

    def __init__(self, mirror: BaseMirror) -> None:
        self.gate = RateLimitGate(mirror)
        self._check_room = mirror.check_room
        self.trouble: SyncdError | None = None
        self._in_a_row = 0

    async def ask(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of a request; PassEndedError when no other request could fare better."""
        if self.trouble is not None:
            raise PassEndedError(self.trouble)
        try:
            self._check_room()
            answer = await self.gate.ask(fetch)
        except (AuthError, RateLimitedError, StoreTroubleError) as error:
            raise self.end(error) from None
        except UnreachableError as error:
            if error.reason == "connect":
                raise self.end(error) from None
            raise
        self._in_a_row = 0
        return answer

    def end(self, trouble: SyncdError) -> PassEndedError:
        """End the pass for everybody."""
        self.trouble = self.trouble or trouble
        return PassEndedError(self.trouble)


class SyncPass(BasePass):
    """A pass over an account whose source answers in pages.

    `walks`: where those of conversations that were just discovered begin. `pages_ahead`: asked for before their turn.
    `manual`: a person asked for it, so that what failed is tried at once.
    """

    def __init__(self, mirror: Mirror, *, manual: bool = False) -> None:
        super().__init__(mirror)
        self.mirror = mirror
        self.manual = manual
        self.walks: dict[str, Walk] = {}
        self.pages_ahead = 0
        self.attempted: set[tuple[str, str]] = set()
        self._list_answers: bool | None = None
        self._identifying = asyncio.Lock()
        self._exclusive = ExclusiveAccess()
        self.alone = self._exclusive.alone

    async def ask(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of a request, once it is known that the user who asked is still the same."""
        async with self._exclusive.beside_others():
            answer = await super().ask(fetch)
            async with self._identifying:
                if self._is_another_token():
                    self.mirror.identity = None
                    try:
                        await identified(self.mirror, super().ask)
                    except WrongAccountError as error:
                        raise self.end(error) from None
            return answer

    def _is_another_token(self) -> bool:
        return self.mirror.identity is not None and self.mirror.source.tokens_taken != self.mirror.identified_by

    def weigh(self, error: FetchError) -> None:
        """Tell a subject's failure from the server's: many in a row are an outage."""
        if isinstance(error, UnreachableError):
            self._in_a_row += 1
            if self._in_a_row >= _MOST_IN_A_ROW:
                raise self.end(error)

    async def fail(self, kind: str, subject_id: str, reason: str, request_id: str | None) -> None:
        """Put a subject off, with the reason, in the database and in the log."""
        mirror = self.mirror
        failed = Failed(
            account=mirror.account,
            now=mirror.clock.now(),
            kind=kind,
            subject_id=subject_id,
            reason=reason,
            request_id=request_id,
        )
        if await mirror.store.apply(failed) is not False:  # one that is known and not yet due is told of once
            mirror.log(
                "failure", level="warning", kind=kind, subject_id=subject_id, reason=reason, request_id=request_id
            )

    async def list_still_answers(self) -> bool:
        """Whether the list still answers for the same viewer and scopes, so that a 403 is a thing's own; asked once."""
        if self._list_answers is None:
            self._list_answers = await self._ask_list()
        return self._list_answers

    async def _ask_list(self) -> bool:
        source, known = self.mirror.source, self.mirror.identity
        try:
            await self.ask(lambda: source.fetch_entries(None))
            identity = await self.ask(source.fetch_identity)
        except ForbiddenError:
            return False
        except FetchError as error:
            self.weigh(error)
            return False
        return known is None or (identity.user_id, identity.scopes) == (known.user_id, known.scopes)
