"""Opening: whose file it is, who may read it, and that a refused one is left as it was."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from syncd.errors import DatabaseError, StoreTroubleError
from syncd.store.database import open_reader
from syncd.store.migrate import Writer, load_migrations, open_writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made; the folder isn't there yet."""
    return tmp_path / "state" / "syncd.db"


def modes(folder: Path) -> dict[str, str]:
    """The permissions of every file in a folder."""
    return {entry.name: oct(entry.stat().st_mode & 0o777) for entry in folder.iterdir()}


def test_makes_a_private_database(path: Path) -> None:
    """A new database, its folder and its side files are their owner's alone."""
    with open_writer(path) as writer, writer.transaction():
        assert modes(path.parent) == dict.fromkeys(("syncd.db", "syncd.db-wal", "syncd.db-shm"), "0o600")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes(path.parent) == {"syncd.db": "0o600"}


def test_lets_the_group_read_when_told(path: Path) -> None:
    """With `group_read` the files are 0640, also when the database was private before."""
    open_writer(path).close()
    with open_writer(path, group_read=True) as writer, writer.transaction():
        assert set(modes(path.parent).values()) == {"0o640"}


def test_writes_durably(path: Path) -> None:
    """The writer is in WAL mode, waits for the disk at each commit, and has no foreign keys."""
    with open_writer(path) as writer, writer.transaction() as connection:
        pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 0, "busy_timeout": 5000, "temp_store": 2}
        for name, value in pragmas.items():
            assert connection.execute(f"PRAGMA {name}").fetchone()[0] == value


def write_and_fail(writer: Writer) -> None:
    """Write, then fail, in one transaction."""
    with writer.transaction() as connection:
        connection.execute("UPDATE _counters SET value = 5")
        connection.execute("DELETE FROM nowhere")


def test_a_transaction_is_whole_or_nothing(path: Path) -> None:
    """What a failing transaction did is undone, and the next one works."""
    with open_writer(path) as writer:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            write_and_fail(writer)
        with writer.transaction() as connection:
            assert connection.execute("SELECT value FROM _counters").fetchone()[0] == 0


def test_a_transaction_takes_the_write_lock_at_its_start(path: Path) -> None:
    """Inside a transaction nobody else can begin to write, even before anything is written."""
    with open_writer(path) as writer, closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        with writer.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def test_another_thread_may_write(path: Path) -> None:
    """The connection works in a thread other than the one that opened it."""
    with open_writer(path) as writer:

        def write() -> None:
            with writer.transaction() as connection:
                connection.execute("UPDATE _counters SET value = 5")

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        with writer.transaction() as connection:
            assert connection.execute("SELECT value FROM _counters").fetchone()[0] == 5


def make_text(path: Path) -> None:
    """Write no database at all."""
    path.write_text("These are my notes and no database at all.\n")


def make_foreign(path: Path) -> None:
    """Write a database that says nothing about its program."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE mine (x); INSERT INTO mine VALUES (1);")


def make_foreign_wal(path: Path) -> None:
    """Write another program's database, in WAL mode."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA application_id = 77; PRAGMA journal_mode = WAL; CREATE TABLE mine (x);")


def make_newer(path: Path) -> None:
    """Write a database of a later syncd."""
    open_writer(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")


def make_broken(path: Path) -> None:
    """Write an SQLite header with nonsense behind it."""
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (make_text, "is not an SQLite database"),
    (make_foreign, "belongs to another program"),
    (make_foreign_wal, "belongs to another program"),
    (make_newer, "newer syncd"),
    (make_broken, "can't be (opened|read)"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
@pytest.mark.parametrize("open_it", [open_writer, open_reader])
def test_refuses_what_is_not_ours(
    tmp_path: Path, make: Callable[[Path], None], reason: str, open_it: Callable[[Path], object]
) -> None:
    """A newer, foreign or broken file is refused with exit code 78, and stays byte for byte as it was."""
    path = tmp_path / "file.db"
    make(path)
    before, mode = path.read_bytes(), path.stat().st_mode
    with pytest.raises(DatabaseError, match=reason) as refusal:
        open_it(path)
    assert refusal.value.exit_code == 78
    assert "\n" not in str(refusal.value)
    assert path.read_bytes() == before
    assert path.stat().st_mode == mode


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_a_refusal_leaves_no_file_behind(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    """The writer that refuses a file makes none beside it either."""
    path = tmp_path / "file.db"
    make(path)
    with pytest.raises(DatabaseError, match=reason):
        open_writer(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.db"]


@pytest.mark.parametrize("open_it", [open_writer, open_reader])
def test_refuses_a_directory(tmp_path: Path, open_it: Callable[[Path], object]) -> None:
    """A directory in the file's place is named as one."""
    with pytest.raises(DatabaseError, match="is a directory"):
        open_it(tmp_path)


def test_refuses_a_folder_it_may_not_write(shared_folder: Path, as_nobody: Callable[[], None]) -> None:
    """A folder without write permission is an error that names the path."""
    shared_folder.chmod(0o555)
    migrations = load_migrations()  # the program itself may lie where nobody may look
    as_nobody()
    with pytest.raises(DatabaseError, match=r"syncd\.db can't be opened: Permission denied"):
        open_writer(shared_folder / "syncd.db", migrations=migrations)


def test_refuses_a_file_it_may_not_write(shared_folder: Path, as_nobody: Callable[[], None]) -> None:
    """A database that is readable only can't be opened to write it."""
    path = shared_folder / "syncd.db"
    open_writer(path).close()
    path.chmod(0o444)
    shared_folder.chmod(0o555)
    migrations = load_migrations()
    as_nobody()
    with pytest.raises(DatabaseError, match="can't be opened"):
        open_writer(path, migrations=migrations)


def test_a_locked_database_is_trouble_that_passes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another process keeps is no fault of the file."""
    for module in ("migrate", "database"):
        monkeypatch.setattr(f"syncd.store.{module}.BUSY_TIMEOUT_MS", 1)
    open_writer(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreTroubleError, match="locked"):
            open_writer(path)
