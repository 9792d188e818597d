"""The store limit: the very rows that syncd wrote, by executemany in one transaction, into tables without indexes."""

import json
import sqlite3
import sys
import time
from contextlib import closing

TABLES = ("conversations", "messages")


def load(path: str) -> dict[str, tuple[str, list[tuple[object, ...]]]]:
    """Each table's definition and rows, from a database that syncd made."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source:
        return {
            table: (
                source.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0],
                source.execute(f"SELECT * FROM {table}").fetchall(),  # noqa: S608 - names above
            )
            for table in TABLES
        }


def store(path: str, content: dict[str, tuple[str, list[tuple[object, ...]]]]) -> int:
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


def main() -> None:
    """`SOURCE TARGET`; prints what the writing took, the reading left out."""
    content = load(sys.argv[1])
    began, cpu = time.perf_counter(), time.process_time()
    messages = store(sys.argv[2], content)
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "messages": messages}
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main()
