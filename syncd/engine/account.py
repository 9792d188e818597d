"""What the engine carries through one account's polls, and what one pass over it has found so far."""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Struct

from syncd.core.answers import Identity
from syncd.core.observations import PollEnded
from syncd.errors import SyncdError
from syncd.protocols import Clock, PagedSource, Source, Store

Log = Callable[..., None]
"""Writes one structured line: the event's name, then its fields."""


class Policy(Struct, frozen=True, kw_only=True):
    """How an account is mirrored: cadence in seconds, requests in flight, and what of it."""

    poll_seconds: float = 15.0
    idle_seconds: float = 60.0
    concurrency: int = 8
    reconcile_seconds: float = 86400.0
    every_proposal: bool = False
    overdue_seconds: float = 4 * 3600.0


@dataclass(slots=True)
class Tally:
    """How far a pass has come, for whoever watches."""

    conversations: int = 0
    done: int = 0
    messages: int = 0
    listed: bool = False


@dataclass(slots=True, kw_only=True)
class BaseMirror:
    """One account under the engine's care, from one poll to the next, whatever its source.

    `settings`: what it was built from, to tell a change of configuration. `is_same_place`: its rows came from this
    very address. `sits_until`: while a wait is sat out, its end on the clock that only grows. `check_room` raises
    StoreTroubleError where what comes could not be stored. `refused`: the end of a poll that the database would not
    take; it is written before anything else is asked.
    """

    account: str
    source: Source
    store: Store
    clock: Clock
    policy: Policy
    log: Log
    settings: object = None
    is_same_place: bool = True
    identity: Identity | None = None
    tally: Tally = field(default_factory=Tally)
    sits_until: float | None = None
    refused: PollEnded | None = None
    check_room: Callable[[], None] = field(default=lambda: None)

    def missing_scopes(self) -> tuple[str, ...]:
        """The scopes that a whole mirror wants and the token lacks; none where the source knows no scopes."""
        return ()


@dataclass(slots=True, kw_only=True)
class Mirror(BaseMirror):
    """An account whose source answers in pages; `identified_by` is how many tokens had been taken when it was.

    `unread_fails`: the list of unread conversations was not to be had, and the log has said so.
    """

    source: PagedSource
    feed_absent: bool = False
    unread_fails: bool = False
    identified_by: int = 0

    def may(self, scope: str) -> bool:
        """Whether the token has the scope, as far as the server said; writing implies reading."""
        scopes = self.identity.scopes if self.identity is not None else None
        return scopes is None or scope in scopes or scope.replace(":read", ":write") in scopes

    def missing_scopes(self) -> tuple[str, ...]:
        """The reading scopes that a whole mirror wants and the token lacks."""
        return tuple(scope for scope in ("proposals:read", "jobs:read") if not self.may(scope))


class PassEndedError(SyncdError):
    """The pass can't go on; its cause says why."""

    def __init__(self, trouble: SyncdError) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble
