"""Opaque cursors: where a walk goes on, bound to the walk they come from."""

import base64
import json

from syncd.simulator.problems import invalid
from syncd.simulator.quirks import Quirks
from syncd.simulator.state import WorldState

Key = tuple[int, str]


class Cursors:
    """Writes and reads cursors; counts requests, because a cursor may live for so many only."""

    def __init__(self, world: WorldState, quirks: Quirks) -> None:
        self._world = world
        self.quirks = quirks
        self.served = 0

    def encode(self, walk: str, key: Key) -> str:
        """A cursor of this walk standing at `key`; it carries its birth only where cursors die."""
        birth = [self.served, self._world.now_ms()] if self.quirks.expires_cursors() else []
        packed = json.dumps([walk, *key, *birth], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def decode(self, walk: str, text: str | None) -> Key | None:
        """The key a cursor stands at; 400 for another walk's, a dead or a made-up one."""
        if text is None:
            return None
        try:
            origin, number, id_, *birth = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, TypeError):
            raise invalid("cursor", "Invalid cursor") from None
        if origin != walk or self._is_dead(birth):
            raise invalid("cursor", "Invalid cursor")
        return (int(number), str(id_))

    def _is_dead(self, birth: list[int]) -> bool:
        if not birth:
            return False
        requests, seconds = self.quirks.cursor_lifetime_requests, self.quirks.cursor_lifetime_seconds
        too_many = requests is not None and self.served - birth[0] > requests
        return too_many or (seconds is not None and self._world.now_ms() - birth[1] > seconds * 1000)
