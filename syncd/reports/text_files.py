"""Exports as text: CSV and JSON lines."""

import json
from collections.abc import Iterable
from typing import IO, Any

from syncd.reports.relations import Relation

_SPECIAL = frozenset(',"\r\n')
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")  # noqa: RUF001 - wide ones run as formulas too


def write_csv(file: IO[bytes], relation: Relation, rows: Iterable[tuple[Any, ...]], *, spreadsheet: bool) -> int:
    r"""Write a heading and the rows, and count them.

    It is UTF-8, lines end with `\n`, NULL is nothing and an empty text is `""`. With `spreadsheet`, a text that a
    spreadsheet would run as a formula gets a `'` in front.
    """
    guard = _guard if spreadsheet else str
    file.write((",".join(column.name for column in relation.columns) + "\n").encode())
    count = 0
    for row in rows:
        file.write(
            (",".join(_cell(guard(value) if isinstance(value, str) else value) for value in row) + "\n").encode()
        )
        count += 1
    return count


def _guard(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    if value and _SPECIAL.isdisjoint(value) and value.strip() == value:
        return value
    return '"' + value.replace('"', '""') + '"'


def write_jsonl(file: IO[bytes], relation: Relation, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write an object a line, booleans as such, and count them."""
    names = [column.name for column in relation.columns]
    booleans = {index for index, column in enumerate(relation.columns) if column.type == "boolean"}
    count = 0
    for row in rows:
        values = [bool(v) if i in booleans and v is not None else v for i, v in enumerate(row)]
        file.write((json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n").encode())
        count += 1
    return count
