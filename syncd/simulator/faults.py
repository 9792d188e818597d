"""Faults on demand: which requests they meet, how often, and what happens then."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from syncd.simulator import breakage
from syncd.simulator.exchange import Exchange
from syncd.simulator.requests import Match, RequestRecord

Action = Callable[[Exchange], Awaitable[None]]


@dataclass
class Fault:
    """What happens to the next `times` fitting requests (None: to all), after the first `skip` of them passed."""

    name: str
    action: Action
    match: Match = field(default_factory=Match)
    times: int | None = 1
    skip: int = 0
    hits: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will not strike again."""
        return self.times is not None and self.hits >= self.times

    def strikes(self, record: RequestRecord) -> bool:
        """Whether this request is one to strike; counts it."""
        if self.spent or not self.match.fits(record):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True


class Faults:
    """The faults that wait; each method adds one and returns it. `match`: the fields of `Match`, `times`, `skip`."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def take(self, record: RequestRecord) -> Fault | None:
        """The first fault that strikes this request."""
        with self._lock:
            return next((fault for fault in self._faults if fault.strikes(record)), None)

    def add(self, name: str, action: Action, *, times: int | None = 1, skip: int = 0, **match: Any) -> Fault:
        """Add a fault with an action of one's own."""
        fault = Fault(name, action, Match(**match), times, skip)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Call every fault off."""
        with self._lock:
            self._faults.clear()

    @property
    def pending(self) -> list[Fault]:
        """The faults that can still strike."""
        with self._lock:
            return [fault for fault in self._faults if not fault.spent]

    def rate_limit(self, retry_after: Any = 1, where: str = "details", **match: Any) -> Fault:
        """429; `retry_after` as given (number or text) in the "details", the "header", or "nowhere"."""
        return self.add("rate_limit", breakage.rate_limit(retry_after, where), **match)

    def status(self, code: int, reason: str | None = None, **match: Any) -> Fault:
        """An error of the API with this HTTP status, `reason` in its details."""
        return self.add("status", breakage.error(code, reason), **match)

    def gateway(self, status: int = 502, **match: Any) -> Fault:
        """A gateway's HTML error page."""
        return self.add("gateway", breakage.page(status), **match)

    def html(self, **match: Any) -> Fault:
        """An HTML page with 200, as a captive portal sends it."""
        return self.add("html", breakage.page(200), **match)

    def body(self, data: Any, status: int = 200, **match: Any) -> Fault:
        """Any body: bytes as they are, anything else as JSON."""
        return self.add("body", breakage.body(data, status), **match)

    def rewrite(self, pattern: str, into: str, count: int = 0, **match: Any) -> Fault:
        """The right answer, with `into` for each place (0), or the first `count`, where the pattern is found."""
        return self.add("rewrite", breakage.rewrite(pattern.encode(), into.encode(), count), **match)

    def empty_object(self, **match: Any) -> Fault:
        """`{}` with 200."""
        return self.add("empty_object", breakage.body({}, 200), **match)

    def cut_json(self, **match: Any) -> Fault:
        """A whole answer with 200 whose JSON breaks off."""
        return self.add("cut_json", breakage.cut_json, **match)

    def delay(self, seconds: float, **match: Any) -> Fault:
        """The right answer, late."""
        return self.add("delay", breakage.delay(seconds), **match)

    def stall(self, **match: Any) -> Fault:
        """No answer, for ever."""
        return self.add("stall", breakage.stall, **match)

    def reset(self, **match: Any) -> Fault:
        """A TCP reset instead of an answer; nothing was done."""
        return self.add("reset", breakage.reset, **match)

    def reset_midway(self, **match: Any) -> Fault:
        """A TCP reset in the middle of the body."""
        return self.add("reset_midway", breakage.reset_midway, **match)

    def truncate(self, **match: Any) -> Fault:
        """The connection ends in the middle of the body."""
        return self.add("truncate", breakage.truncate, **match)

    def lose_reply(self, **match: Any) -> Fault:
        """The request is carried out, then the connection is reset without a reply."""
        return self.add("lose_reply", breakage.lose_reply, **match)

    def repeat_cursor(self, **match: Any) -> Fault:
        """`nextCursor` is the cursor that was sent."""
        return self.add("repeat_cursor", breakage.repeat_cursor, **{"has_cursor": True, **match})

    def cycle_cursor(self, **match: Any) -> Fault:
        """From the third answer on, `nextCursor` alternates between the first two."""
        return self.add("cycle_cursor", breakage.cycle_cursor(), **{"times": None, **match})

    def dead_cursor(self, **match: Any) -> Fault:
        """400 for a request that carries a cursor."""
        return self.add("dead_cursor", breakage.dead_cursor, **{"has_cursor": True, **match})

    def null_cursor(self, **match: Any) -> Fault:
        """`nextCursor` is null though more follows."""
        return self.add("null_cursor", breakage.null_cursor, **match)

    def empty_page(self, **match: Any) -> Fault:
        """A page of the right shape without entries."""
        return self.add("empty_page", breakage.empty_page, **match)
