"""Rows as they are written and read again."""

from pathlib import Path

from syncd.core.model import Message
from syncd.store.migrate import Writer, open_writer
from syncd.store.rows import select, upsert

FULL = Message(
    id="m1",
    conversation_id="c1",
    sender_name="Ana",
    is_from_viewer=True,
    content="hello",
    has_audio=False,
    attachment_count=2,
    edited_at="2026-03-01T10:00:00.000Z",
)
BARE = Message(id="m2", conversation_id="c1")


def write(writer: Writer, *messages: Message, change_id: int) -> None:
    """Write them in one transaction."""
    with writer.transaction() as connection:
        upsert(connection, "a", messages, now=f"2026-03-0{change_id}T00:00:00.000Z", change_id=change_id)


def read(writer: Writer) -> list[Message]:
    """What is held, by id."""
    return select(writer.connection, Message, "account = ? ORDER BY id", ("a",))


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Rows that fill different columns keep their values, booleans among them, and each empty column is empty."""
    with open_writer(tmp_path / "syncd.db") as writer:
        write(writer, FULL, BARE, change_id=1)
        assert read(writer) == [FULL, BARE]
        stored = writer.connection.execute("SELECT DISTINCT typeof(is_from_viewer) FROM messages ORDER BY 1").fetchall()
        assert stored == [("integer",), ("null",)]


def test_what_became_empty_is_emptied(tmp_path: Path) -> None:
    """A row written again without a value loses it, and keeps only when it was first seen."""
    emptied = Message(id="m1", conversation_id="c1")
    with open_writer(tmp_path / "syncd.db") as writer:
        write(writer, FULL, change_id=1)
        write(writer, emptied, change_id=2)
        assert read(writer) == [emptied]
        sql = "SELECT first_seen_at, changed_at, change_id FROM messages"
        assert writer.connection.execute(sql).fetchall() == [
            ("2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z", 2)
        ]
