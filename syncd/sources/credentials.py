"""The token and a proxy's headers: asked for when needed, asked for again when refused, never shown."""

import asyncio
from collections.abc import Callable, Mapping

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


class Headers:
    """Keeps the headers that `ask` gives, beside the token; with no `ask` there are none. `held`: the ones in use."""

    def __init__(self, ask: Callable[[], Mapping[str, str]] | None) -> None:
        self._ask = ask
        self.held: Mapping[str, str] = {}
        self._is_asked = ask is None
        self._turn = asyncio.Lock()

    @property
    def values(self) -> tuple[str, ...]:
        """Their values, which no error repeats."""
        return tuple(self.held.values())

    async def current(self) -> Mapping[str, str]:
        """The headers in use, asked for if they were not yet; raises AuthError where they can't be had."""
        if not self._is_asked:
            await self.renewed(self.held)
        return self.held

    async def renewed(self, refused: Mapping[str, str]) -> Mapping[str, str]:
        """Other headers if they were rotated, else the refused ones; raises AuthError where they can't be had."""
        async with self._turn:
            if self._ask is not None and self.held == refused:
                self.held = dict(await asyncio.to_thread(self._ask))
                self._is_asked = True
            return self.held
