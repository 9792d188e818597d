"""Many rows in few statements: other threads run while SQLite is at work, and each statement makes them wait once."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

_ROWS = 64  # of a table with 25 columns: 1,600 of the 32,766 values that a statement may have


def insert_many(connection: sqlite3.Connection, insert: str, rows: Sequence[tuple[Any, ...]], behind: str = "") -> None:
    """Insert rows of one length; `insert` ends with VALUES, `behind` is what follows the values."""
    whole = len(rows) - len(rows) % _ROWS
    for start in range(0, whole, _ROWS):
        many = rows[start : start + _ROWS]
        connection.execute(_render(insert, len(many[0]), _ROWS, behind), tuple(chain.from_iterable(many)))
    if rest := rows[whole:]:
        connection.executemany(_render(insert, len(rest[0]), 1, behind), rest)


@cache
def _render(insert: str, columns: int, rows: int, behind: str) -> str:
    values = f"({', '.join('?' * columns)})"
    return f"{insert} {', '.join([values] * rows)} {behind}"
