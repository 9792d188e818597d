"""Every public table and view, row by row, as of one instant; imports nothing heavy."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncd.core.catalogue import Relation
from syncd.errors import StoreTroubleError
from syncd.store.database import Database, Row, open_reader, read_identity, read_mark, transact


def read_relation(database: sqlite3.Connection, relation: Relation, since: int | None) -> Iterator[tuple[Any, ...]]:
    """Its rows; a table's in the order of its key, behind `since` those that changed, in the order they did."""
    columns = ", ".join(relation.names)
    if relation.kind == "deletions":
        query = f"SELECT {columns} FROM _deletions WHERE change_id > ? ORDER BY change_id"  # noqa: S608 - names of the catalogue
        return database.execute(query, (since or 0,))
    query = f"SELECT {columns} FROM {relation.name}"  # noqa: S608 - the same
    if relation.kind == "view":
        return database.execute(query)
    if since is not None:
        return database.execute(f"{query} WHERE change_id > ? ORDER BY change_id", (since,))
    return database.execute(f"{query} ORDER BY {', '.join(relation.key)}")


def read_change_id(database: sqlite3.Connection) -> int:
    """The number of the last transaction."""
    return int(database.execute("SELECT value FROM _counters WHERE name = 'change_id'").fetchone()[0])


# What is published: the rows that changed behind a place, each batch as of one instant. Reads only.


class ChangedRows:
    """A connection that looks at the database whenever it is asked to; fulfils publish's interface of that name."""

    def __init__(self, path: Path, tables: Sequence[Relation]) -> None:
        """Raises DatabaseError, NoDatabaseError."""
        self._path = path
        self._database = open_reader(path)
        self._tables = [table.name for table in tables]

    def read_version(self) -> int:
        """A number that is another after every commit of another connection; raises StoreTroubleError."""
        with self._translating():
            return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def look(self) -> Iterator["DatabaseSnapshot"]:
        """The database as it is at this instant, for as long as the context lasts; raises StoreTroubleError."""
        with self._translating():
            try:
                self._database.execute("BEGIN")
                yield DatabaseSnapshot(self._database, self._tables)
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


class DatabaseSnapshot:
    """The database at one instant."""

    def __init__(self, database: sqlite3.Connection, tables: list[str]) -> None:
        self._database = database
        self._tables = tables
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
        names = (*self._tables, "_deletions")
        looks = (f"SELECT (SELECT change_id FROM {name} {behind}) AS c" for name in names)  # noqa: S608 - names from the schema
        query = f"SELECT min(c) FROM ({' UNION ALL '.join(looks)})"  # noqa: S608 - the same
        found = self._database.execute(query, {"place": place, "rows": rows}).fetchone()[0]
        return end if found is None else min(end, int(found))

    def find_changed(self, place: int) -> set[str]:
        """The tables in which anything was changed behind `place`."""
        looks = (
            f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name} WHERE change_id > :place)"  # noqa: S608 - names from the schema
            for name in self._tables
        )
        return {row[0] for row in self._database.execute(" UNION ALL ".join(looks), {"place": place})}

    def read_rows(
        self, table: str, columns: Sequence[str], accounts: Sequence[str], span: tuple[int, int]
    ) -> Iterator[tuple[Any, ...]]:
        """The rows that were last changed behind the span's first change and up to its last."""
        # The plus keeps SQLite from looking for all rows of the account.
        query = (
            f"SELECT {', '.join(columns)} FROM {table} WHERE change_id > ? AND change_id <= ?"  # noqa: S608 - names from the schema
            " AND +account IN (SELECT value FROM json_each(?))"
        )
        return self._database.execute(query, (*span, json.dumps(list(accounts))))

    def read_keys(self, table: str, columns: Sequence[str], accounts: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """These columns of every row."""
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE account IN (SELECT value FROM json_each(?))"  # noqa: S608 - the same
        return self._database.execute(query, (json.dumps(list(accounts)),))

    def read_deletions(self, span: tuple[int, int]) -> Iterator[tuple[str, list[Any]]]:
        """The table and the key of each row that was deleted in that span, one table after the other."""
        query = 'SELECT table_name, "key" FROM _deletions WHERE change_id > ? AND change_id <= ? ORDER BY table_name'
        for table, key in self._database.execute(query, span):
            yield table, json.loads(key)


# How far the database is published into which targets; written by the lock's holder, like a consumer's place.


def note_published(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Write down how `target` stands: its `place`, when that was `published_at`, or the `error` and when to try again.

    To be called by the lock's holder, outside a transaction. `follows`: whether somebody keeps it up to date; None
    leaves that as it was.
    """
    given = {name: words.get(name) for name in ("place", "published_at", "error", "tries", "next_try_at", "follows")}
    transact(database, lambda: _write(database, {"target": str(words["target"]), "now": now, **given}))
    return {}


def _write(database: sqlite3.Connection, words: dict[str, Any]) -> None:
    database.execute("INSERT OR IGNORE INTO _published (target) VALUES (:target)", words)
    database.execute(
        "UPDATE _published SET follows = coalesce(:follows, follows), place = coalesce(:place, place),"
        " published_at = coalesce(:published_at, published_at), error = :error, tries = coalesce(:tries, 0),"
        " failing_since = CASE WHEN :error IS NOT NULL THEN coalesce(failing_since, :now) END,"
        " next_try_at = :next_try_at WHERE target = :target",
        words,
    )


def leave_targets(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Nobody keeps any target up to date but `target` (None: none at all), as far as the daemon goes."""
    del now
    values = (words.get("target"),)
    if database.execute("SELECT 1 FROM _published WHERE follows AND target IS NOT ?", values).fetchone():
        transact(database, lambda: _leave(database, values))
    return {}


def _leave(database: sqlite3.Connection, values: tuple[Any, ...]) -> None:
    database.execute(
        "UPDATE _published SET follows = 0, error = NULL, tries = 0, failing_since = NULL, next_try_at = NULL"
        " WHERE follows AND target IS NOT ?",
        values,
    )


_TARGETS = """
SELECT p.target, p.follows, p.place, c.value - p.place AS behind, p.published_at, p.error, p.tries, p.failing_since,
       p.next_try_at,
       (SELECT count(*) FROM _deletions d WHERE d.change_id > p.place AND d.table_name <> 'failures') AS to_remove
FROM _published p, _counters c WHERE c.name = 'change_id' ORDER BY p.target
"""


def read_targets(database: Database) -> list[Row]:
    """Every target: how many transactions it is behind, rows still to be removed from it, and what keeps it up."""
    rows = database.execute(_TARGETS).fetchall()
    return [row | {"follows": bool(row["follows"])} for row in rows]
