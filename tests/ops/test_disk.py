from pathlib import Path

import pytest

from syncd.errors import StoreTroubleError
from syncd.ops.disk import check_log, check_room, measure_free
from syncd.ops.door import find_readers, find_writers


def test_room_is_measured_where_the_file_will_lie(tmp_path: Path) -> None:
    """A path that does not exist yet is measured by the nearest folder that does."""
    assert measure_free(tmp_path / "not" / "yet" / "syncd.db") > 0


def test_too_little_room_is_refused_with_the_figures(tmp_path: Path) -> None:
    """Below the floor the error says how much is free and how much is needed."""
    with pytest.raises(StoreTroubleError, match=r"MiB are free .* are needed; free disk space"):
        check_room(tmp_path / "syncd.db", floor=1 << 60)
    check_room(tmp_path / "syncd.db", floor=1)


def test_a_log_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """A write-ahead log of the limit's size is refused with its size; a shorter one, and none at all, is not."""
    check_log(tmp_path / "syncd.db")
    (tmp_path / "syncd.db-wal").write_bytes(bytes(1 << 20))
    check_log(tmp_path / "syncd.db", longest=(1 << 20) + 1)
    with pytest.raises(StoreTroubleError, match="takes 1 MiB and can't be emptied while somebody reads"):
        check_log(tmp_path / "syncd.db", longest=1 << 20)


def test_writers_are_told_from_readers(tmp_path: Path) -> None:
    """By the kernel's list of locks, each process is found by what it locks of this very database."""
    database = tmp_path / "syncd.db"
    database.with_name("syncd.db-shm").touch()
    inode = database.with_name("syncd.db-shm").stat().st_ino
    locks = tmp_path / "locks"
    locks.write_text(
        f"1: POSIX  ADVISORY  WRITE 1 fe:00:{inode} 120 120\n"
        f"2: POSIX  ADVISORY  READ 2 fe:00:{inode} 124 124\n"
        f"3: POSIX  ADVISORY  WRITE 3 fe:00:{inode} 123 123\n"
        "4: POSIX  ADVISORY  WRITE 4 fe:00:1 120 120\n",
        encoding="ascii",
    )
    assert (list(find_writers(database, locks)), list(find_readers(database, locks))) == ([1], [2])
    assert find_writers(tmp_path / "other.db", locks) == {}
