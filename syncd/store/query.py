"""Any one query that a person writes, run so that it can only read."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from syncd.errors import UsageError

_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_PRAGMAS = frozenset(
    {
        "application_id",
        "collation_list",
        "compile_options",
        "data_version",
        "database_list",
        "foreign_key_list",
        "function_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "journal_mode",
        "page_count",
        "page_size",
        "quick_check",
        "schema_version",
        "table_info",
        "table_list",
        "table_xinfo",
        "user_version",
    }
)
_ARGUMENT_NAMES_A_TABLE = ("_info", "_xinfo", "_list", "_check")
_STEPS_BETWEEN_LOOKS = 100_000
"""Steps of SQLite's machine after which Python may notice Ctrl-C: some milliseconds."""
_MISTAKES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG})
_WRITES = frozenset({sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY})


@contextmanager
def running_query(database: sqlite3.Connection, sql: str) -> Iterator[tuple[list[str], Iterator[tuple[Any, ...]]]]:
    """Run one query; gives its columns' names and its rows as they come.

    Raises UsageError for SQL that is wrong, writes, or is more than one statement.
    """
    database.row_factory = None
    database.set_authorizer(_authorize)
    database.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)
    try:
        cursor = database.execute(sql)
        if cursor.description is None:
            raise UsageError("that is no query; syncd sql takes one SELECT")
        yield _distinct([column[0] for column in cursor.description]), cursor
    except (sqlite3.Warning, sqlite3.ProgrammingError) as error:
        raise UsageError(f"syncd sql takes one statement without parameters: {error}") from error
    except sqlite3.Error as error:
        explained = _explain(error)
        if explained is None:
            raise
        raise explained from error


def _explain(error: sqlite3.Error) -> BaseException | None:
    """What the person should be told; None for what is no mistake of theirs."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return KeyboardInterrupt()  # Ctrl-C, which SQLite saw first
    if code in _WRITES:
        return UsageError(f"syncd sql only reads ({error}); write a SELECT")
    if code in _MISTAKES:
        return UsageError(f"the query can't be run: {error}")
    return None


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _view: str | None) -> int:
    """SQLite asks for each thing that a statement does; mode=ro alone would let ATTACH create another file."""
    if action in _READS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        return sqlite3.SQLITE_OK  # what SQLite asks for json_each and its like; a real update of it is refused anyway
    if (
        action == sqlite3.SQLITE_PRAGMA
        and first in _PRAGMAS
        and (not second or first.endswith(_ARGUMENT_NAMES_A_TABLE))
    ):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _distinct(names: list[str]) -> list[str]:
    """The names, a repeated one with a number behind it, so that none hides another in JSON."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}:{seen[name] - 1}")
    return distinct
