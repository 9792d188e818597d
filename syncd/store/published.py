"""What is published: the rows that changed behind a place, each batch as of one instant. Reads only."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncd.errors import DatabaseError, StoreTroubleError
from syncd.store.lineage import read_identity, read_mark
from syncd.store.reading import open_reader
from syncd.store.snapshot_reading import Source, read_change_id, read_sources


class Changes:
    """A connection that looks at the database whenever it is asked to; fulfils publish's interface of that name."""

    def __init__(self, path: Path) -> None:
        """Raises DatabaseError, NoDatabaseError."""
        self._path = path
        self._database = open_reader(path)
        self._sources = {one.name: one for one in read_sources(self._database, deletions=False) if one.kind == "table"}

    def read_version(self) -> int:
        """A number that is another after every commit of another connection; raises StoreTroubleError."""
        with self._translating():
            return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def look(self) -> Iterator["Snapshot"]:
        """The database as it is at this instant, for as long as the context lasts; raises StoreTroubleError."""
        with self._translating():
            try:
                self._database.execute("BEGIN")
                yield Snapshot(self._database, self._sources)
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreTroubleError(f"{self._path} can't be read ({error}); see syncd doctor") from error

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


class Snapshot:
    """The database at one instant."""

    def __init__(self, database: sqlite3.Connection, sources: dict[str, Source]) -> None:
        self._database = database
        self._sources = sources
        self.newest = read_change_id(database)

    def read_identity(self) -> str:
        """What tells this database, and every copy of it, from any other."""
        return read_identity(self._database)

    def read_mark(self, change_id: int) -> str:
        """The line of the database's history that this change is on."""
        return read_mark(self._database, change_id)

    def read_accounts(self) -> list[str]:
        """Every account that has rows, removed ones too."""
        return [row[0] for row in self._database.execute("SELECT account FROM accounts ORDER BY account")]

    def find_end(self, place: int, end: int, rows: int) -> int:
        """The last change of a batch from behind `place` to `end` at most, with some `rows` of each table at most."""
        behind = "WHERE change_id > :place ORDER BY change_id LIMIT 1 OFFSET :rows"
        names = (*self._sources, "_deletions")
        looks = (f"SELECT (SELECT change_id FROM {name} {behind}) AS c" for name in names)  # noqa: S608 - names from the schema
        query = f"SELECT min(c) FROM ({' UNION ALL '.join(looks)})"  # noqa: S608 - the same
        found = self._database.execute(query, {"place": place, "rows": rows}).fetchone()[0]
        return end if found is None else min(end, int(found))

    def find_changed(self, place: int) -> set[str]:
        """The tables in which anything was changed behind `place`."""
        looks = (
            f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name} WHERE change_id > :place)"  # noqa: S608 - names from the schema
            for name in self._sources
        )
        return {row[0] for row in self._database.execute(" UNION ALL ".join(looks), {"place": place})}

    def read_rows(
        self, table: str, columns: Sequence[str], accounts: Sequence[str], span: tuple[int, int]
    ) -> Iterator[tuple[Any, ...]]:
        """The rows that were last changed behind the span's first change and up to its last."""
        # The plus keeps SQLite from looking for all rows of the account.
        query = (
            f"SELECT {self._list(table, columns)} FROM {table} WHERE change_id > ? AND change_id <= ?"  # noqa: S608 - names from the schema
            " AND +account IN (SELECT value FROM json_each(?))"
        )
        return self._database.execute(query, (*span, json.dumps(list(accounts))))

    def read_keys(self, table: str, columns: Sequence[str], accounts: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """These columns of every row."""
        query = f"SELECT {self._list(table, columns)} FROM {table} WHERE account IN (SELECT value FROM json_each(?))"  # noqa: S608 - the same
        return self._database.execute(query, (json.dumps(list(accounts)),))

    def read_deletions(self, span: tuple[int, int]) -> Iterator[tuple[str, list[Any]]]:
        """The table and the key of each row that was deleted in that span, one table after the other."""
        query = 'SELECT table_name, "key" FROM _deletions WHERE change_id > ? AND change_id <= ? ORDER BY table_name'
        for table, key in self._database.execute(query, span):
            yield table, json.loads(key)

    def _list(self, table: str, columns: Sequence[str]) -> str:
        known = {name for name, _ in self._sources[table].columns} if table in self._sources else set()
        if strange := sorted(set(columns) - known):
            raise DatabaseError(f"the table {table} has no column {', '.join(strange)}; update syncd")
        return ", ".join(columns)
