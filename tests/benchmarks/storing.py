"""The store limits: the very rows that syncd wrote, by executemany in one transaction.

Once into tables without indexes; once into syncd's own tables, with their indexes and the search, which is the least
that SQLite takes to keep them.
"""

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from syncd.store.migrate import open_writer

TABLES = ("conversations", "messages")
_TEXTS = "number, account, kind, owner_id, id, place, sender, words"
_INDEX = "INSERT INTO _search (rowid, place, sender, words) SELECT number, place, sender, words FROM _texts"

Content = dict[str, tuple[str, list[tuple[object, ...]]]]


def load(path: str) -> Content:
    """Each table's definition and rows, from a database that syncd made."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source:
        return {
            table: (
                source.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0],
                source.execute(f"SELECT * FROM {table}").fetchall(),  # noqa: S608 - names above
            )
            for table in TABLES
        }


def store(path: str, content: Content) -> int:
    """Write it all, as durably as syncd does; how many messages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        for table, (definition, rows) in content.items():
            database.execute(definition)
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names above
        database.execute("COMMIT")
    return len(content["messages"][1])


def load_search(path: str) -> list[tuple[object, ...]]:
    """What the search index holds, in the order of its numbers."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source:
        return source.execute(f"SELECT {_TEXTS} FROM _texts ORDER BY number").fetchall()  # noqa: S608 - names above


def store_indexed(path: str, content: Content, entries: list[tuple[object, ...]]) -> int:
    """Write it all into syncd's tables, the texts into its search too; how many messages."""
    with open_writer(Path(path)) as writer, writer.transaction() as database:
        for table, (_, rows) in content.items():
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names above
        marks = ", ".join("?" * len(entries[0]))
        database.executemany(f"INSERT INTO _texts ({_TEXTS}) VALUES ({marks})", entries)  # noqa: S608 - names above
        database.execute(f"{_INDEX} ORDER BY arrival")
    return len(content["messages"][1])


def main() -> None:
    """`SOURCE TARGET [indexed]`; prints what the writing took, the reading left out."""
    content = load(sys.argv[1])
    entries = load_search(sys.argv[1]) if "indexed" in sys.argv else []
    began, cpu = time.perf_counter(), time.process_time()
    messages = store_indexed(sys.argv[2], content, entries) if entries else store(sys.argv[2], content)
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "messages": messages}
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main()
