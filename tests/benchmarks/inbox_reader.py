"""A program that queries `inbox` again and again while syncd writes, and notes what it had to wait for."""

import json
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType


class Reader:
    """Notes, in seconds and from the first row on, what each query waited for a lock, and what it took in all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = False
        self.waits: list[float] = []
        self.queries: list[float] = []

    def end(self, _number: int, _frame: FrameType | None) -> None:
        """Finish the query under way."""
        self._ended = True

    def read(self) -> None:
        """Query until ended."""
        while not self._ended and not self._path.exists():
            time.sleep(0.01)
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=0)) as database:
            while not self._ended:
                began = time.perf_counter()
                rows, waited = self._query(database, began)
                if rows:
                    self.waits.append(waited)
                    self.queries.append(time.perf_counter() - began)

    def _query(self, database: sqlite3.Connection, began: float) -> tuple[int, float]:
        """The whole view: its rows, and the wait. Without a timeout a lock is told at once, and waited for here."""
        waited = 0.0
        while True:
            try:
                return len(database.execute("SELECT * FROM inbox").fetchall()), waited
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                    raise
            time.sleep(0.001)
            waited = time.perf_counter() - began


def main() -> None:
    """`DATABASE`: read until SIGTERM, then print what was noted."""
    reader = Reader(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, reader.end)
    reader.read()
    sys.stdout.write(json.dumps({"waits": reader.waits, "queries": reader.queries}))


if __name__ == "__main__":
    main()
