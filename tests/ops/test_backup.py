import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import SyncdError
from syncd.store.backup import back_up


def count_messages(path: Path) -> int:
    """How many messages the copy holds."""
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM messages").fetchone()[0])


def test_a_copy_is_whole_private_and_alone(place: Any, tmp_path: Path) -> None:
    """It has every message, only its owner reads it, and nothing else lies beside it."""
    target = tmp_path / "copies" / "syncd.db"
    assert place.run("backup", str(target)) == 0
    assert count_messages(target) == 40
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["syncd.db"]


def test_a_copy_is_of_one_instant_while_others_write(place: Any, tmp_path: Path) -> None:
    """What another process has not committed is not in it, and does not keep it waiting."""
    with closing(sqlite3.connect(place.database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM messages")
        back_up(place.database, tmp_path / "copy.db")
        writer.execute("ROLLBACK")
    assert count_messages(tmp_path / "copy.db") == 40


def test_the_newest_copies_are_kept(place: Any, tmp_path: Path) -> None:
    """With --keep 3 the copies move up by one number, the oldest goes, and other files stay."""
    target = tmp_path / "copies" / "syncd.db"
    target.parent.mkdir()
    other = target.with_name("syncd.db.notes")
    other.write_text("mine", encoding="utf-8")
    inodes = []
    for _ in range(4):
        assert place.run("backup", str(target), "--keep", "3") == 0
        inodes.append(target.stat().st_ino)
    names = sorted(path.name for path in target.parent.iterdir())
    assert names == ["syncd.db", "syncd.db.1", "syncd.db.2", "syncd.db.notes"]
    assert [target.with_name(name).stat().st_ino for name in ("syncd.db.2", "syncd.db.1", "syncd.db")] == inodes[1:]


def test_a_damaged_database_leaves_the_last_copy_as_it_was(place: Any, tmp_path: Path) -> None:
    """A copy that fails its check is thrown away, with one line that says so, and the one before is untouched."""
    target = tmp_path / "copy.db"
    back_up(place.database, target)
    before = target.read_bytes()
    with place.database.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"damage" * 3000)
    with pytest.raises(SyncdError, match=r"damaged|can't be copied"):
        back_up(place.database, target, keep=3)
    assert target.read_bytes() == before
    assert not list(tmp_path.glob(".copy*"))
    assert not list(tmp_path.glob("copy.db.*"))


def test_an_impossible_place_is_refused_with_advice(place: Any, tmp_path: Path) -> None:
    """A directory, the database itself, or a place that can't be written is an error of one line."""
    for target in (tmp_path, place.database, Path("/proc/nowhere/copy.db")):
        with pytest.raises(SyncdError, match=r"name the file|choose another place"):
            back_up(place.database, target)
