"""Values that PostgreSQL has no room for: its texts and its JSON take every character but NUL."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from syncd.publish.target_schema import Table

Row = tuple[Any, ...]
_NUL, _ESCAPED, _INSTEAD = "\0", "\\u0000", "\ufffd"


def fit_rows(table: Table, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with U+FFFD for each NUL."""
    texts = [place for place, (_, kind) in enumerate(table.columns) if kind == "text"]
    objects = [place for place, (_, kind) in enumerate(table.columns) if kind == "jsonb"]
    for row in rows:
        if any(_NUL in row[place] for place in texts if row[place]) or any(
            _ESCAPED in row[place] for place in objects if row[place]
        ):
            yield _fit(row, texts, objects)
        else:
            yield row


def _fit(row: Row, texts: list[int], objects: list[int]) -> Row:
    values = list(row)
    for place in texts:
        if values[place]:
            values[place] = values[place].replace(_NUL, _INSTEAD)
    for place in objects:
        if values[place]:
            values[place] = json.dumps(_fit_json(json.loads(values[place])), ensure_ascii=False)
    return tuple(values)


def _fit_json(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, _INSTEAD)
    if isinstance(value, list):
        return [_fit_json(item) for item in value]
    if isinstance(value, dict):
        return {_fit_json(name): _fit_json(item) for name, item in value.items()}
    return value
