"""The daemon's vital signs: what each account's polls came to, and when its next one is due."""

from collections import Counter
from dataclasses import dataclass, field

from syncd.core.health import HEALTHY
from syncd.core.model import Instant
from syncd.core.times import as_datetime


@dataclass(slots=True)
class Sign:
    """One account: its state by its last poll (None: none yet); seconds are those of the clock that only grows."""

    state: str | None = None
    retry_at: Instant | None = None
    waits_until: float | None = None
    polled_at: float | None = None
    polls: int = 0
    poll_seconds: float = 0.0


@dataclass(slots=True)
class Signs:
    """All accounts' signs by name, in the order they came; `unread` counts conversations."""

    accounts: dict[str, Sign] = field(default_factory=dict)
    unread: int = 0

    def of(self, account: str) -> Sign:
        """The account's sign."""
        return self.accounts.setdefault(account, Sign())

    def keep_only(self, accounts: list[str]) -> None:
        """Forget the accounts that are no longer there."""
        self.accounts = {name: self.of(name) for name in accounts}

    def begin(self, account: str) -> None:
        """A poll is under way: no wait excuses it now."""
        self.of(account).waits_until = None

    def wait(self, account: str, until: float) -> None:
        """Nothing is to be done before then."""
        self.of(account).waits_until = until

    def end(self, account: str, *, state: str | None, retry_at: Instant | None, seconds: float, at: float) -> None:
        """A poll is over; `state` None: it broke on a mistake of ours."""
        sign = self.of(account)
        sign.state, sign.retry_at, sign.polled_at = state, retry_at, at
        sign.polls += 1
        sign.poll_seconds += seconds

    def states(self) -> dict[str, str | None]:
        """Every account's state."""
        return {name: sign.state for name, sign in self.accounts.items()}

    def describe(self, at: float) -> str:
        """One line that a person understands: what is wrong, else how much there is and how fresh it is."""
        ill = [name for name, sign in self.accounts.items() if sign.polled_at is not None and sign.state not in HEALTHY]
        if ill:
            return "; ".join(_describe_trouble(name, self.accounts[name]) for name in ill) + self._describe_rest(
                len(ill)
            )
        counts = Counter(sign.state for sign in self.accounts.values())
        under_way = counts[None] + counts["starting"]
        parts = [_count(len(self.accounts), "account")]
        parts += [f"{_count(under_way, 'first pass', 'first passes')} under way"] if under_way else []
        polled = [sign.polled_at for sign in self.accounts.values() if sign.polled_at is not None]
        if polled:
            parts += [f"{self.unread} unread", f"last poll {max(0, round(at - max(polled)))} s ago"]
        return ", ".join(parts)

    def _describe_rest(self, ill: int) -> str:
        well = len(self.accounts) - ill
        return f"; {_count(well, 'other account')} well" if well else ""


def _describe_trouble(name: str, sign: Sign) -> str:
    state = (sign.state or "internal error").replace("_", " ")
    if sign.retry_at is None:
        return f"{name}: {state}"
    word = "until" if sign.state == "rate_limited" else "next try"
    return f"{name}: {state} {word} {as_datetime(sign.retry_at):%H:%M} UTC"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
