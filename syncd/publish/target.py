"""What the target holds: its schema, how far each account is published, and by whom."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, Protocol

import psycopg
from msgspec import Struct
from psycopg import sql

from syncd.errors import PublishError
from syncd.publish.postgres import TargetConnection

Span = tuple[int, int]
"""Changes from behind the first number up to the second."""


class MirrorSnapshot(Protocol):
    """The mirror at one instant; `newest` is the number of its last change."""

    newest: int

    def read_identity(self) -> str:
        """What tells this database, and every copy of it, from any other."""

    def read_mark(self, change_id: int) -> str:
        """The line of the database's history that this change is on: a restored backup goes on upon another."""

    def read_accounts(self) -> list[str]:
        """Every account that has rows."""

    def find_end(self, place: int, end: int, rows: int) -> int:
        """The last change of a batch from behind `place` to `end` at most, with some `rows` of each table at most."""

    def find_changed(self, place: int) -> set[str]:
        """The tables in which anything was changed behind `place`."""

    def read_rows(
        self, table: str, columns: Sequence[str], accounts: Sequence[str], span: Span
    ) -> Iterator[tuple[Any, ...]]:
        """The rows that were last changed in that span."""

    def read_keys(self, table: str, columns: Sequence[str], accounts: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """These columns of every row."""

    def read_deletions(self, span: Span) -> Iterator[tuple[str, list[Any]]]:
        """The table and the key of each row that was deleted in that span, one table after the other."""


class Waiting(Protocol):
    """Who looks after it that the target is not waited for in vain."""

    def expect(self) -> None:
        """Something is asked of the target, or it has just got on."""

    def rest(self) -> None:
        """Nothing is asked of it."""


class Changes(Protocol):
    """The mirror, looked at as often as one likes."""

    def read_version(self) -> int:
        """A number that is another after every commit."""

    def look(self) -> AbstractContextManager[MirrorSnapshot]:
        """The mirror as it is at this instant, for as long as the context lasts."""


# The target's schema: made where it is missing, migrated where it is older, refused where it is newer.


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


def prepare(line: TargetConnection) -> tuple[Table, ...]:
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


def read_version(cursor: "psycopg.Cursor", line: TargetConnection) -> int:
    """The number of the last file that was applied, 0 when there is no schema yet; PublishError for a newer one."""
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = '_schema_version'"
    if cursor.execute(query, [line.schema]).fetchone() is None:
        return 0
    found = cursor.execute(_in(line.schema, "SELECT max(version) FROM {}._schema_version")).fetchone()
    version = int(found[0] or 0) if found else 0
    check_version(version, line)
    return version


def check_version(version: int, line: TargetConnection) -> None:
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


def _migrate(cursor: "psycopg.Cursor", line: TargetConnection, steps: list[tuple[int, str]]) -> None:
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


# How far each account is published, and by whom: kept in the target, written with the rows.


class Place(Struct, frozen=True, kw_only=True):
    """An account's row of `_publish`; see there."""

    account: str
    identity: str
    mark: str
    place: int
    fresh_until: int
    compared: bool

    @property
    def kind(self) -> tuple[int, int, bool]:
        """Accounts that are as far as this, and came the same way, are published together."""
        return self.place, self.fresh_until if self.place < self.fresh_until else 0, self.compared


_READ: LiteralString = (
    "SELECT account, identity, mark, place, fresh_until, compared, (SELECT max(version) FROM {0}._schema_version)"
    " FROM {0}._publish WHERE account = ANY(%s) ORDER BY account"
)
_LOCK_PLACES: LiteralString = f"{_READ} FOR UPDATE"
_CLAIM = (
    "INSERT INTO {0}._publish (account, identity, mark, place, fresh_until, compared)"
    " VALUES (%s, %s, %s, 0, %s, %s) ON CONFLICT DO NOTHING"
)
_TAKE_OVER = (
    "UPDATE {0}._publish SET identity = %s, mark = %s, place = 0, fresh_until = 0, compared = TRUE"
    " WHERE account = ANY(%s)"
)
_ADVANCE = (
    "UPDATE {0}._publish SET place = %s, mark = %s, compared = compared AND NOT %s, published_at = now()"
    " WHERE account = ANY(%s)"
)


@cache
def _within(schema: str, statement: LiteralString) -> bytes:
    """The statement as it is for this schema, built once."""
    return sql.SQL(statement).format(sql.Identifier(schema)).as_bytes(None)


def lock_places(
    cursor: "psycopg.Cursor", line: TargetConnection, accounts: Sequence[str]
) -> tuple[int, dict[str, Place]]:
    """The schema's version, and the places of those accounts that have one; nobody else moves them meanwhile."""
    rows = cursor.execute(_within(line.schema, _LOCK_PLACES), [list(accounts)]).fetchall()
    return (int(rows[0][-1]) if rows else 0), {place.account: place for place in _as_places(rows)}


def read_places(cursor: "psycopg.Cursor", line: TargetConnection, accounts: Sequence[str]) -> list[Place]:
    """The places of those accounts that have one, as they are just now."""
    return _as_places(cursor.execute(_within(line.schema, _READ), [list(accounts)]).fetchall())


def _as_places(rows: Sequence[tuple[Any, ...]]) -> list[Place]:
    return [Place(**dict(zip(Place.__struct_fields__, row, strict=False))) for row in rows]


def claim(
    cursor: "psycopg.Cursor", line: TargetConnection, account: str, snapshot: MirrorSnapshot, *, fresh: bool
) -> None:
    """Begin an account that nobody has published yet; `fresh`: no row of it is in the target."""
    end = snapshot.newest if fresh else 0
    cursor.execute(
        _within(line.schema, _CLAIM), [account, snapshot.read_identity(), snapshot.read_mark(0), end, not fresh]
    )


def take_over(
    cursor: "psycopg.Cursor", line: TargetConnection, accounts: Sequence[str], snapshot: MirrorSnapshot
) -> None:
    """Begin these accounts again, whoever published them: everything is compared."""
    cursor.execute(_within(line.schema, _TAKE_OVER), [snapshot.read_identity(), snapshot.read_mark(0), list(accounts)])


def advance(
    cursor: "psycopg.Cursor", line: TargetConnection, accounts: Sequence[str], mark: str, end: int, *, whole: bool
) -> None:
    """These accounts are published up to `end`; `whole`: that is all there is, and what was to be compared is."""
    cursor.execute(_within(line.schema, _ADVANCE), [end, mark, whole, list(accounts)])


def judge(place: Place, snapshot: MirrorSnapshot, line: TargetConnection) -> PublishError | None:
    """Why these rows are not this database's to go on with, or None."""
    advice = f"`syncd publish --take-over` compares everything and makes {place.account} this database's"
    if place.identity != snapshot.read_identity():
        return PublishError(
            f"{line.target}: account {place.account} is published there by another database; rename the account, "
            f"publish into another schema, or stop the other one for good: {advice}",
            exit_code=78,
        )
    if place.place > snapshot.newest or place.mark != snapshot.read_mark(place.place):
        return PublishError(
            f"{line.target}: account {place.account} was published from a later state or another copy of this "
            f"database (was a backup restored?); {advice}",
            exit_code=78,
        )
    return None


# How a target stands, for whoever only looks: nothing is locked or written.


class TargetStatus(Struct, frozen=True, kw_only=True):
    """The schema's version, 0 where there is none; how many changes of the mirror are not there yet.

    `refusals`: why accounts are not ours to write.
    """

    version: int
    behind: int
    refusals: tuple[PublishError, ...] = ()


def read_target_status(line: TargetConnection, snapshot: MirrorSnapshot) -> TargetStatus:
    """Compare the target with the mirror; raises PublishError, for a schema that a newer syncd has made too."""
    accounts = snapshot.read_accounts()
    with line.transaction() as cursor:
        version = read_version(cursor, line)
        places = read_places(cursor, line, accounts) if version else []
    begun = [place.place for place in places] if len(places) == len(accounts) else []
    verdicts = (judge(place, snapshot, line) for place in places)
    refusals = tuple(verdict for verdict in verdicts if verdict is not None)
    return TargetStatus(version=version, behind=snapshot.newest - min(begun, default=0), refusals=refusals)
