"""What the target holds: its schema, how far each account is published, and by whom."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, Protocol

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import sql

from syncd.core.catalogue import Catalogue, Column, Relation, Type
from syncd.core.sources import SOURCES
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


class Patient(Protocol):
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


# The target's schema: made from the catalogue where it is missing, brought up to it where it is older.


_LOCK = 0x73796E63  # "sync" in ASCII: with the schema's hash the advisory lock under which a schema is made
_UNPUBLISHED = {("events", "logged_at")}
"""When this machine's log had the event: setting it is no change, so it would be there or not by chance."""

# Texts are ordered by their bytes, as in the mirror, so that a query sorts alike on both; a day is text there too.
_TEXT: LiteralString = 'text COLLATE "C"'
POSTGRES_TYPES: Mapping[Type, LiteralString] = {
    "text": _TEXT,
    "date": _TEXT,
    "integer": "bigint",
    "real": "double precision",
    "boolean": "boolean",
    "time": "timestamptz",
    "json": "jsonb",
}


def published_tables(catalogue: Catalogue) -> tuple[Relation, ...]:
    """The tables as they are written: with the account first in each key, as many mirrors publish into them."""
    return tuple(
        replace(
            _with_account_first(table),
            columns=tuple(column for column in table.columns if (table.name, column.name) not in _UNPUBLISHED),
        )
        for table in catalogue.tables
    )


def _with_account_first(table: Relation) -> Relation:
    columns = sorted(table.columns, key=lambda column: column.name != "account")
    return replace(table, columns=tuple(columns), key=("account", *(name for name in table.key if name != "account")))


def prepare(line: TargetConnection, catalogue: Catalogue) -> None:
    """Bring the schema up to the catalogue; raises PublishError.

    All in one transaction, under a lock: any number may begin at once, and none meets half a schema.
    """
    with line.transaction() as cursor:
        version = read_version(cursor, line, catalogue)
    if version < catalogue.version:
        with line.transaction() as cursor:
            _lock(cursor, line.schema)
            _migrate(cursor, line, catalogue)
    with line.transaction() as cursor:
        register_sources(cursor, line.schema)


def read_version(cursor: "psycopg.Cursor", line: TargetConnection, catalogue: Catalogue) -> int:
    """The version of the schema, 0 when there is none yet; PublishError for a newer one than the catalogue's."""
    query = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = '_schema_version'"
    if cursor.execute(query, [line.schema]).fetchone() is None:
        return 0
    found = cursor.execute(_in(line.schema, "SELECT max(version) FROM {}._schema_version")).fetchone()
    version = int(found[0] or 0) if found else 0
    check_version(version, line, catalogue)
    return version


def check_version(version: int, line: TargetConnection, catalogue: Catalogue) -> None:
    """Refuse a schema that a newer syncd has made."""
    if version > catalogue.version:
        raise PublishError(
            f"{line.target}: a newer syncd made this schema (version {version}, this one knows {catalogue.version}); "
            "update syncd, or publish into another schema",
            exit_code=78,
        )


def _lock(cursor: "psycopg.Cursor", schema: str) -> None:
    # An engine without such locks lets one of several succeed.
    with _tolerating(cursor, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFunction):
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, schema])


@contextmanager
def _tolerating(cursor: "psycopg.Cursor", *errors: type[psycopg.Error]) -> Iterator[None]:
    """Go on as if nothing had been asked where an engine does not know how to do it."""
    cursor.execute("SAVEPOINT tolerating")
    try:
        yield
    except errors:
        cursor.execute("ROLLBACK TO SAVEPOINT tolerating")


def _migrate(cursor: "psycopg.Cursor", line: TargetConnection, catalogue: Catalogue) -> None:
    """Read again under the lock: another may have been quicker."""
    known = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    if cursor.execute(known, [line.schema]).fetchone() is None:
        cursor.execute(_in(line.schema, "CREATE SCHEMA {}"))
    if read_version(cursor, line, catalogue) < catalogue.version:
        write_schema(cursor, line.schema, catalogue)


