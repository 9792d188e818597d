"""The search index: what it should hold, and how a test that writes rows itself has them taken into it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_TEXTS = {
    "message": "SELECT 'message', account, conversation_id, id, content FROM messages",
    "interview": "SELECT 'interview', account, proposal_id, id, content FROM interview_messages",
}
_NOTE = """
CREATE TEMP TRIGGER IF NOT EXISTS note_{table} AFTER INSERT ON {table} WHEN new.content <> '' BEGIN
  INSERT INTO _search_due (kind, account, owner_id, id) VALUES ('{kind}', new.account, new.{owner}, new.id);
END
"""


def note_texts(connection: sqlite3.Connection) -> None:
    """Note what this connection inserts from here on, as the writer's own rows are known to it."""
    connection.execute(_NOTE.format(table="messages", kind="message", owner="conversation_id"))
    connection.execute(_NOTE.format(table="interview_messages", kind="interview", owner="proposal_id"))


def index_differences(path: Path) -> Iterator[str]:
    """Each text that the index lacks, has twice, has still, or has otherwise; plain texts stand there as they are."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        texts = [row for sql in _TEXTS.values() for row in connection.execute(f"{sql} WHERE content <> ''")]
        entries = connection.execute("SELECT kind, account, owner_id, id, words FROM _search").fetchall()
        (due,) = connection.execute("SELECT count(*) FROM _search_due").fetchone()
        damage = find_damage(connection)
    plain = {tuple(key): content for *key, content in texts if content.isascii()}
    there, held = Counter(tuple(key) for *key, _ in texts), Counter(tuple(key) for *key, _ in entries)
    yield from (f"not in the index: {key}" for key in there - held)
    yield from (f"in the index, and not there: {key}" for key in held - there)
    yield from (f"in the index otherwise: {key}" for *key, words in entries if plain.get(tuple(key), words) != words)
    if due:
        yield f"{due} texts wait for the index"
    if damage:
        yield damage


def find_damage(connection: sqlite3.Connection) -> str | None:
    """What SQLite says when the index does not hold exactly the words that are kept beside it; asked of a copy."""
    with closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        try:
            copy.execute("INSERT INTO _search (_search, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            return f"the index is damaged: {error}"
    return None
