"""The one place that turns a result into JSON, CSV, or a table for people."""

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncd.cli.safe import escape_json, make_safe

WIDE = 160
"""Columns from which a table shows each thing on one line."""
_NARROWEST_CELL = 8


def make_console(*, stderr: bool = False) -> Console:
    """The terminal, or what stands in for it; colour only on a terminal, and not with NO_COLOR."""
    return Console(highlight=False, markup=False, emoji=False, stderr=stderr)


def print_json(value: Any) -> None:
    """Print one JSON document; characters that could steer a terminal are escaped, none is lost."""
    sys.stdout.write(_to_json(value, indent=2) + "\n")


def print_json_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print an array of objects as they come, one a line."""
    before = "[\n"
    for row in rows:
        sys.stdout.write(before + _to_json(row))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def print_json_line(value: Mapping[str, Any]) -> None:
    """Print one object on a line of its own."""
    sys.stdout.write(_to_json(value) + "\n")


def print_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print CSV with a heading; exact data, except on a terminal, which must not be steered by it."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    guarded = sys.stdout.isatty()
    for row in chain([names], rows):
        values = [_plain(value) for value in row]
        writer.writerow(
            [make_safe(value, newlines=True) if isinstance(value, str) and guarded else value for value in values]
        )


def print_rows(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print any rows: as a table where the columns fit side by side, else one block for each row."""
    if not rows:
        console.print("No rows.")
        return
    if len(names) * _NARROWEST_CELL > console.width:
        _print_blocks(console, names, rows)
        return
    table = make_table(*(make_safe(name) for name in names))
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def make_table(*headings: str) -> Table:
    """An empty table in the one style that all of syncd's tables have."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table


def print_facts(console: Console, facts: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values side by side, indented; long values stay in their column."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(f"  {name}", value if isinstance(value, Text) else Text(value))
    console.print(table)


def safe_text(value: object, style: str = "", *, newlines: bool = False) -> Text:
    """Text of the database for people; None is empty."""
    return Text("" if value is None else make_safe(str(value), newlines=newlines), style=style)


def _print_blocks(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    for number, row in enumerate(rows, 1):
        console.print(Text(f"row {number}", style="bold"))
        values = [_cell(value) for value in row]
        for value in values:
            value.justify = None  # numbers stand right only below each other
        print_facts(console, [(make_safe(name), value) for name, value in zip(names, values, strict=True)])


def _cell(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if isinstance(value, int | float):
        return Text(str(value), justify="right")
    return safe_text(_plain(value), newlines=True)


def _plain(value: Any) -> Any:
    """A blob as hexadecimal digits; an infinite number, which JSON can't write, as None."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _to_json(value: Any, indent: int | None = None) -> str:
    prepared = {name: _plain(item) for name, item in value.items()} if isinstance(value, Mapping) else value
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    return escape_json(json.dumps(prepared, ensure_ascii=ascii_only, indent=indent))
