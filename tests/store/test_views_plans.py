"""The views step through indexes; a million messages make them no slower than they must be."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

FILTERED = [
    "SELECT * FROM {view} WHERE conversation_id = 'c'",
    "SELECT * FROM {view} WHERE account = 'ot' AND conversation_id = 'c'",
]


@pytest.fixture
def reopened(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """The database as a process sees it that opens it later, with the planner's expectations loaded."""
    with closing(sqlite3.connect(":memory:")) as copy:
        database.backup(copy)
        yield copy


def plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    """SQLite's steps for a query."""
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql)]


def message_scans(steps: list[str]) -> list[str]:
    """The steps that read all messages: in our views these are the aliases below."""
    aliases = ("m", "o", "i", "b", "q", "messages")
    return [step for step in steps if any(f"{step.replace('TABLE ', '')} ".startswith(f"SCAN {a} ") for a in aliases)]


@pytest.mark.parametrize("view", ["inbox", "unread", "needs_reply"])
def test_the_inbox_reads_no_thread_whole(reopened: sqlite3.Connection, view: str) -> None:
    """Every step into the messages is by an index that knows the conversation, or by the message's own id."""
    steps = plan(reopened, f"SELECT * FROM {view}")  # noqa: S608 - our own names
    assert message_scans(steps) == []
    text = "\n".join(steps)
    assert "INDEX messages_said" in text


@pytest.mark.parametrize("sql", FILTERED)
@pytest.mark.parametrize("view", ["inbox", "thread", "response_times"])
def test_one_conversation_reads_no_other(reopened: sqlite3.Connection, view: str, sql: str) -> None:
    """A view of one conversation scans no messages, whether the query names the account or not."""
    assert message_scans(plan(reopened, sql.format(view=view))) == []


def test_a_plain_query_for_one_conversation_uses_the_index(reopened: sqlite3.Connection) -> None:
    """`messages` by conversation alone is an index search too."""
    steps = plan(reopened, "SELECT * FROM messages WHERE conversation_id = 'c' ORDER BY created_at, id")
    assert message_scans(steps) == []


def test_all_turns_start_from_the_conversations(reopened: sqlite3.Connection) -> None:
    """The whole history of turns walks each conversation by index, and never sorts all messages."""
    steps = plan(reopened, "SELECT * FROM response_times")
    assert message_scans(steps) == []
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_a_message_scan_would_be_seen(reopened: sqlite3.Connection) -> None:
    """The tests above can fail: a query that must read all messages is found to."""
    assert message_scans(plan(reopened, "SELECT count(content) FROM messages")) != []
