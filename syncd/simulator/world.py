"""The simulated world: a seeded inbox and everything that can happen to it."""

from datetime import datetime

from syncd.simulator.generate import fill
from syncd.simulator.hiring import HiringHappenings
from syncd.simulator.stamps import to_ms
from syncd.simulator.state import Clock


class World(HiringHappenings):
    """An OpenTrain server's data; empty until filled, the same for the same seed."""

    @classmethod
    def generate(
        cls,
        seed: int = 1,
        *,
        conversations: int = 200,
        messages: int = 20_000,
        jobs: int = 12,
        clock: Clock | None = None,
        now: datetime | None = None,
    ) -> "World":
        """A world with a history that ends before `now` (default: the clock's time)."""
        world = cls(clock, seed)
        fill(
            world,
            conversations=conversations,
            messages=messages,
            jobs=max(1, jobs),
            now=to_ms(now or world.now()),
        )
        return world
