"""Write an export: each file whole or not at all, and the manifest last."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from msgspec import Struct, json

from syncd.errors import SyncdError
from syncd.reports.parquet_files import load_pyarrow, write_parquet
from syncd.reports.relations import Relation, Rows
from syncd.reports.text_files import write_csv, write_jsonl

Format = Literal["csv", "jsonl", "parquet"]
MANIFEST = "manifest.json"


class Snapshot(Struct, frozen=True, kw_only=True):
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


def write_export(folder: Path, snapshot: Snapshot, form: Format, *, spreadsheet: bool, version: str) -> Manifest:
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
            file.write(json.format(json.encode(manifest)) + b"\n")
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
    found: dict[str, Any] = json.decode(json.encode(manifest))
    return found
