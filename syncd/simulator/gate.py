"""Who may ask: tokens, scopes and limits."""

import math
import re
from collections import deque

from syncd.simulator.problems import Problem, refused
from syncd.simulator.quirks import Quirks
from syncd.simulator.records import Token
from syncd.simulator.state import WorldState

_BEARER = re.compile(r"Bearer (ot_pat_[A-Za-z0-9]+_[A-Za-z0-9]+)", re.IGNORECASE)


class Gate:
    """Checks a request's token and how often it came."""

    def __init__(self, world: WorldState, quirks: Quirks) -> None:
        self._world = world
        self._quirks = quirks
        self._seen: dict[tuple[str, str], deque[int]] = {}

    def token_of(self, header: str | None) -> Token:
        """The token of an Authorization header; 401 when there is none that is known."""
        match = _BEARER.fullmatch(header or "")
        token = self._world.tokens.get(match.group(1)) if match else None
        if token is None:
            raise Problem(401, "Invalid or missing API token")
        return token

    def require(self, token: Token, scope: str) -> None:
        """403 unless the token holds the scope."""
        if not token.allows(scope):
            raise Problem(403, f"Token is missing the {scope} scope", details={"requiredScope": scope})

    def require_writes(self, token: Token) -> None:
        """403 unless the token may write, writing is switched on and the account is claimed."""
        self.require(token, "messages:write")
        if not self._quirks.writes_enabled:
            raise refused("feature_disabled", feature="public_api_messaging_writes")
        if not token.claimed:
            raise refused("account_claim_required", claimUrl="https://app.example/claim")

    def count(self, token: Token, kind: str) -> None:
        """429 when the token made more requests of a kind ("read", "write") in the window than allowed."""
        limit = self._quirks.read_limit if kind == "read" else self._quirks.write_limit
        if limit is None:
            return
        seen = self._seen.setdefault((token.public_id, kind), deque())
        now, window = self._world.now_ms(), self._quirks.read_window * 1000
        while seen and seen[0] <= now - window:
            seen.popleft()
        if len(seen) >= limit:
            wait = math.ceil((seen[0] + window - now) / 1000)
            raise Problem(429, "Too many requests", details={"retryAfterSeconds": max(1, wait)})
        seen.append(now)
