"""Tables at the end of a run: each test adds a row to one, in whatever process it ran."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

AddRow = Callable[[str, str, Mapping[str, int]], None]
"""Adds counts to a row of a table: the table's title, the row's name, and the counts by column."""

_PROPERTY = "tally"


def adder(record_property: Callable[[str, object], None]) -> AddRow:
    """A function that adds rows to what is reported of the running test."""
    return lambda title, name, counts: record_property(_PROPERTY, [title, name, dict(counts)])


def read_tables(reports: Iterable[pytest.TestReport]) -> dict[str, dict[str, dict[str, int]]]:
    """The counts by title, row and column; those of several tests for one row are added up."""
    tables: dict[str, dict[str, dict[str, int]]] = {}
    for report in reports:
        for key, value in report.user_properties:
            if key == _PROPERTY and report.when == "call":
                _add(tables, value)
    return tables


def _add(tables: dict[str, dict[str, dict[str, int]]], value: Any) -> None:
    title, name, counts = value
    row = tables.setdefault(title, {}).setdefault(name, dict.fromkeys(counts, 0))
    for column, count in counts.items():
        row[column] += count


def render_table(rows: Mapping[str, Mapping[str, int]]) -> Sequence[str]:
    """The table, one line a row, and the sums."""
    columns = list(next(iter(rows.values())))
    total = {column: sum(row[column] for row in rows.values()) for column in columns}
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"  {column}" for column in columns)]
    for name, row in {**rows, "all": total}.items():
        lines.append(name.ljust(width) + "".join(f"  {row[column]:>{len(column)}}" for column in columns))
    return lines
