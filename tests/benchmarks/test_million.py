import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.million import measure_questions
from benchmarks.million_world import make_world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small one of the databases that the figures come from."""
    path = tmp_path_factory.mktemp("million") / "syncd.db"
    make_world(path, messages=4_000, conversations=60)
    return path


def ask(path: Path, sql: str) -> object:
    """One value."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def test_it_has_what_a_mirror_has(made: Path) -> None:
    """As many messages and conversations as were asked for, of every kind, and each text is in the index."""
    assert ask(made, "SELECT count(*) FROM messages") == 4_000
    assert ask(made, "SELECT count(*) FROM conversations") == 60
    for kind in ("is_system", "is_from_viewer", "NOT is_from_viewer"):
        assert ask(made, f"SELECT count(*) FROM messages WHERE {kind}")  # noqa: S608 - our own words
    assert ask(made, "SELECT count(*) FROM conversations WHERE channel_name IS NOT NULL") == 6
    for table in ("jobs", "proposals", "candidates", "interviews", "message_revisions", "events"):
        assert ask(made, f"SELECT count(*) FROM {table}")  # noqa: S608 - our own words
    texts = "(SELECT count(*) FROM messages WHERE content <> '') + (SELECT count(*) FROM interview_messages)"
    assert ask(made, f"SELECT count(*) = {texts} FROM _texts") == 1  # noqa: S608 - our own words


def test_every_question_has_an_answer(made: Path) -> None:
    """Each view and each kind of search finds something there, but for the one that is to find nothing."""
    rows = measure_questions(made, rounds=1).rows
    assert [row[0] for row in rows if not row[1]] == ["search nothing-of-that-kind"]
