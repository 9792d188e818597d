"""Reading: while the daemon writes, after it stopped, and by those who may only read."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from syncd.errors import DatabaseError, NoDatabaseError
from syncd.store.database import open_reader
from syncd.store.migrate import open_writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made; the folder isn't there yet."""
    return tmp_path / "state" / "syncd.db"


def test_reads_while_the_writer_writes(path: Path) -> None:
    """A reader sees what is committed, not what is under way, and is not in the writer's way."""
    with open_writer(path) as writer, closing(open_reader(path)) as reader:
        with writer.transaction() as connection:
            connection.execute("UPDATE _counters SET value = 5")
            assert reader.execute("SELECT value FROM _counters").fetchone()[0] == 0
        assert reader.execute("SELECT value FROM _counters").fetchone()[0] == 5


def test_a_reader_can_not_write(path: Path) -> None:
    """A reader's connection refuses to write."""
    open_writer(path).close()
    with closing(open_reader(path)) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("UPDATE _counters SET value = 5")


def test_reads_after_a_clean_stop_in_a_folder_it_may_not_write(
    shared_folder: Path, as_nobody: Callable[[], None]
) -> None:
    """Whoever may read the file can read the database, though the folder takes no side files."""
    path = shared_folder / "syncd.db"
    open_writer(path).close()
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    as_nobody()
    with closing(open_reader(path)) as reader:
        assert reader.execute("SELECT value FROM _counters").fetchone()[0] == 0


def test_somebody_else_reads_while_the_writer_writes(shared_folder: Path, as_nobody: Callable[[], None]) -> None:
    """Whoever may only read the files sees each commit while the daemon runs."""
    path = shared_folder / "syncd.db"
    with open_writer(path) as writer:
        with writer.transaction() as connection:
            connection.execute("UPDATE _counters SET value = 5")
        for entry in shared_folder.iterdir():
            entry.chmod(0o444)
        shared_folder.chmod(0o555)
        as_nobody()
        with closing(open_reader(path)) as reader:
            assert reader.execute("SELECT value FROM _counters").fetchone()[0] == 5


def test_refuses_a_file_it_may_not_read(shared_folder: Path, as_nobody: Callable[[], None]) -> None:
    """A database without read permission is an error that says so."""
    path = shared_folder / "syncd.db"
    open_writer(path).close()
    path.chmod(0o000)
    as_nobody()
    with pytest.raises(DatabaseError, match="Permission denied"):
        open_reader(path)


def test_there_is_no_database(tmp_path: Path) -> None:
    """A missing or still empty file is no database, exit code 1, and reading makes none."""
    with pytest.raises(NoDatabaseError, match="no database at") as missing:
        open_reader(tmp_path / "syncd.db")
    assert missing.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty.db").touch()
    with pytest.raises(NoDatabaseError, match="still empty"):
        open_reader(tmp_path / "empty.db")


def test_a_reader_refuses_an_older_schema(path: Path) -> None:
    """A database that must first be migrated says what does that."""
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(DatabaseError, match=r"older syncd.*`syncd sync`"):
        open_reader(path)


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    """A path with characters that mean something in a URI is just a path."""
    path = tmp_path / "50% off? #1 é" / "syncd.db"
    open_writer(path).close()
    open_reader(path).close()


def test_reading_imports_nothing_heavy() -> None:
    """A reading command does not pay for the writer's libraries."""
    heavy = "{'sqlalchemy', 'sqlmodel', 'pydantic', 'aiohttp', 'httpx', 'tenacity'}"
    script = f"import sys, syncd.store.database; print({heavy} & sys.modules.keys())"
    child = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)  # noqa: S603 - our own words
    assert child.stdout == b"set()\n"
