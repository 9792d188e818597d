"""The write-ahead log, while others read."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from syncd.store import migrate
from syncd.store.migrate import Writer, open_writer

_BOUND = 1 << 20
_ROW_BYTES = 300_000


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """One whose log is long when it takes a megabyte."""
    monkeypatch.setattr(migrate, "LOG_BYTES", _BOUND)
    with open_writer(tmp_path / "syncd.db") as writer:
        yield writer


def write(writer: Writer, number: int) -> int:
    """One transaction; the bytes that the log takes then."""
    with writer.transaction() as connection:
        connection.execute(
            "INSERT INTO message_revisions (account, message_id, revision, content, change_id)"
            " VALUES ('ot', 'm', ?, ?, 1)",
            (number, "x" * _ROW_BYTES),
        )
    writer.shorten_log()
    return writer.path.with_name("syncd.db-wal").stat().st_size


@contextmanager
def overlapping_readers(path: Path) -> Iterator[None]:
    """Two who read by turns, so that at every moment one of them does."""
    ended, begun = Event(), Event()

    def read() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as one, closing(sqlite3.connect(path)) as other:
            other.isolation_level = None
            _begin(one)
            begun.set()
            while not ended.is_set():
                _begin(other)
                one.execute("COMMIT")
                _begin(one)
                other.execute("COMMIT")

    thread = Thread(target=read)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _begin(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM accounts").fetchone()


def test_readers_who_overlap_do_not_make_it_grow(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there never is a moment without a reader, the log is begun anew nevertheless."""
    monkeypatch.setattr(migrate, "_READERS_MS", 10_000)  # as long as the machine may take to let the readers change
    with overlapping_readers(writer.path):
        assert max(write(writer, number) for number in range(40)) < _BOUND + 2 * _ROW_BYTES


def test_a_reader_who_stays_is_waited_for_seldom(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who reads for hours is waited for once for each megabyte, no oftener; when he is gone it is emptied."""
    monkeypatch.setattr(migrate, "_READERS_MS", 100)
    asked: list[str] = []
    writer.connection.set_trace_callback(lambda sql: asked.append(sql) if "wal_checkpoint" in sql else None)
    with closing(sqlite3.connect(writer.path, isolation_level=None)) as reader:
        _begin(reader)
        longest = max(write(writer, number) for number in range(40))
    assert longest > 40 * _ROW_BYTES
    assert 2 <= len(asked) <= longest // _BOUND
    assert any(write(writer, 100 + number) < _BOUND for number in range(5))
