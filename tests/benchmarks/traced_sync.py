"""`syncd sync`, with a watch on what its writing connection waits for: the lock, its commits, a log that is long."""

import json
import sqlite3
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

WAITS: dict[str, list[float]] = {"BEGIN": [], "COMMIT": [], "EMPTY": []}


class TracedCursor(sqlite3.Cursor):
    """Notes what the beginning and the end of a transaction take."""

    def execute(self, sql: str, parameters: Any = ()) -> "TracedCursor":
        """As ever."""
        began = time.perf_counter()
        super().execute(sql, parameters)
        word = "EMPTY" if "wal_checkpoint" in sql else sql[:6].rstrip().upper()
        if word in WAITS:
            WAITS[word].append(time.perf_counter() - began)
        return self


class TracedConnection(sqlite3.Connection):
    """A connection whose cursors are watched."""

    def cursor(self, factory: Any = None) -> Any:
        """A watched cursor, unless another one is asked for."""
        return super().cursor(factory or TracedCursor)

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """As ever, through a watched cursor."""
        cursor: sqlite3.Cursor = self.cursor().execute(sql, parameters)
        return cursor

    def commit(self) -> None:
        """As ever."""
        began = time.perf_counter()
        super().commit()
        WAITS["COMMIT"].append(time.perf_counter() - began)


def main() -> None:
    """`FILE`: mirror once, and write the waits there, in seconds."""
    target = Path(sys.argv[1])
    cast("Any", sqlite3).connect = partial(sqlite3.connect, factory=TracedConnection)
    sys.argv = ["syncd", "sync", "--json"]
    from syncd.cli.main import main as run_syncd  # noqa: PLC0415 - after the connection's class is set

    try:
        run_syncd()
    finally:
        target.write_text(json.dumps(WAITS), encoding="utf-8")


if __name__ == "__main__":
    main()
