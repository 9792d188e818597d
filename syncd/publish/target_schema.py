"""The target's schema: made where it is missing, migrated where it is older, refused where it is newer."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import psycopg
from msgspec import Struct
from psycopg import sql

from syncd.errors import PublishError
from syncd.publish.connection import Line

_LOCK = 0x73796E63  # "sync" in ASCII: with the schema's hash the advisory lock under which a schema is made
_UNPUBLISHED = {("events", "logged_at")}
"""When this machine's log had the event: setting it is no change, so it would be there or not by chance."""


class Table(Struct, frozen=True, kw_only=True):
    """A table of the target: its columns with their types, and its key."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(name for name, _ in self.columns)


@cache
def load_steps() -> list[tuple[int, str]]:
    """Each numbered SQL file of this installation: its version and its text, in order."""
    found = (entry for entry in files("syncd.publish.schema").iterdir() if entry.name.endswith(".sql"))
    return [
        (int(entry.name.partition("_")[0]), entry.read_text(encoding="utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    ]


def prepare(line: Line) -> tuple[Table, ...]:
    """Bring the schema up to date; its tables. Raises PublishError.

    All in one transaction, under a lock: any number may begin at once, and none meets half a schema.
    """
    steps = load_steps()
    with line.transaction() as cursor:
        version = read_version(cursor, line)
    if version < steps[-1][0]:
        with line.transaction() as cursor:
            _lock(cursor, line.schema)
            _migrate(cursor, line, steps)
    with line.transaction() as cursor:
        return tuple(_describe(cursor, line.schema))


def read_version(cursor: "psycopg.Cursor", line: Line) -> int:
    """The number of the last file that was applied, 0 when there is no schema yet; PublishError for a newer one."""
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = '_schema_version'"
    if cursor.execute(query, [line.schema]).fetchone() is None:
        return 0
    found = cursor.execute(_in(line.schema, "SELECT max(version) FROM {}._schema_version")).fetchone()
    version = int(found[0] or 0) if found else 0
    check_version(version, line)
    return version


def check_version(version: int, line: Line) -> None:
    """Refuse a schema that a newer syncd has made."""
    newest = load_steps()[-1][0]
    if version > newest:
        raise PublishError(
            f"{line.target}: a newer syncd made this schema (version {version}, this one knows {newest}); "
            "update syncd, or publish into another schema",
            exit_code=78,
        )


def _lock(cursor: "psycopg.Cursor", schema: str) -> None:
    cursor.execute("SAVEPOINT locking")
    try:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, schema])
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFunction):
        cursor.execute("ROLLBACK TO SAVEPOINT locking")  # such an engine lets one of several succeed


def _migrate(cursor: "psycopg.Cursor", line: Line, steps: list[tuple[int, str]]) -> None:
    """Read again under the lock: another may have been quicker."""
    known = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    if cursor.execute(known, [line.schema]).fetchone() is None:
        cursor.execute(_in(line.schema, "CREATE SCHEMA {}"))
    version = read_version(cursor, line)
    cursor.execute(_in(line.schema, "SET LOCAL search_path TO {}"))
    for number, text in steps:
        if number > version:
            cursor.execute(text.encode())
            cursor.execute("INSERT INTO _schema_version (version) VALUES (%s)", [number])


def _describe(cursor: "psycopg.Cursor", schema: str) -> Iterator[Table]:
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in cursor.execute(_COLUMNS, [schema]).fetchall():
        if (table, column) not in _UNPUBLISHED:
            columns.setdefault(table, []).append((column, kind))
    keys: dict[str, list[str]] = {}
    for table, column in cursor.execute(_KEYS, [schema]).fetchall():
        keys.setdefault(table, []).append(column)
    for table, found in columns.items():
        yield Table(name=table, columns=tuple(found), key=tuple(keys.get(table, ())))


_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE' AND c.table_name NOT LIKE '\\_%%'
ORDER BY c.table_name, c.ordinal_position
"""
_KEYS = """
SELECT k.table_name, k.column_name FROM information_schema.key_column_usage k
JOIN information_schema.table_constraints c ON c.constraint_schema = k.constraint_schema
  AND c.constraint_name = k.constraint_name AND c.table_name = k.table_name
WHERE k.table_schema = %s AND c.constraint_type = 'PRIMARY KEY' ORDER BY k.table_name, k.ordinal_position
"""


def _in(schema: str, statement: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(schema))