def write_schema(cursor: "psycopg.Cursor", schema: str, catalogue: Catalogue) -> None:
    """Make what the schema lacks of the catalogue, inside a transaction."""
    cursor.execute(_in(schema, "SET LOCAL search_path TO {}"))
    cursor.execute(_load("tables"))
    held = _read_columns(cursor, schema)
    missing = [statement for table in catalogue.tables for statement in _render_missing(table, held)]
    if missing:
        cursor.execute(sql.SQL("; ").join(missing))
        cursor.execute(_PUBLISH_AGAIN)
    cursor.execute(_load("views"))
    for relations in (catalogue.tables, catalogue.views):
        with _tolerating(cursor, psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported):
            cursor.execute(sql.SQL("; ").join(comment for one in relations for comment in _render_comments(one)))
    cursor.execute("INSERT INTO _schema_version (version) VALUES (%s)", [catalogue.version])


_PUBLISH_AGAIN = "UPDATE _publish SET place = 0, mark = identity, fresh_until = 0"
"""What is new here may be in rows that were published long ago: each is compared, and those that differ are written."""


def register_sources(cursor: "psycopg.Cursor", schema: str) -> None:
    """Have the views know what each kind of source can do."""
    for kind in SOURCES.values():
        cursor.execute(_within(schema, _REGISTER), [kind.name, kind.has_viewer, kind.names_subjects])


_REGISTER = (
    "INSERT INTO {0}._sources AS s (source, has_viewer, names_subjects) VALUES (%s, %s, %s) ON CONFLICT (source)"
    " DO UPDATE SET has_viewer = excluded.has_viewer, names_subjects = excluded.names_subjects"
    " WHERE (s.has_viewer, s.names_subjects) IS DISTINCT FROM (excluded.has_viewer, excluded.names_subjects)"
)


def _load(name: str) -> bytes:
    """One of this installation's SQL files; each may be run again and again."""
    return (files("syncd.publish.schema") / f"{name}.sql").read_bytes()


def _read_columns(cursor: "psycopg.Cursor", schema: str) -> dict[str, set[str]]:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"
    held: dict[str, set[str]] = {}
    for table, column in cursor.execute(query, [schema]).fetchall():
        held.setdefault(table, set()).add(column)
    return held


def _render_missing(table: Relation, held: Mapping[str, set[str]]) -> Iterator[sql.Composed]:
    """What makes the table, or adds the columns that it lacks; there are no foreign keys, as there are none here."""
    table, name = _with_account_first(table), sql.Identifier(table.name)
    if table.name not in held:
        columns = [sql.SQL("{} {}").format(_declare(one), sql.SQL(_null(one, table.key))) for one in table.columns]
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        yield sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(name, sql.SQL(", ").join(columns), key)
        return
    for column in table.columns:
        if column.name not in held[table.name]:  # NULL in the rows that are there, until they are published again
            yield sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(name, _declare(column))


def _declare(column: Column) -> sql.Composed:
    return sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(POSTGRES_TYPES[column.type]))


def _null(column: Column, key: Sequence[str]) -> LiteralString:
    return "NOT NULL" if column.null is None or column.name in key else "NULL"


def _render_comments(relation: Relation) -> Iterator[sql.Composed]:
    name, kind = sql.Identifier(relation.name), sql.SQL("TABLE" if relation.kind == "table" else "VIEW")
    yield sql.SQL("COMMENT ON {} {} IS {}").format(kind, name, sql.Literal(relation.description))
    for column in relation.columns:
        place = sql.Identifier(relation.name, column.name)
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(place, sql.Literal(column.comment))


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


def read_target_status(line: TargetConnection, snapshot: MirrorSnapshot, catalogue: Catalogue) -> TargetStatus:
    """Compare the target with the mirror; raises PublishError, for a schema that a newer syncd has made too."""
    accounts = snapshot.read_accounts()
    with line.transaction() as cursor:
        version = read_version(cursor, line, catalogue)
        places = read_places(cursor, line, accounts) if version else []
    begun = [place.place for place in places] if len(places) == len(accounts) else []
    verdicts = (judge(place, snapshot, line) for place in places)
    refusals = tuple(verdict for verdict in verdicts if verdict is not None)
    return TargetStatus(version=version, behind=snapshot.newest - min(begun, default=0), refusals=refusals)
