"""Publishing: what changed behind the target's checkpoint goes there, batch by batch."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import sql

from syncd.core.catalogue import Catalogue, Relation, Type
from syncd.errors import PublishError
from syncd.publish.postgres import TargetConnection
from syncd.publish.target import (
    POSTGRES_TYPES,
    Changes,
    MirrorSnapshot,
    Patient,
    Place,
    advance,
    check_version,
    claim,
    judge,
    lock_places,
    prepare,
    published_tables,
    take_over,
)

Row = tuple[Any, ...]
_NUL, _ESCAPED, _INSTEAD = "\0", "\\u0000", "\ufffd"


def fit_rows(table: Relation, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with U+FFFD for each NUL, and ids apart that would be the same by that.

    No id has NUL since entries with such ones are set aside, but an older syncd has kept some.
    """
    texts = [place for place, column in enumerate(table.columns) if column.type == "text"]
    ids = frozenset(place for place in texts if table.names[place] in table.key or table.names[place].endswith("_id"))
    objects = [place for place, column in enumerate(table.columns) if column.type == "json"]
    for row in rows:
        if any(_NUL in row[place] for place in texts if row[place]) or any(
            _ESCAPED in row[place] for place in objects if row[place]
        ):
            yield _fit(row, texts, objects, ids)
        else:
            yield row


def _fit(row: Row, texts: list[int], objects: list[int], ids: frozenset[int]) -> Row:
    values = list(row)
    for place in texts:
        if values[place]:
            values[place] = (_fit_id if place in ids else _fit_json)(values[place])
    for place in objects:
        if values[place]:
            values[place] = json.dumps(_fit_json(json.loads(values[place])), ensure_ascii=False)
    return tuple(values)


def _fit_id(value: str) -> str:
    """The id, with a digest of itself where it has NUL, so that two such ids stay two."""
    if _NUL not in value:
        return value
    return f"{value.replace(_NUL, _INSTEAD)}{_INSTEAD}{blake2b(value.encode(), digest_size=8).hexdigest()}"


def _fit_key(value: Any) -> Any:
    return _fit_id(value) if isinstance(value, str) else value


def _fit_json(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_NUL, _INSTEAD)
    if isinstance(value, list):
        return [_fit_json(item) for item in value]
    if isinstance(value, dict):
        return {_fit_json(name): _fit_json(item) for name, item in value.items()}
    return value


# Rows on their way into the target: copied where nothing can be yet, else put in the place of what is there.


_Item = TypeVar("_Item")

_AT_ONCE = 500
"""Rows of one statement."""

_BY_TYPE: Mapping[Type, tuple[LiteralString, LiteralString]] = {
    # How a column travels in an array, and what becomes of it there.
    "text": ("text", "{}"),
    "date": ("text", "{}"),
    "integer": ("bigint", "{}"),
    "real": ("double precision", "{}"),
    "boolean": ("bigint", "{} <> 0"),
    "time": ("text", "{}::timestamptz"),
    "json": ("text", "{}::jsonb"),
}


