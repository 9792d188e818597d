"""The whole matrix: every scenario, killed at every boundary, in shares that may run side by side."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from crash.lane import Lane, Trial
from crash.scenes import Scene

SHARES = 4
"""In how many shares a whole scenario is cut."""
_SHORT = 6
"""How many kills of a scenario the short version tries, evenly spread."""


@dataclass(frozen=True)
class Tally:
    """What became of one share of a scenario; `boundaries` is how many an undisturbed run has."""

    boundaries: int
    trials: tuple[Trial, ...]

    @property
    def killed(self) -> int:
        """How many processes died; the others had ended before, as two runs are not alike to the last poll."""
        return sum(trial.struck is not None for trial in self.trials)

    def count(self, harm: str) -> int:
        """How many trials did this harm: lost, doubled, event lost."""
        return sum(any(line.startswith(harm) for line in trial.broken) for trial in self.trials)

    @property
    def counts(self) -> Mapping[str, int]:
        """Its row of the table."""
        harms = {"lost": "lost", "doubled": "doubled", "events lost": "event lost"}
        return {"points": len(self.trials), "killed": self.killed} | {
            column: self.count(harm) for column, harm in harms.items()
        }

    def describe_harm(self) -> str:
        """The first trials that broke a promise, for the person who has to mend it."""
        harmed = [trial for trial in self.trials if trial.broken]
        return "\n".join(f"{t.scene}, point {t.point} ({t.struck}): {'; '.join(t.broken[:5])}" for t in harmed[:5])


def run_share(lane: Lane, scene: Scene, share: int, stride: int | None) -> Tally:
    """Kill the scene's daemon at every stride-th boundary of this share; None: at a few of all."""
    stage = lane.prepare(scene)
    count = len(stage.boundaries)
    if stride is None:
        points = range(1, count + 1, max(1, count // _SHORT))
    else:
        first = share + SHARES * random.randrange(stride)  # noqa: S311 - where to begin is no secret
        points = range(first + 1, count + 1, SHARES * stride)
    return Tally(count, tuple(lane.kill_at(stage, point) for point in points))
