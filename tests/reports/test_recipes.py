import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from documents import DOCS, read_recipe
from people import World
from syncd.store.migrate import open_writer

QUERY = "SELECT day, sum(inbound) FROM '/srv/hiring/daily_activity.parquet' GROUP BY day"


def test_pandas_reads_the_mirror(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe for pandas runs on a database and prints the waits by job."""
    world.say("in", "?", day=1)
    world.say("out", "!", day=2, is_from_viewer=1)
    recipe = read_recipe("pandas").replace("/var/lib/syncd/syncd.db", str(world.path))
    exec(recipe, {})  # noqa: S102 - our own document
    assert "86400.0" in capsys.readouterr().out


def test_sqlmodel_reads_the_mirror(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe for SQLModel runs on a database and counts the proposals of each job."""
    recipe = read_recipe("SQLModel")
    assert "/var/lib/syncd/syncd.db" in recipe
    world.insert("jobs", id="j1", title="Labeller")
    names: dict[str, Any] = {}
    exec(recipe.replace("/var/lib/syncd/syncd.db", str(world.path)), names)  # noqa: S102 - our own document
    names["engine"].dispose()
    assert capsys.readouterr().out == "Labeller 2\n"


def test_datasette_shows_the_mirror(world: World) -> None:
    """Datasette serves a view of the live database, while the writer has it open."""
    world.say("m", "hello", day=1)
    command = [sys.executable, "-W", "ignore", "-m", "datasette", str(world.path)]
    with open_writer(world.path):
        done = subprocess.run(  # noqa: S603 - our own words
            [*command, "--get", "/syncd/thread.json?_shape=array"], capture_output=True, check=True, timeout=60
        )
    assert [(row["sender"], row["content"]) for row in json.loads(done.stdout)] == [("Ana Álvarez", "hello")]


def test_duckdb_reads_an_export(world: World, tmp_path: Path) -> None:
    """The documents' DuckDB query over Parquet gives the messages by day."""
    world.say("m", "hello", day=1)
    command = [sys.executable, "-m", "syncd.cli.main", "--db", str(world.path), "export", str(tmp_path / "out")]
    subprocess.run([*command, "--format", "parquet"], check=True, capture_output=True, timeout=60)  # noqa: S603 - our own words
    with duckdb.connect() as connection:
        query = QUERY.replace("/srv/hiring", str(tmp_path / "out"))
        assert QUERY in (DOCS / "reports.md").read_text(encoding="utf-8")
        assert [(str(day), count) for day, count in connection.execute(query).fetchall()] == [("2026-03-01", 1)]