class Rows:
    """Writes the tables of one schema inside a transaction, and tells its `timeouts` whenever it has got on."""

    def __init__(self, cursor: "psycopg.Cursor", schema: str, timeouts: Patient) -> None:
        self._cursor = cursor
        self._schema = schema
        self._patience = timeouts

    def holds(self, tables: Iterable[Relation], account: str) -> bool:
        """Whether any row of the account is there."""
        looks = (
            sql.SQL("EXISTS (SELECT 1 FROM {} WHERE account = %(account)s)").format(self._name(table))
            for table in tables
        )
        query = sql.SQL("SELECT {}").format(sql.SQL(" OR ").join(looks))
        found = self._cursor.execute(query, {"account": account}).fetchone()
        return bool(found and found[0])

    def copy(self, table: Relation, rows: Iterable[Row]) -> int:
        """Add rows of which none is there; how many."""
        return self._copy_into(self._name(table), table, rows)

    def _copy_into(self, name: sql.Composable, table: Relation, rows: Iterable[Row]) -> int:
        count = 0
        fitting = fit_rows(table, rows)
        group = list(islice(fitting, _AT_ONCE))
        if not group:
            return 0
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(name, _list(table.names))
        with self._cursor.copy(statement) as copy:
            while group:
                for row in group:
                    copy.write_row(row)
                count += len(group)
                self._patience.expect()
                group = list(islice(fitting, _AT_ONCE))
        return count

    def put(self, table: Relation, rows: Iterable[Row]) -> int:
        """Add the rows, or change those with their keys that differ; how many were written."""
        count = 0
        for group in _groups(fit_rows(table, rows)):
            self._cursor.execute(_build_put(self._schema, table), _columns_of(group))
            count += self._cursor.rowcount
            self._patience.expect()
        return count

    def delete(self, table: Relation, keys: Iterable[Sequence[Any]], accounts: Sequence[str]) -> int:
        """Remove the rows of these accounts with these keys; a key of one number has the account left out."""
        count = 0
        for group in _groups(keys):
            full = [tuple(map(_fit_key, key)) for key in group if len(key) == len(table.key)]
            short = [key[0] for key in group if len(key) == 1 < len(table.key)]
            if full:
                count += self._delete_full(table, full, accounts)
            if short:
                statement = sql.SQL("DELETE FROM {} WHERE account = ANY(%s) AND id = ANY(%s::bigint[])")
                self._cursor.execute(statement.format(self._name(table)), [list(accounts), short])
                count += self._cursor.rowcount
            self._patience.expect()
        return count

    def _delete_full(self, table: Relation, keys: list[Row], accounts: Sequence[str]) -> int:
        kinds = _types(table)
        statement = sql.SQL(
            "DELETE FROM {table} AS t USING unnest({arrays}) AS k ({key})"
            " WHERE t.account = ANY(%s) AND ({mine}) = ({named})"
        ).format(
            table=self._name(table),
            arrays=_join(sql.SQL(f"%s::{_BY_TYPE[kinds[name]][0]}[]") for name in table.key),
            key=_list(table.key),
            mine=_join(sql.Identifier("t", name) for name in table.key),
            named=_join(sql.Identifier("k", name) for name in table.key),
        )
        self._cursor.execute(statement, [*_columns_of(keys), list(accounts)])
        return self._cursor.rowcount

    def keep_only(self, table: Relation, snapshot: MirrorSnapshot, accounts: Sequence[str]) -> int:
        """Remove the rows of these accounts that the mirror does not have; how many."""
        kept = sql.Identifier("_kept")
        keys = replace(table, columns=tuple(column for column in table.columns if column.name in table.key))
        columns = _join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(POSTGRES_TYPES[column.type]))
            for column in keys.columns
        )
        self._cursor.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(kept, columns))
        self._copy_into(kept, keys, snapshot.read_keys(table.name, keys.names, accounts))
        self._cursor.execute("ANALYZE _kept")
        statement = sql.SQL(
            "DELETE FROM {table} AS t WHERE t.account = ANY(%s)"
            " AND NOT EXISTS (SELECT 1 FROM _kept AS k WHERE ({mine}) = ({named}))"
        ).format(
            table=self._name(table),
            mine=_join(sql.Identifier("t", name) for name in table.key),
            named=_join(sql.Identifier("k", name) for name in table.key),
        )
        self._cursor.execute(statement, [list(accounts)])
        count = self._cursor.rowcount
        self._cursor.execute("DROP TABLE _kept")
        return count

    def _name(self, table: Relation) -> sql.Identifier:
        return sql.Identifier(self._schema, table.name)


