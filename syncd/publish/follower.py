"""Going on with every commit of the mirror, through whatever befalls the target."""

from collections.abc import Callable
from typing import Any, Protocol

from syncd.core.times import after, publish_wait
from syncd.errors import PublishError, SyncdError
from syncd.publish.publisher import Done, Publisher
from syncd.publish.target import Changes

LOOK_SECONDS = 0.5
"""How often it asks whether anything was committed where nobody tells: that costs one number, no page."""
TOLD_LOOK_SECONDS = 60.0
"""How often it asks all the same where the daemon tells of each commit: somebody else may have written."""
_GATHER_SECONDS = 0.25
"""How long it waits for more when it is told of a commit: a poll commits several times."""
_NOTE_SECONDS = 5.0
"""How often at most the mirror is told of the place; of removed rows, and of trouble, at once."""

Tell = Callable[[dict[str, Any]], None]
"""Has it written in the mirror how the target stands."""


class Signal(Protocol):
    """What ends a wait: it is time to stop, or something was committed."""

    def is_set(self) -> bool:
        """Whether it is so."""

    def clear(self) -> None:
        """Wait for the next."""

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds, or until it is so; whether it is."""


class Times(Protocol):
    """The clock."""

    def now(self) -> str:
        """The wall clock's time."""

    def monotonic(self) -> float:
        """Seconds that only grow."""


class Follower:
    """Publishes until it is told to stop; logs one line when trouble begins and one when it ends."""

    def __init__(
        self, publisher: Publisher, changes: Changes, clock: Times, tell: Tell, log: Callable[..., None]
    ) -> None:
        self._publisher = publisher
        self._changes = changes
        self._clock = clock
        self._tell_mirror = tell
        self._log = log
        self._begun = False
        self._error: str | None = None
        self._tries = 0
        self._untold: dict[str, Any] = {}
        self._told_at = float("-inf")

    def run(self, stopping: Signal, news: Signal, look_seconds: float) -> None:
        """Publish every commit within a second of `news` of it, or of the next look, until it is time to stop.

        `news` comes of stopping too.
        """
        while not stopping.is_set():
            version = self._changes.read_version()
            wait = self._catch_up(stopping)
            if wait:
                stopping.wait(wait)
                continue
            while not stopping.is_set() and self._changes.read_version() == version:
                self._tell()
                if news.wait(min(look_seconds, _NOTE_SECONDS) if self._untold else look_seconds):
                    stopping.wait(_GATHER_SECONDS)
                    news.clear()  # before the look, which sees whatever it told of

    def _catch_up(self, stopping: Signal) -> float:
        """Publish what there is; how many seconds to leave the target alone."""
        try:
            done = self._publisher.catch_up(self._note)
        except SyncdError as error:
            return 0.0 if stopping.is_set() else self._note_trouble(error)
        if done.refusal is None:
            self._note_end(done)
        elif str(done.refusal) != self._error:
            self._note_refusal(done.refusal)
        self._tell()
        return 0.0

    def _note(self, batch: Done) -> None:
        """A batch is in the target."""
        self._tell(at_once=bool(batch.removed), place=batch.place, published_at=self._clock.now())

    def _note_end(self, done: Done) -> None:
        """All is in the target."""
        if self._error is not None:
            self._log("publish.recovered", place=done.place, tries=self._tries)
        elif not self._begun:
            self._log("publish.caught_up", place=done.place, rows=done.rows)
        if self._error is not None or not self._begun:
            self._begun, self._error, self._tries = True, None, 0
            self._tell(at_once=True, place=done.place)

    def _note_refusal(self, error: PublishError) -> None:
        """An account is not ours to write; the others go on, so there is nothing to wait for."""
        self._log("publish.refused", level="warning", error=str(error))
        self._error = str(error)
        self._tell(at_once=True)

    def _note_trouble(self, error: SyncdError) -> float:
        """Nothing can be published for now; how many seconds to leave it alone."""
        if self._error is None:
            self._log("publish.failed", level="warning", error=str(error))
        self._error = str(error)
        self._tries += 1
        wait = publish_wait(self._tries)
        self._tell(at_once=True, tries=self._tries, next_try_at=after(self._clock.now(), wait))
        return wait

    def _tell(self, *, at_once: bool = False, **news: Any) -> None:
        """Tell the mirror what it does not know yet, unless it was told just now."""
        self._untold |= news
        if not (self._untold or at_once) or not (at_once or self._clock.monotonic() - self._told_at >= _NOTE_SECONDS):
            return
        self._told_at = self._clock.monotonic()
        try:
            self._tell_mirror({"error": self._error, **self._untold})
        except SyncdError:
            return  # it is told with what comes next
        self._untold = {}
