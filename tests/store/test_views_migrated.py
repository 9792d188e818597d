"""The views of a newer schema say what those of the first said."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncd.store.migrate import load_migrations, migrate

TIMES = (None, *(f"2026-01-01T00:00:0{second}.000Z" for second in range(6)))
VIEWS = ("inbox", "unread", "needs_reply", "response_times")


@pytest.fixture
def first(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database of version 1."""
    with closing(sqlite3.connect(tmp_path / "syncd.db", isolation_level=None)) as connection:
        migrate(connection, tmp_path / "syncd.db", load_migrations()[:1])
        yield connection


def fill(database: sqlite3.Connection, rng: random.Random) -> None:
    """Accounts of both kinds, threads of any length; messages tie, lack a time, are gone, ours, theirs or nobody's."""
    stamp = {"first_seen_at": "2026-01-01T00:00:00.000Z", "changed_at": "2026-01-01T00:00:00.000Z", "change_id": 1}

    def insert(table: str, row: dict[str, Any]) -> None:
        row = (stamp if table != "accounts" else {"change_id": 1}) | row
        marks = ", ".join(f":{name}" for name in row)
        database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608 - our own names

    for account, source in (("a", "opentrain"), ("b", "openats")):
        insert("accounts", {"account": account, "source": source})
        for talk in range(40):
            ids = [f"{talk}-{n}" for n in range(rng.choice((0, 1, 2, 5, 12)))]
            rng.shuffle(ids)
            last = {
                "last_message_id": rng.choice([*ids, *ids, "absent", "0-0"]),
                "last_message_at": rng.choice(TIMES),
                "gone_at": rng.choice((None, None, "2026")),
            }
            counts = {"unread_count": rng.choice((0, 1, None)), "needs_reply_count": rng.choice((0, 1, None))}
            channel = {"channel_name": rng.choice((None, None, "", "all"))}
            insert("conversations", {"account": account, "id": f"c{talk}", **last, **counts, **channel})
            for id in ids:
                at = rng.choice(TIMES)
                flags = {"is_from_viewer": rng.choice((0, 1, 1, None)), "is_system": rng.choice((0, 0, None, 1))}
                gone = {"gone_at": rng.choice((None, None, None, "2026"))}
                insert(
                    "messages",
                    {"account": account, "id": id, "conversation_id": f"c{talk}", "created_at": at, **flags, **gone},
                )


def read(database: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every view's rows but for the one thing that goes on while they are read: how long a turn has waited, in days."""
    found = {}
    for view in VIEWS:
        names = [row[1] for row in database.execute(f"PRAGMA table_info({view})")]
        columns = ", ".join("round(waiting_seconds / 86400)" if name == "waiting_seconds" else name for name in names)
        found[view] = sorted(database.execute(f"SELECT {columns} FROM {view}").fetchall(), key=repr)  # noqa: S608 - our own names
    return found


@pytest.mark.parametrize("seed", range(6))
def test_views_say_what_they_said_before(first: sqlite3.Connection, tmp_path: Path, seed: int) -> None:
    """On any world each view has the same rows after the migrations as before them."""
    fill(first, random.Random(seed))  # noqa: S311 - made-up data wants a seed
    before = read(first)
    migrate(first, tmp_path / "syncd.db", load_migrations())
    assert read(first) == before
    assert all(before[view] for view in VIEWS)
