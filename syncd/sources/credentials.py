"""The token: asked for when it is needed, asked for again when it is refused, never shown."""

import asyncio
from collections.abc import Callable

from syncd.errors import AuthError, FetchError, SyncdError


class Credentials:
    """Keeps the token that `ask` gives; with no `ask`, requests travel without one.

    `taken` counts the different tokens, so that whoever knows whose one was can tell that it is another's turn.
    """

    def __init__(self, ask: Callable[[], str] | None) -> None:
        self._ask = ask
        self._token: str | None = None
        self._times_asked = 0
        self._last: str | None = None
        self.taken = 0
        self._turn = asyncio.Lock()

    async def current(self) -> str | None:
        """The token in use, asked for if there is none yet; raises AuthError where none can be had."""
        if self._token is None and self._ask is not None:
            return await self.renewed(None)
        return self._token

    def forget(self) -> None:
        """Ask anew for what comes next: a token that works may yet be another's."""
        self._token = None

    async def renewed(self, refused: str | None) -> str | None:
        """Another token if it was rotated, else the refused one; those who ask at once share one answer."""
        times_asked = self._times_asked
        async with self._turn:
            if self._ask is not None and self._token == refused and self._times_asked == times_asked:
                self._token = await self._fetch(self._ask)
                self._times_asked += 1
                self.taken += self._token != self._last
                self._last = self._token
            return self._token

    async def _fetch(self, ask: Callable[[], str]) -> str:
        """Asks in a thread: it may run a command or read a slow disk."""
        try:
            token = (await asyncio.to_thread(ask)).strip()
        except FetchError:
            raise
        except SyncdError as trouble:
            raise AuthError(str(trouble), reason="no_token") from None
        if not (token and token.isascii() and token.isprintable()):
            raise AuthError("the token is empty or has characters that no token has: give it anew", reason="no_token")
        return token
