"""The folder of an export: it touches what an earlier export of ours wrote there, and nothing else."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from people import Run, World

TORN = """
import os, signal, sys
from syncd.cli.main import run_command
renamed = os.replace
def replace(source, target, **words):
    renamed(source, target, **words)
    if str(target).endswith("/messages.csv"):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = os.rename = replace
run_command(sys.argv[1:])
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["jobs.csv", "manifest.json", "inbox.csv"])
def test_what_is_not_ours_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """A file that no export of ours wrote is named, and nothing in the folder changes."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_text('{"name": "of something else"}', encoding="utf-8")
    ended = run("export", folder, "--format", "csv")
    assert (ended.code, ended.err.count("\n"), name in ended.err) == (1, 1, True), ended.err
    assert contents(folder) == {name: b'{"name": "of something else"}'}


def test_what_is_not_in_the_way_stays(run: Run, tmp_path: Path) -> None:
    """Files of other names are neither refused nor touched."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("jobs.csv", "notes.txt", ".messages.jsonl.part"):
        (folder / name).write_text("mine", encoding="utf-8")
    assert run("export", folder, "--format", "jsonl").code == 0
    assert {contents(folder)[name] for name in ("notes.txt", ".messages.jsonl.part")} == {b"mine"}


def test_an_earlier_export_gives_way(run: Run, tmp_path: Path) -> None:
    """What the manifest there names is replaced or removed, and the user's own files stay, whatever their names."""
    folder = tmp_path / "out"
    assert run("export", folder, "--format", "csv").code == 0
    for mine in ("notes.txt", "deletions.jsonl", "jobs.parquet"):
        (folder / mine).write_text("mine", encoding="utf-8")
    assert run("export", folder, "--format", "jsonl", "--since", "0").code == 1
    (folder / "deletions.jsonl").unlink()
    assert run("export", folder, "--format", "jsonl", "--since", "0").code == 0
    assert not list(folder.glob("*.csv"))
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (folder / "jobs.parquet").read_text(encoding="utf-8") == "mine"


def test_an_export_that_was_killed_gives_way(run: Run, world: World, tmp_path: Path) -> None:
    """After a kill in the midst, the next one into the folder is whole; until then there is no manifest."""
    folder = tmp_path / "out"
    assert run("export", folder, "--format", "jsonl").code == 0
    words = ["--db", str(world.path), "export", str(folder), "--format", "csv"]
    killed = subprocess.run([sys.executable, "-c", TORN, *words], check=False, capture_output=True)  # noqa: S603 - our own words
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "manifest.json").exists()
    assert (folder / "messages.csv").exists()
    ended = run("export", folder, "--format", "csv", "--json")
    assert ended.code == 0
    names = {file["file"] for file in ended.data["files"]} | {"manifest.json"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.parametrize("file", ["../precious.csv", "/etc/hosts", ".bashrc", "precious", "a/b.csv", ""])
def test_a_manifest_names_no_way_out(run: Run, tmp_path: Path, file: str) -> None:
    """A manifest whose file names are none that an export writes is not ours, and nothing is removed by it."""
    folder = tmp_path / "out"
    assert run("export", folder, "--format", "csv").code == 0
    (tmp_path / "precious.csv").write_text("mine", encoding="utf-8")
    about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    about["files"][0]["file"] = file
    (folder / "manifest.json").write_text(json.dumps(about), encoding="utf-8")
    before = contents(folder)
    ended = run("export", folder, "--format", "csv")
    assert (ended.code, "manifest.json" in ended.err) == (1, True)
    assert contents(folder) == before
    assert (tmp_path / "precious.csv").read_text(encoding="utf-8") == "mine"
    assert os.path.lexists(tmp_path / "precious.csv")


def test_an_export_spares_the_database(run: Run, world: World, tmp_path: Path) -> None:
    """A database that has the name of a table's file is not taken for one."""
    database = tmp_path / "out" / "messages.csv"
    database.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        found = world.path.with_name(world.path.name + suffix)
        if found.exists():
            found.rename(database.with_name(database.name + suffix))
    world.path = database
    ended = run("--db", database, "export", database.parent, "--format", "csv")
    assert (ended.code, "messages.csv" in ended.err) == (1, True)
    assert run("--db", database, "inbox", "--json").code == 0
