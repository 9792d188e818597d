"""The one gate that all of an account's requests go through: while the server says to wait, none passes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from syncd.core.observations import Waiting
from syncd.core.pacing import SIT_OUT_SECONDS
from syncd.core.times import after, seconds_between
from syncd.engine.account import BaseMirror
from syncd.errors import RateLimitedError

_T = TypeVar("_T")

_MOST_WAITS = 5  # waits in a row without an answer in between: the server means it


class Gate:
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
        held = await self._mirror.store.fetch_account(self._mirror.account)
        if held.memo.limited_until is None:
            return
        left = seconds_between(self._mirror.clock.now(), held.memo.limited_until)
        if left > SIT_OUT_SECONDS:
            raise RateLimitedError("the server said to wait", retry_after=left)
        if left > 0:
            self._open_at = self._mirror.clock.monotonic() + left
