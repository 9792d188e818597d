import csv
import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from people import WHEN, Run, World

duckdb = pytest.importorskip("duckdb")
pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

CELLS = [
    "=1+1",
    "",
    None,
    'quote " and, comma',
    "line\nbreak\r\nand tab\t",
    " spaces ",
    "日本語 👍 مرحبا",
    "NULL",
    "-5",
    "0123",
]
CLOCK = {"waiting_seconds", "age_seconds"}
"""What a view reckons with the time of the day."""


@pytest.fixture
def full(world: World) -> World:
    """Every kind of value: nothing, empty and nasty texts, booleans, times, numbers."""
    for number, text in enumerate(CELLS):
        world.say(f"m{number}", text, day=1 + number % 9, is_system=number % 2, has_audio=None)
    world.insert("interviews", proposal_id="p1", interview_id="i1", score=8.6, summary="")
    world.insert("interviews", proposal_id="p2", interview_id=None, score=86, summary=None)
    world.add_event("message.new", conversation_id="c1", message_id="m1", data="{}", baseline=1)
    world.insert("jobs", id="j1", title="=cmd|' /C calc'!A0", created_at=WHEN.format(day=1))
    return world


def rows(world: World, name: str) -> list[tuple[Any, ...]]:
    """A relation as the database has it, without what depends on the time of the day."""
    columns = [row[1] for row in world.fetch(f"PRAGMA table_info({name})")]
    kept = ", ".join(f'"{column}"' for column in columns if column not in CLOCK)
    return ordered(world.fetch(f"SELECT {kept} FROM {name}"))  # noqa: S608 - names of our own


