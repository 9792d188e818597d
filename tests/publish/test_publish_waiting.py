from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Event

from publish.pair import CATALOGUE
from publish.station import Station
from publish.test_publish_follow import is_there, say
from rig import SteeredClock
from syncd.publish.follower import TOLD_LOOK_SECONDS, Follower
from syncd.publish.postgres import Timeouts, connect
from syncd.publish.publisher import Publisher
from syncd.store.published import ChangedRows

_HOUR = 3600
_MINUTES = 60


class CountedChanges(ChangedRows):
    """The mirror, and how often it was looked at."""

    looks = 0

    def read_version(self) -> int:
        """Look."""
        self.looks += 1
        return super().read_version()


class News(Event):
    """News that comes, or does not, as the story goes; only the story's clock waits for it."""

    def __init__(self, clock: SteeredClock, story: Iterator[bool]) -> None:
        super().__init__()
        self._clock, self._story = clock, story

    def wait(self, timeout: float | None = None) -> bool:
        """Whether there is any."""
        self._clock.advance(timeout or 0)
        return next(self._story)


def test_an_idle_mirror_is_left_alone(station: Station) -> None:
    """Who is told of commits looks at an idle mirror once a minute, and publishes at once what it is told of."""
    clock, timeouts = SteeredClock(), Timeouts()
    looks: list[int] = []

    def story() -> Iterator[bool]:
        looks.append(changes.looks)
        end = clock.monotonic() + _HOUR
        while clock.monotonic() < end:
            yield False
        looks.append(changes.looks)
        id = say(station, "Is anybody still there?")
        station.sync()
        yield True
        assert is_there(station, id)
        timeouts.stopping.set()
        yield True

    with ExitStack() as stack:
        changes = stack.enter_context(closing(CountedChanges(station.home.db, CATALOGUE.tables)))
        stack.enter_context(timeouts.heeding())
        publisher = Publisher(changes, CATALOGUE, lambda: connect(station.url, None, "target", "syncd"), timeouts)
        stack.enter_context(closing(publisher))
        follower = Follower(publisher, changes, clock, lambda _: None, lambda *_, **__: None)
        follower.run(timeouts.stopping, News(clock, story()), TOLD_LOOK_SECONDS)
    begun, idle = looks
    assert 0 < idle - begun <= _MINUTES
