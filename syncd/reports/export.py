"""Exports: every public table and view as files, each whole or not at all, and the manifest last."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from msgspec import Struct
from msgspec import json as msgspec_json

from syncd.errors import SyncdError

Type = Literal["text", "integer", "real", "boolean", "time", "date"]
Rows = Iterator[tuple[Any, ...]]

_BOOLEANS = frozenset(
    {"is_from_viewer", "is_system", "has_unread_flag", "has_audio", "transcript_available", "baseline"}
)
_INTEGERS = frozenset(
    {"inbound", "outbound", "system_messages", "active_conversations", "question_count", "failures", "unread_count"}
)
_REALS = frozenset({"waiting_seconds", "seconds", "age_seconds"})
_DECLARED: dict[str, Type] = {"INTEGER": "integer", "REAL": "real"}


class Column(Struct, frozen=True):
    """A column and what it holds; any value may be missing."""

    name: str
    type: Type


class Relation(Struct, frozen=True, kw_only=True):
    """A table, a view, or the deletions of an increment, in which a table has only the rows that changed."""

    name: str
    kind: str
    columns: tuple[Column, ...]


def type_of(name: str, declared: str) -> Type:
    """What a column of this name holds; SQLite knows neither times nor booleans, and nothing of a view's reckoning."""
    if name in _BOOLEANS:
        return "boolean"
    if name.endswith("_at") or name in ("state_since", "complete_since"):
        return "time"
    if name == "day":
        return "date"
    if name in _REALS:
        return "real"
    return "integer" if name in _INTEGERS else _DECLARED.get(declared, "text")


# Exports as text: CSV and JSON lines.


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


# Exports as Parquet, with real types; its package is an extra.


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


# Write an export: each file whole or not at all, and the manifest last.


Format = Literal["csv", "jsonl", "parquet"]
MANIFEST = "manifest.json"


class ExportSnapshot(Struct, frozen=True, kw_only=True):
    """What is exported, as of one transaction: its number, and each relation with its rows as they come.

    `since`: the transaction that the increment begins behind; None for a whole export.
    """

    change_id: int
    schema_version: int
    exported_at: str
    relations: Iterable[tuple[Relation, Rows]]
    since: int | None = None


class Written(Struct, frozen=True, kw_only=True):
    """A file of an export, as its manifest has it."""

    name: str
    kind: str
    file: str
    rows: int
    bytes: int
    sha256: str
    columns: dict[str, str]


class Manifest(Struct, frozen=True, kw_only=True):
    """What an export is made of; while it is not there, or a checksum is wrong, the export is torn."""

    format: Format
    spreadsheet: bool
    syncd: str
    schema_version: int
    since: int | None
    change_id: int
    exported_at: str
    files: list[Written]


def write_export(folder: Path, snapshot: ExportSnapshot, form: Format, *, spreadsheet: bool, version: str) -> Manifest:
    """Write every relation into the folder (made when missing), then the manifest; SyncdError if the disk refuses."""
    if form == "parquet":
        load_pyarrow()  # before anything is touched
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)  # from here on the old export is none
        _sync_folder(folder)
        files = [_write(folder, relation, rows, form, spreadsheet=spreadsheet) for relation, rows in snapshot.relations]
        _remove_strays(folder, {written.file for written in files})
        manifest = Manifest(
            format=form,
            spreadsheet=spreadsheet,
            syncd=version,
            schema_version=snapshot.schema_version,
            since=snapshot.since,
            change_id=snapshot.change_id,
            exported_at=snapshot.exported_at,
            files=files,
        )
        with _writing(folder / MANIFEST) as file:
            file.write(msgspec_json.format(msgspec_json.encode(manifest)) + b"\n")
    except OSError as error:
        raise SyncdError(f"{folder} can't be written: {error.strerror or error}; the export is not whole") from error
    return manifest


def _write(folder: Path, relation: Relation, rows: Rows, form: Format, *, spreadsheet: bool) -> Written:
    target = folder / f"{relation.name}.{form}"
    with _writing(target) as file:
        match form:
            case "csv":
                count = write_csv(file, relation, rows, spreadsheet=spreadsheet)
            case "jsonl":
                count = write_jsonl(file, relation, rows)
            case "parquet":
                count = write_parquet(file, relation, rows)
    return Written(
        name=relation.name,
        kind=relation.kind,
        file=target.name,
        rows=count,
        bytes=target.stat().st_size,
        sha256=checksum(target),
        columns={column.name: column.type for column in relation.columns},
    )


@contextmanager
def _writing(target: Path) -> Iterator[IO[bytes]]:
    """A file only its owner may read, that takes its name when it is whole and on disk."""
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _remove_strays(folder: Path, files: set[str]) -> None:
    """Remove what an earlier export into this folder left under names of ours."""
    names = {file.rpartition(".")[0] for file in files} | {"deletions"}
    for name in names:
        for form in ("csv", "jsonl", "parquet"):
            if f"{name}.{form}" not in files:
                (folder / f"{name}.{form}").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_dict(manifest: Manifest) -> dict[str, Any]:
    """The manifest as its JSON has it."""
    found: dict[str, Any] = msgspec_json.decode(msgspec_json.encode(manifest))
    return found