def ordered(many: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows in an order that NULLs don't disturb."""
    return sorted(many, key=repr)


def manifest(folder: Path) -> dict[str, Any]:
    """The export's manifest."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def as_stored(value: Any, kind: str) -> Any:
    """A value of a real type as the database writes it."""
    if value is None or pandas.isna(value):
        return None
    match kind:
        case "time":
            moment = pandas.Timestamp(value).tz_convert(UTC)
            return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        case "date":
            return value.isoformat()
        case "boolean" | "integer":
            return int(value)
        case "real":
            return float(value)
    return value


def read_duckdb(path: Path, about: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The file as DuckDB reads it; the types that the manifest names are given for formats that have none."""
    columns = {name: kind for name, kind in about["columns"].items() if name not in CLOCK}
    numbers = {"integer": "BIGINT", "boolean": "BOOLEAN" if path.suffix == ".jsonl" else "BIGINT", "real": "DOUBLE"}
    types = {name: numbers.get(kind, "VARCHAR") for name, kind in about["columns"].items()}
    sources = {
        ".csv": f"read_csv('{path}', header=true, columns={types}, allow_quoted_nulls=false)",
        ".jsonl": f"read_json('{path}', format='newline_delimited', columns={types})",
        ".parquet": f"'{path}'",
    }
    moment = "strftime(\"{}\" AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')"
    real = path.suffix == ".parquet"
    kept = [moment.format(name) if real and kind == "time" else f'"{name}"' for name, kind in columns.items()]
    with duckdb.connect() as connection:
        query = f"SELECT {', '.join(kept)} FROM {sources[path.suffix]}"  # noqa: S608 - our own
        found = connection.execute(query).fetchall()
    kinds = ["text" if kind == "time" or (kind == "date" and not real) else kind for kind in columns.values()]
    return [tuple(map(as_stored, row, kinds)) for row in found]


def read_pandas(path: Path, about: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The file as pandas reads it."""
    columns = {name: kind for name, kind in about["columns"].items() if name not in CLOCK}
    if path.suffix == ".csv":
        frame = pandas.read_csv(path, dtype=str, keep_default_na=False)
    elif path.suffix == ".jsonl":
        frame = pandas.DataFrame(lines(path), columns=list(about["columns"]), dtype=object)
    else:
        frame = pandas.read_parquet(path, dtype_backend="pyarrow")
    typed = {".csv": (), ".jsonl": ("boolean",), ".parquet": ("time", "date", "boolean", "integer", "real")}
    kinds = [kind if kind in typed[path.suffix] else "text" for kind in columns.values()]
    return [tuple(map(as_stored, (row[name] for name in columns), kinds)) for row in frame.to_dict("records")]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_every_cell_comes_back(run: Run, full: World, tmp_path: Path, form: str) -> None:
    """DuckDB and pandas read from each format every cell of every table and view that the database holds."""
    folder = tmp_path / "out"
    assert run("export", folder, "--format", form).code == 0
    files = manifest(folder)["files"]
    public = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite*'"
    assert {about["name"] for about in files} == {name for (name,) in full.fetch(public) if not name.startswith("_")}
    for about in files:
        expected = rows(full, about["name"])
        assert ordered(read_duckdb(folder / about["file"], about)) == expected, about["name"]
        if form == "csv":  # read as text, in which pandas can't tell "" from NULL
            expected = ordered([tuple("" if cell is None else str(cell) for cell in row) for row in expected])
        assert ordered(read_pandas(folder / about["file"], about)) == expected, about["name"]


def test_parquet_has_real_types(run: Run, full: World, tmp_path: Path) -> None:
    """Times are UTC timestamps, booleans are booleans, days are dates."""
    run("export", tmp_path / "out", "--format", "parquet")
    wanted = "typeof(created_at), epoch_ms(created_at), is_system, has_audio"
    with duckdb.connect() as connection:
        query = f"SELECT {wanted} FROM '{tmp_path}/out/messages.parquet' WHERE id = 'm1'"  # noqa: S608 - our own
        kind, created_at, is_system, has_audio = connection.execute(query).fetchall()[0]
        day = connection.execute(f"SELECT max(day) FROM '{tmp_path}/out/daily_activity.parquet'").fetchall()[0][0]  # noqa: S608 - our own
    assert (kind, created_at) == ("TIMESTAMP WITH TIME ZONE", datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp() * 1000)
    assert (is_system, has_audio, day) == (True, None, date(2026, 3, 9))
    assert full.path.exists()


def test_the_manifest_tells_a_whole_export_from_a_torn_one(run: Run, full: World, tmp_path: Path) -> None:
    """Counts, sizes and checksums are those of the files; the manifest has the last change_id and is written last."""
    folder = tmp_path / "out"
    about = run("export", folder, "--format", "jsonl", "--json").data
    assert about == manifest(folder)
    assert (about["format"], about["spreadsheet"], about["since"]) == ("jsonl", False, None)
    assert about["change_id"] == full.fetch("SELECT value FROM _counters")[0][0]
    for file in about["files"]:
        content = (folder / file["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert (len(content), content.count(b"\n")) == (file["bytes"], file["rows"])
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert max(times, key=lambda name: times[name]) == "manifest.json"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_an_export_that_fails_leaves_no_manifest(run: Run, tmp_path: Path) -> None:
    """When a file can't be written, the folder has no manifest, not even that of the export before."""
    folder = tmp_path / "out"
    assert run("export", folder, "--format", "csv").code == 0
    (folder / ".messages.csv.syncd-new").mkdir()
    ended = run("export", folder, "--format", "csv")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert not (folder / "manifest.json").exists()
    (folder / ".messages.csv.syncd-new").rmdir()
    assert run("export", folder, "--format", "csv").code == 0
    assert not list(folder.glob(".*"))


def test_an_increment_carries_changes_and_deletions(run: Run, full: World, tmp_path: Path) -> None:
    """--since gives the rows that changed behind that transaction and the keys of those deleted; views are whole."""
    full.execute("UPDATE _counters SET value = 7")
    full.say("later", "new", change_id=9)
    full.execute("UPDATE _counters SET value = 9")
    run("purge", "--conversation", "c2", "--yes")
    folder = tmp_path / "out"
    files = {
        file["name"]: file
        for file in run("export", folder, "--format", "jsonl", "--since", "7", "--json").data["files"]
    }
    assert [row["id"] for row in lines(folder / "messages.jsonl")] == ["later"]
    assert [row["key"] for row in lines(folder / "deletions.jsonl")] == ['["ot","c2"]']
    assert (files["candidates"]["rows"], files["inbox"]["rows"]) == (0, 1)
    assert run("export", folder, "--format", "jsonl", "--since", "99").code == 2


def test_a_spreadsheet_runs_nothing(run: Run, full: World, tmp_path: Path) -> None:
    """With --spreadsheet no text begins as a formula does, and the manifest says that they were changed."""
    assert full.path.exists()
    folder = tmp_path / "out"
    run("export", folder, "--format", "csv", "--spreadsheet")
    with (folder / "messages.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["content"] for row in csv.DictReader(file)]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "+", "-", "@"))]
    assert manifest(folder)["spreadsheet"] is True


def test_wrong_usage(run: Run, tmp_path: Path) -> None:
    """An unknown format, and --spreadsheet for another than CSV, end with 2."""
    assert run("export", tmp_path / "x", "--format", "xml").code == 2
    assert run("export", tmp_path / "x", "--format", "jsonl", "--spreadsheet").code == 2
