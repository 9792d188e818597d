"""A migration happens whole or not at all, after a copy."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncd.core.times import render_time
from syncd.errors import DatabaseError
from syncd.store.commands import run_store_command
from syncd.store.database import connect_read_only
from syncd.store.migrate import Migration, find_copies, load_migrations, migrate, open_writer

GOOD = Migration(2, "CREATE TABLE added (x TEXT);\nUPDATE _counters SET value = 7;\n")
BAD = Migration(2, "CREATE TABLE added (x TEXT);\nUPDATE _counters SET value = 7;\nINSERT INTO nowhere VALUES (1);\n")

NEVER_ENDS = """
import sys
from pathlib import Path
from syncd.store.migrate import Migration, load_migrations
from syncd.store.migrate import open_writer
endless = (
    "CREATE TABLE added (x TEXT);\\nUPDATE _counters SET value = 7;\\n"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;\\n"
)
open_writer(Path(sys.argv[1]), migrations=[*load_migrations()[:1], Migration(2, endless)])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of version 1."""
    made = tmp_path / "syncd.db"
    open_writer(made, migrations=load_migrations()[:1]).close()
    return made


def look(path: Path, sql: str) -> object:
    """One value, read with nothing of ours."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def test_brings_an_older_database_up_to_date(path: Path) -> None:
    """A newer migration is applied with its version, and what was there stays."""
    with open_writer(path, migrations=[*load_migrations()[:1], GOOD]) as writer, writer.transaction() as connection:
        assert connection.execute("SELECT value FROM _counters").fetchone()[0] == 7
    assert look(path, "PRAGMA user_version") == 2


def test_a_failing_migration_leaves_the_old_version_whole(path: Path) -> None:
    """When its last statement fails, nothing of a migration is there, and the old program opens the database."""
    with pytest.raises(DatabaseError, match="nowhere"):
        open_writer(path, migrations=[*load_migrations()[:1], BAD])
    assert look(path, "PRAGMA user_version") == 1
    assert look(path, "SELECT value FROM _counters") == 0
    assert look(path, "SELECT count(*) FROM sqlite_master WHERE name = 'added'") == 0
    open_writer(path, migrations=load_migrations()[:1]).close()


def test_a_killed_migration_leaves_the_old_version_whole(path: Path) -> None:
    """SIGKILL in the middle of a migration leaves the old version, and the next opening migrates."""
    child = subprocess.Popen([sys.executable, "-c", NEVER_ENDS, str(path)])  # noqa: S603 - our own words
    try:
        wait_until_locked(path, child)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    assert look(path, "PRAGMA user_version") == 1
    assert look(path, "SELECT value FROM _counters") == 0
    open_writer(path, migrations=[*load_migrations()[:1], GOOD]).close()
    assert look(path, "SELECT value FROM _counters") == 7


def wait_until_locked(path: Path, child: subprocess.Popen[bytes]) -> None:
    """Until the child is inside its write transaction; the copy before it takes no such lock."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        while child.poll() is None:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return
            connection.execute("ROLLBACK")
            time.sleep(0.01)
    pytest.fail("the migration ended by itself")


def test_a_failing_first_migration_leaves_no_file(tmp_path: Path) -> None:
    """When a new database can't be built, there is none, and no rest of one."""
    with pytest.raises(DatabaseError, match="nowhere"):
        open_writer(
            tmp_path / "new.db",
            migrations=[Migration(1, "CREATE TABLE added (x TEXT);\nINSERT INTO nowhere VALUES (1);\n")],
        )
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_creation_is_made_again(tmp_path: Path) -> None:
    """What a killed creation left beside the path stops nobody."""
    (tmp_path / ".new.db.syncd-new").write_bytes(b"half a database")
    open_writer(tmp_path / "new.db").close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["new.db"]


def test_the_copy_is_the_old_database(path: Path) -> None:
    """Before a migration the old version is copied beside it, one readable file with the same permissions."""
    open_writer(path, group_read=True, migrations=[*load_migrations()[:1], GOOD]).close()
    copy = path.with_name("syncd.db.v1.bak")
    assert find_copies(path) == [copy]
    assert copy.stat().st_mode & 0o777 == 0o640
    assert look(copy, "PRAGMA user_version") == 1
    assert look(copy, "PRAGMA journal_mode") == "delete"
    with closing(connect_read_only(copy)) as connection:
        assert connection.execute("SELECT value FROM _counters").fetchone()[0] == 0


def test_opening_a_current_database_makes_no_copy(path: Path) -> None:
    """Without a migration there is no copy."""
    open_writer(path, migrations=load_migrations()[:1]).close()
    assert find_copies(path) == []


def test_old_copies_are_removed_and_young_ones_stay(path: Path) -> None:
    """The daily upkeep removes copies older than 7 days, whatever their version; younger and others' ones stay."""
    now = datetime.now(UTC)
    ages = {"syncd.db.v1.bak": 8, "syncd.db.v2.bak": 6, "other.db.v1.bak": 8, "syncd.db.v1.bak.part": 9}
    with open_writer(path) as writer:
        for name, age in ages.items():
            copy = path.with_name(name)
            copy.touch()
            stamp = (now - timedelta(days=age)).timestamp()
            os.utime(copy, (stamp, stamp))
        run_store_command(writer.connection, "upkeep", {}, render_time(now))
    assert sorted(copy.name for copy in path.parent.glob("*.bak*")) == ["other.db.v1.bak", "syncd.db.v2.bak"]


def test_statements_may_contain_semicolons(path: Path) -> None:
    """A trigger and a quoted semicolon in a migration are one statement each."""
    script = (
        "-- a comment; with a semicolon\nCREATE TABLE added (x TEXT DEFAULT ';');\n"
        "CREATE TRIGGER t AFTER INSERT ON added BEGIN\n  UPDATE _counters SET value = 9;\nEND;\n"
        "INSERT INTO added DEFAULT VALUES;\n"
    )
    open_writer(path, migrations=[*load_migrations()[:1], Migration(2, script)]).close()
    assert look(path, "SELECT value FROM _counters") == 9


def test_no_migration_ends_its_own_transaction() -> None:
    """No script contains BEGIN, COMMIT or ROLLBACK of a transaction, and each ends in a whole statement."""
    for migration in load_migrations():
        assert not re.search(r"^\s*(BEGIN|COMMIT|ROLLBACK)\b", migration.script, re.MULTILINE | re.IGNORECASE)
        assert migration.script.rstrip().endswith(";")


def test_what_sqlite_clears_is_as_it_was(path: Path) -> None:
    """A migration does not change whether the connection overwrites what is deleted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in ("ON", "OFF"):
            before = connection.execute(f"PRAGMA secure_delete = {setting}").fetchone()
            migrate(connection, path, load_migrations())
            assert connection.execute("PRAGMA secure_delete").fetchone() == before
