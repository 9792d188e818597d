"""Exports: every public table and view as files, each whole or not at all, and the manifest last."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from msgspec import DecodeError, Struct
from msgspec import json as msgspec_json

from syncd.core.catalogue import Column, Relation
from syncd.errors import MissingExtraError, SyncdError
from syncd.files import (
    ForeignFileError,
    check_regular,
    make_durable,
    open_regular,
    remove,
    replace_text,
    replacing,
    unfinished_name,
)

Rows = Iterator[tuple[Any, ...]]


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
        raise MissingExtraError("Parquet", "pyarrow", "parquet") from error


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


class _Claim(Struct, frozen=True):
    """What an export that is under way writes or removes: whose the files are if it ends before its manifest."""

    files: list[str]


_CLAIM = f".{MANIFEST}.syncd-claim"
_FILE_NAME = re.compile(r"[a-z_]+\.(csv|jsonl|parquet)")


def write_export(folder: Path, snapshot: ExportSnapshot, form: Format, *, spreadsheet: bool, version: str) -> Manifest:
    """Write every relation into the folder (made when missing), then the manifest.

    Raises ForeignFileError, before anything is touched, where a file is in the way that no export of ours wrote,
    SyncdError if the disk refuses.
    """
    if form == "parquet":
        load_pyarrow()  # before anything is touched
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        relations = list(snapshot.relations)
        names = {_file_name(relation, form) for relation, _ in relations}
        ours = _find_own_files(folder)
        _check_names(folder, names, ours)
        replace_text(folder / _CLAIM, msgspec_json.encode(_Claim(sorted(ours | names))).decode())
        remove(folder / MANIFEST)  # from here on the old export is none
        make_durable(folder)
        files = [_write(folder, relation, rows, form, spreadsheet=spreadsheet) for relation, rows in relations]
        for name in ours - names:
            remove(folder / name)
            remove(unfinished_name(folder / name))
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
        replace_text(folder / MANIFEST, msgspec_json.format(msgspec_json.encode(manifest)).decode() + "\n")
        remove(folder / _CLAIM)
    except OSError as error:
        raise SyncdError(f"{folder} can't be written: {error.strerror or error}; the export is not whole") from error
    return manifest


def _file_name(relation: Relation, form: Format) -> str:
    return f"{relation.name}.{form}"


def _find_own_files(folder: Path) -> set[str]:
    """What earlier exports wrote into the folder, by their manifest and by the claim of one that was broken off."""
    found = _read_own(folder / MANIFEST, Manifest)
    claim = _read_own(folder / _CLAIM, _Claim)
    names = {written.file for written in found.files} if found else set()
    return names | set(claim.files if claim else ())


_Own = TypeVar("_Own", Manifest, _Claim)


def _read_own(path: Path, kind: type[_Own]) -> _Own | None:
    """What an export has left about itself; ForeignFileError where it is somebody else's."""
    if not os.path.lexists(path):
        return None
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        content = file.read()
    with suppress(DecodeError):
        found = msgspec_json.decode(content, type=kind)
        names = [written.file for written in found.files] if isinstance(found, Manifest) else found.files
        if all(_FILE_NAME.fullmatch(name) for name in names):
            return found
    raise ForeignFileError(f"{path} is not of an export of syncd; name another folder")


def _check_names(folder: Path, names: set[str], ours: set[str]) -> None:
    """Refuse to write over a file of somebody else's."""
    for name in sorted(names - ours):
        if os.path.lexists(folder / name):
            raise ForeignFileError(f"{folder / name} was not written by an export of syncd; name another folder")
    for name in sorted(names | ours):
        check_regular(folder / name)


def _write(folder: Path, relation: Relation, rows: Rows, form: Format, *, spreadsheet: bool) -> Written:
    target = folder / _file_name(relation, form)
    with replacing(target) as unfinished, unfinished.open("wb") as file:
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
        columns={column.name: "text" if column.type == "json" else column.type for column in relation.columns},
    )


def checksum(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_dict(manifest: Manifest) -> dict[str, Any]:
    """The manifest as its JSON has it."""
    found: dict[str, Any] = msgspec_json.decode(msgspec_json.encode(manifest))
    return found
