"""The search index of an older database is taken over as it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from indexed import index_differences
from syncd.core.tokenizer import join_words
from syncd.store.index import first_number, place_token
from syncd.store.migrate import load_migrations, open_writer

AT = "2026-01-0{}T00:00:00.000Z"
TEXTS = {"m1": ("first words", AT.format(1)), "m2": ("second words", AT.format(2)), "m3": ("naïve 日本", AT.format(1))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of version 5 with three texts, of which one has found no number in its second."""
    made = tmp_path / "syncd.db"
    open_writer(made, migrations=load_migrations()[:5]).close()
    with closing(sqlite3.connect(made)) as database, database:
        for id_, (content, at) in TEXTS.items():
            database.execute(
                "INSERT INTO messages (account, id, conversation_id, content, created_at, first_seen_at, changed_at,"
                " change_id) VALUES ('ot', ?, 'c', ?, ?, ?, ?, 1)",
                (id_, content, at, at, at),
            )
            number = -1 if id_ == "m3" else first_number(at)
            database.execute(
                "INSERT INTO _search (rowid, account, kind, owner_id, id, place, sender, words)"
                " VALUES (?, 'ot', 'message', 'c', ?, ?, '', ?)",
                (number, id_, place_token("message", "ot", "c"), join_words(content)),
            )
    return made


def find(database: sqlite3.Connection, words: str) -> list[str]:
    """The ids of the texts with these words, newest first."""
    query = "SELECT id FROM _search WHERE _search MATCH ? ORDER BY rowid DESC"
    return [row[0] for row in database.execute(query, (words,))]


def test_what_was_found_before_is_found_after(path: Path) -> None:
    """Every text has its words and its place in the order of time, and the index has no others."""
    with open_writer(path) as writer:
        assert find(writer.connection, "words") == ["m2", "m1"]
        assert find(writer.connection, join_words("日本").split()[0]) == ["m3"]
    assert list(index_differences(path)) == []


def test_what_was_indexed_before_can_be_changed_after(path: Path) -> None:
    """A text that is changed or removed loses its old words, with or without a number of its second."""
    with open_writer(path) as writer:
        with writer.transaction() as database:
            database.execute("UPDATE messages SET content = 'other' WHERE id IN ('m1', 'm3')")
            database.execute("DELETE FROM messages WHERE id = 'm2'")
        assert find(writer.connection, "words OR naive") == []
        assert sorted(find(writer.connection, "other")) == ["m1", "m3"]
    assert list(index_differences(path)) == []
