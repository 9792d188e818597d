"""Exports as Parquet, with real types; its package is an extra."""

from collections.abc import Iterable
from datetime import date, datetime
from importlib import import_module
from itertools import islice
from typing import IO, Any

from syncd.errors import SyncdError
from syncd.reports.relations import Column, Relation

_ROWS_IN_A_GROUP = 20_000


def load_pyarrow() -> Any:
    """Import pyarrow; SyncdError says how to get it."""
    try:
        import_module("pyarrow.parquet")  # pyarrow does not load it by itself
        return import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise SyncdError("Parquet needs the package pyarrow; install syncd[parquet]") from error


def write_parquet(file: IO[bytes], relation: Relation, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write the rows, a group at a time, and count them."""
    arrow = load_pyarrow()
    schema = arrow.schema([(column.name, _arrow_type(arrow, column)) for column in relation.columns])
    remaining, count = iter(rows), 0
    with arrow.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        while group := list(islice(remaining, _ROWS_IN_A_GROUP)):
            arrays = [
                arrow.array([_value(column, value) for value in values], type=field.type)
                for column, field, values in zip(relation.columns, schema, zip(*group, strict=True), strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(group)
    return count


def _arrow_type(arrow: Any, column: Column) -> Any:
    match column.type:
        case "time":
            return arrow.timestamp("ms", tz="UTC")
        case "date":
            return arrow.date32()
        case "boolean":
            return arrow.bool_()
        case "integer":
            return arrow.int64()
        case "real":
            return arrow.float64()
    return arrow.string()


def _value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    match column.type:
        case "time":
            return datetime.fromisoformat(value)
        case "date":
            return date.fromisoformat(value)
        case "boolean":
            return bool(value)
        case "real":
            return float(value)
    return value