@cache
def _build_put(schema: str, table: Relation) -> bytes:
    places = [sql.Identifier(f"c{place}") for place in range(len(table.columns))]
    kinds = [_BY_TYPE[column.type] for column in table.columns]
    others = [name for name in table.names if name not in table.key]
    statement = sql.SQL(
        "INSERT INTO {table} AS t ({names}) SELECT {values} FROM unnest({arrays}) AS given ({places})"
        " ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE ({old}) IS DISTINCT FROM ({new})"
    ).format(
        table=sql.Identifier(schema, table.name),
        names=_list(table.names),
        values=_join(sql.SQL(become).format(place) for (_, become), place in zip(kinds, places, strict=True)),
        arrays=_join(sql.SQL(f"%s::{kind}[]") for kind, _ in kinds),
        places=_join(places),
        key=_list(table.key),
        changes=_join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others),
        old=_join(sql.Identifier("t", name) for name in others),
        new=_join(sql.Identifier("excluded", name) for name in others),
    )
    return statement.as_bytes(None)


def _types(table: Relation) -> dict[str, Type]:
    return {column.name: column.type for column in table.columns}


def _groups(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while group := list(islice(remaining, _AT_ONCE)):
        yield group


def _columns_of(rows: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _list(names: Iterable[str]) -> sql.Composed:
    return _join(sql.Identifier(name) for name in names)


def _join(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


# Publishing: what changed behind the target's place goes there, batch by batch, each with the new place.


if TYPE_CHECKING:  # slow to import, and an extra
    import psycopg

_BATCH_ROWS = 20_000
"""Rows of a table that one transaction carries, but for a single change of the mirror that has more."""


class Done(Struct, kw_only=True):
    """What publishing came to: rows written and removed in the target, and the change up to which all is there.

    `refusal`: why an account is not ours to write; the others are published all the same.
    """

    rows: int = 0
    removed: int = 0
    place: int = 0
    refusal: PublishError | None = None


class Publisher:
    """Brings one target up to date; it connects when it has something to do, and again after any trouble.

    Nothing that it knows outlives an error: the places in the target are the only truth about what is there.
    """

    def __init__(
        self, changes: Changes, catalogue: Catalogue, connect: Callable[[], TargetConnection], timeouts: Patient
    ) -> None:
        self._changes = changes
        self._catalogue = catalogue
        self._tables = published_tables(catalogue)
        self._connect = connect
        self._patience = timeouts
        self._line: TargetConnection | None = None
        self._place = self._reached = -1
        self._refusal: PublishError | None = None

    def take_over(self) -> None:
        """Begin every account of the mirror again, whoever has published it; raises PublishError."""
        self._patience.expect()
        line = self._open()
        with line.transaction() as cursor, self._changes.look() as snapshot:
            take_over(cursor, line, snapshot.read_accounts(), snapshot)
        self._place = -1

    def catch_up(self, on_batch: Callable[[Done], None] = lambda _: None) -> Done:
        """Publish until nothing is left, and tell `on_batch` of each committed batch; raises PublishError."""
        total = Done()
        try:
            while not self._is_current():
                done = self._step()
                if done is None:
                    break
                on_batch(done)
                total.rows += done.rows
                total.removed += done.removed
        except BaseException:
            self.close()
            raise
        finally:
            self._patience.rest()
        total.place, total.refusal = self._place, self._refusal
        return total

    def close(self) -> None:
        """Let go of the target."""
        self._place = -1
        if self._line is not None:
            self._line.close()
            self._line = None

    def _is_current(self) -> bool:
        """Whether the mirror has not changed since the target was last found to be whole; asks the mirror alone."""
        with self._changes.look() as snapshot:
            return snapshot.newest == self._place

    def _open(self) -> TargetConnection:
        if self._line is None or self._line.closed:
            self._place = -1
            self._line = self._connect()
            prepare(self._line, self._catalogue)
        return self._line

    def _step(self) -> Done | None:
        """One batch in one transaction; None when the target has all."""
        self._patience.expect()
        line = self._open()
        with self._changes.look() as early:
            accounts = early.read_accounts()
        self._reached = -1
        with line.transaction() as cursor:
            version, places = lock_places(cursor, line, accounts)
            # Looked at behind the lock, so that whatever another process of ours has published is in it.
            with self._changes.look() as snapshot:
                places = self._claim_missing(cursor, line, snapshot, accounts, places)
                check_version(version, line, self._catalogue)
                done = self._publish(Rows(cursor, line.schema, self._patience), cursor, line, snapshot, places)
        self._place = self._reached  # committed now
        return done

    def _claim_missing(
        self,
        cursor: "psycopg.Cursor",
        line: TargetConnection,
        snapshot: MirrorSnapshot,
        accounts: list[str],
        places: dict[str, Place],
    ) -> dict[str, Place]:
        missing = [account for account in accounts if account not in places]
        rows = Rows(cursor, line.schema, self._patience)
        for account in missing:
            claim(cursor, line, account, snapshot, fresh=not rows.holds(self._tables, account))
        return lock_places(cursor, line, accounts)[1] if missing else places

    def _publish(
        self,
        rows: Rows,
        cursor: "psycopg.Cursor",
        line: TargetConnection,
        snapshot: MirrorSnapshot,
        places: dict[str, Place],
    ) -> Done | None:
        verdicts = {name: judge(place, snapshot, line) for name, place in places.items()}
        self._refusal = next((verdict for verdict in verdicts.values() if verdict is not None), None)
        ours = sorted((place for name, place in places.items() if verdicts[name] is None), key=lambda one: one.kind)
        if not ours or (ours[0].place == snapshot.newest and not ours[0].compared):
            self._reached = snapshot.newest
            return None
        kind, group = next((kind, list(found)) for kind, found in groupby(ours, key=lambda one: one.kind))
        accounts = [place.account for place in group]
        limit = min([one.place for one in ours if one.place > kind[0]], default=snapshot.newest)
        batch = _Batch(rows, snapshot, self._tables, accounts)
        done = batch.write(kind, limit)
        whole = done.place == snapshot.newest
        advance(cursor, line, accounts, snapshot.read_mark(done.place), done.place, whole=whole)
        if whole and len(group) == len(ours):
            self._reached = snapshot.newest
        return done


class _Batch:
    """The rows of some accounts that are equally far."""

    def __init__(self, rows: Rows, snapshot: MirrorSnapshot, tables: tuple[Relation, ...], accounts: list[str]) -> None:
        self._rows, self._snapshot, self._tables, self._accounts = rows, snapshot, tables, accounts

    def write(self, kind: tuple[int, int, bool], limit: int) -> Done:
        """Write from behind the place on, up to a change that it chooses, `limit` at most."""
        place, fresh_until, compared = kind
        fresh = place < fresh_until
        limit = min(limit, fresh_until) if fresh else limit
        end = self._snapshot.find_end(place, limit, _BATCH_ROWS)
        done = Done(place=end)
        if not fresh:  # what went before an account's first publication was never there
            self._delete((place, end), done)
        changed = self._snapshot.find_changed(place)
        for table in (table for table in self._tables if table.name in changed):
            found = self._snapshot.read_rows(table.name, table.names, self._accounts, (place, end))
            done.rows += self._rows.copy(table, found) if fresh else self._rows.put(table, found)
        if compared and end == self._snapshot.newest:
            done.removed += sum(self._rows.keep_only(one, self._snapshot, self._accounts) for one in self._tables)
        return done

    def _delete(self, span: tuple[int, int], done: Done) -> None:
        """Deletions come first: a key that was deleted and is there again is among the rows."""
        tables = {table.name: table for table in self._tables}
        for name, found in groupby(self._snapshot.read_deletions(span), key=itemgetter(0)):
            if name in tables:
                done.removed += self._rows.delete(tables[name], (key for _, key in found), self._accounts)
