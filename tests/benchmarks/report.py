"""What a scenario found: a table, the targets it is held against, and the raw figures."""

import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from platform import python_version, release
from statistics import median
from typing import Any

_MARKS = {True: "met", False: "MISSED"}


@dataclass(frozen=True)
class Target:
    """A figure to reach; `value` must not be above `bound`, or not below it where `at_least`."""

    text: str
    value: float
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def render(self) -> str:
        """One line for people."""
        word = "at least" if self.at_least else "at most"
        return f"{_MARKS[self.met]}: {self.text}: {self.value:.3g} ({word} {self.bound:.3g})"


@dataclass
class Report:
    """One scenario: `figures` is what the JSON has beside the table."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def render(self) -> str:
        """A table in Markdown, and the targets below it."""
        lines = [f"### ({self.name}) {self.title}", "", _row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(map(_cell, row)) for row in self.rows]
        lines += ["", *(f"- {target.render()}" for target in self.targets), *(f"- {note}" for note in self.notes), ""]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, for a program."""
        return asdict(self) | {"targets": [asdict(target) | {"met": target.met} for target in self.targets]}


def middle(values: Iterable[float]) -> float:
    """The median; not a number where there is none."""
    found = list(values)
    return median(found) if found else float("nan")


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def describe_machine() -> dict[str, Any]:
    """What the figures were made on."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    return {
        "cpu": models[0] if models else "unknown",
        "cores": len(models),
        "kernel": release(),
        "python": python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
