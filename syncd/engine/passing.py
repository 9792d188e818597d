"""One pass over an account: what may end it, and what all of its workers share."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from syncd.core.observations import Failed
from syncd.core.thread import Walk
from syncd.engine.account import BaseMirror, Mirror, PassEndedError
from syncd.engine.gate import Gate
from syncd.engine.identity import WrongAccountError, identified
from syncd.engine.solo import Solo
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

_MOST_IN_A_ROW = 5  # subjects that the server failed on, one after the other: then it is the server


class BasePass:
    """What the workers of one pass share, whatever the source; `trouble` is set once and ends them all."""

    def __init__(self, mirror: BaseMirror) -> None:
        self.gate = Gate(mirror)
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


class Pass(BasePass):
    """A pass over an account whose source answers in pages.

    `walks`: where those of conversations that were just discovered begin. `pages_ahead`: asked for before their turn.
    """

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror)
        self.mirror = mirror
        self.walks: dict[str, Walk] = {}
        self.pages_ahead = 0
        self.attempted: set[tuple[str, str]] = set()
        self._list_answers: bool | None = None
        self._identifying = asyncio.Lock()
        self._solo = Solo()
        self.alone = self._solo.alone

    async def ask(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of a request, once it is known that the user who asked is still the same."""
        async with self._solo.beside_others():
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
        await mirror.store.apply(failed)
        mirror.log("failure", level="warning", kind=kind, subject_id=subject_id, reason=reason, request_id=request_id)

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
