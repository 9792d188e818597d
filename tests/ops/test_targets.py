"""What a command writes over: regular files of one's own, and nothing that a database needs."""

import os
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534
ODD = ("fifo", "socket", "directory", "link", "dangling link", "another user's")
Write = Callable[[Path], "subprocess.CompletedProcess[str]"]


def make_odd(kind: str, path: Path) -> None:
    """Put something there that is no regular file of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "directory":
            path.mkdir()
        case "link":
            precious(path.parent)
            path.symlink_to(path.parent / "precious")
        case "dangling link":
            path.symlink_to(path.parent / "nowhere")
        case _:
            if os.geteuid() != 0:
                pytest.skip("only root can give a file away")
            path.write_text("theirs", encoding="utf-8")
            os.chown(path, NOBODY, NOBODY)


def precious(folder: Path) -> Path:
    """A file that is none of our business."""
    path = folder / "precious"
    path.write_text("mine", encoding="utf-8")
    return path


def look(path: Path) -> tuple[Any, ...]:
    """What is there, whatever it is."""
    found = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else None
    return stat.S_IFMT(found.st_mode), found.st_ino, found.st_uid, found.st_size, content


def command(*words: str | Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command as a process of its own, which can't hang the tests."""
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    line = [sys.executable, "-m", "syncd.cli.main", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, env=environ, check=False, timeout=60)  # noqa: S603 - our own words


def check_refused(ended: "subprocess.CompletedProcess[str]", named: Path) -> None:
    """One line that names the file and is no surprise of ours."""
    assert ended.returncode in (1, 2), ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert named.name in ended.stderr
    assert "internal error" not in ended.stderr


@pytest.mark.parametrize("kind", [odd for odd in ODD if odd != "directory"])
def test_a_backup_replaces_nothing_but_a_file_of_ones_own(place: Any, tmp_path: Path, kind: str) -> None:
    """A FIFO, a socket, a link and another user's file stay, also as a numbered copy, and a link's target."""
    for name, kept in (("copy.db", ()), ("other.db", ("--keep", "3"))):
        target = tmp_path / "copies" / name
        odd = target if not kept else target.with_name("other.db.1")
        make_odd(kind, odd)
        before = look(odd)
        check_refused(command("--db", place.database, "backup", target, *kept, home=tmp_path), target)
        assert look(odd) == before
        assert {path.name for path in target.parent.iterdir()} <= {"copy.db", "other.db.1", "precious"}
    assert not (tmp_path / "copies" / "precious").exists() or precious_is_whole(tmp_path / "copies")


def precious_is_whole(folder: Path) -> bool:
    """Whether the file that is none of our business is as it was."""
    return (folder / "precious").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", ".lock", ".sock"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_backup_spares_what_lies_beside_the_database(
    place: Any, tmp_path: Path, suffix: str, *, linked: bool
) -> None:
    """The database's log, index, lock and socket can't be a copy's place, there or not, nor by way of a link to it."""
    named = tmp_path / "elsewhere.db"
    named.symlink_to(place.database)
    database = named if linked else place.database
    target = place.database.with_name(place.database.name + suffix)
    before = look(target) if target.exists() else None
    check_refused(command("--db", database, "backup", target, home=tmp_path), target)
    assert (look(target) if target.exists() else None) == before
    with closing(sqlite3.connect(place.database)) as reader:
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_only_copies_are_counted(place: Any, tmp_path: Path) -> None:
    """A numbered file that is no copy of a database is neither moved nor removed."""
    target = tmp_path / "copies" / "syncd"
    target.parent.mkdir()
    for number in (1, 8):
        target.with_name(f"syncd.{number}").write_text("a page of a manual", encoding="utf-8")
    assert place.run("backup", str(target)) == 0
    assert target.with_name("syncd.8").read_text(encoding="utf-8") == "a page of a manual"
    assert place.run("backup", str(target), "--keep", "2") == 1
    assert target.with_name("syncd.1").read_text(encoding="utf-8") == "a page of a manual"


@pytest.mark.parametrize("kind", ["fifo", "socket", "dangling link", "another user's"])
def test_an_export_replaces_nothing_but_files_of_its_own(place: Any, tmp_path: Path, kind: str) -> None:
    """Something odd under the name of a table is refused before anything is written."""
    odd = tmp_path / "out" / "jobs.csv"
    make_odd(kind, odd)
    before = look(odd)
    ended = command("--db", place.database, "export", odd.parent, "--format", "csv", home=tmp_path)
    check_refused(ended, odd)
    assert look(odd) == before
    assert [path.name for path in odd.parent.iterdir()] == ["jobs.csv"]


@pytest.mark.parametrize("kind", [odd for odd in ODD if odd not in ("directory", "socket")])
def test_units_replace_nothing_but_files_of_ones_own(tmp_path: Path, kind: str) -> None:
    """A unit that is masked by a link, or a FIFO in its place, stays, and is named."""
    unit = tmp_path / ".config/systemd/user/syncd.service"
    make_odd(kind, unit)
    before = look(unit)
    line = [str(Path(sys.executable).with_name("syncd")), "install-service", "--user"]
    ended = subprocess.run(  # noqa: S603 - our own words
        line, capture_output=True, text=True, env={"HOME": str(tmp_path)}, check=False, timeout=20
    )
    check_refused(ended, unit)
    assert look(unit) == before


@pytest.mark.parametrize("kind", ["fifo", "socket", "another user's"])
@pytest.mark.parametrize("linked", [False, True])
def test_init_replaces_nothing_but_a_file_of_ones_own(tmp_path: Path, kind: str, *, linked: bool) -> None:
    """Even with --force, and also behind a link."""
    config = odd = tmp_path / "here" / "config.toml"
    make_odd(kind, odd)
    if linked:
        config = tmp_path / "config.toml"
        config.symlink_to(odd)
    before = look(odd)
    check_refused(command("init", "--force", "--config", config, home=tmp_path), odd)
    assert look(odd) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_init_follows_no_link_of_somebody_else(tmp_path: Path) -> None:
    """In a shared folder a link that another user planted leads nowhere."""
    planted = tmp_path / "config.toml"
    planted.symlink_to(precious(tmp_path))
    os.lchown(planted, NOBODY, NOBODY)
    check_refused(command("init", "--force", "--config", planted, home=tmp_path), planted)
    assert precious_is_whole(tmp_path)


def test_a_configuration_never_takes_a_databases_place(place: Any, tmp_path: Path) -> None:
    """`init --force` spares a database and what lies beside it."""
    for name in (place.database, place.database.with_name("syncd.db-wal"), place.database.with_name("syncd.db.lock")):
        check_refused(command("init", "--force", "--config", name, home=tmp_path), name)
    assert place.run("inbox") == 0


def test_the_demo_spares_a_configuration(tmp_path: Path) -> None:
    """A folder that holds a configuration is refused."""
    config = tmp_path / "config.toml"
    config.write_text("# mine", encoding="utf-8")
    ended = command("demo", "--seconds", "1", "--dir", tmp_path, home=tmp_path)
    check_refused(ended, config)
    assert config.read_text(encoding="utf-8") == "# mine"
