"""The whole matrix: every scenario, killed at every boundary, on several lanes at once."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crash.lane import Lane, Stage, Trial
from crash.scenes import Scene

SHORT = 10
"""How many kills of a scenario the short version tries, evenly spread."""


@dataclass(frozen=True)
class Tally:
    """One scenario's line of the table; `boundaries` is how many every run has, `killed` how many were struck."""

    scene: str
    boundaries: int
    trials: tuple[Trial, ...]

    @property
    def killed(self) -> int:
        """How many processes died; the others had ended before, as two runs are not alike to the last poll."""
        return sum(trial.struck is not None for trial in self.trials)

    def count(self, harm: str) -> int:
        """How many trials did this harm: lost, doubled, event lost."""
        return sum(any(line.startswith(harm) for line in trial.broken) for trial in self.trials)

    def describe_harm(self) -> str:
        """The first trials that broke a promise, for the person who has to mend it."""
        harmed = [trial for trial in self.trials if trial.broken]
        return "\n".join(f"{t.scene}, point {t.point} ({t.struck}): {'; '.join(t.broken[:5])}" for t in harmed[:5])


class Matrix:
    """Several lanes, and the table of what was tried on them."""

    def __init__(self, folder: Path, lanes: int) -> None:
        folders = [folder / str(number) for number in range(lanes)]
        for place in folders:
            place.mkdir()
        self._lanes = [Lane(place) for place in folders]
        self.tallies: list[Tally] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.close()

    def run(self, scene: Scene, *, whole: bool) -> Tally:
        """Kill the scene's daemon at every boundary, or at a few."""
        with ThreadPoolExecutor(len(self._lanes)) as pool:
            stages = list(pool.map(lambda lane: lane.prepare(scene), self._lanes))
            # A busy moment makes a run longer by some polls at its end, of which the shortest has a few, too.
            count = min(len(stage.boundaries) for stage in stages)
            points = range(1, count + 1) if whole else range(1, count + 1, max(1, count // SHORT))
            shares = [points[number :: len(stages)] for number in range(len(stages))]
            found = pool.map(_kill_at_each, self._lanes, stages, shares)
            trials = sorted((trial for share in found for trial in share), key=lambda trial: trial.point)
        tally = Tally(scene.name, count, tuple(trials))
        self.tallies.append(tally)
        return tally


def _kill_at_each(lane: Lane, stage: Stage, points: Sequence[int]) -> list[Trial]:
    return [lane.kill_at(stage, point) for point in points]


def render_table(tallies: Sequence[Tally]) -> list[str]:
    """The table, one line a scenario, and the sum."""
    head = f"{'scenario':<28} {'boundaries':>10} {'killed':>7} {'lost':>5} {'doubled':>8} {'events lost':>12}"
    lines = [head]
    total: Counter[str] = Counter()
    for tally in tallies:
        harms = {harm: tally.count(harm) for harm in ("lost", "doubled", "event lost")}
        total.update(harms)
        total["killed"] += tally.killed
        lines.append(
            f"{tally.scene:<28} {tally.boundaries:>10} {tally.killed:>7} {harms['lost']:>5} {harms['doubled']:>8}"
            f" {harms['event lost']:>12}"
        )
    fewest = min((tally.killed for tally in tallies), default=0)
    lines.append(
        f"{len(tallies)} scenarios x {fewest} points or more, {total['killed']} kills: {total['lost']} lost,"
        f" {total['doubled']} doubled, {total['event lost']} events lost"
    )
    return lines
