"""Rows on their way into the target: copied where nothing can be yet, else put in the place of what is there."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from syncd.publish.changes import Patient, Snapshot
from syncd.publish.target_schema import Table
from syncd.publish.values import fit_rows

Row = tuple[Any, ...]
_Item = TypeVar("_Item")

_AT_ONCE = 500
"""Rows of one statement."""

_BY_TYPE = {
    # How a column travels in an array, and what becomes of it there.
    "text": ("text", "{}"),
    "bigint": ("bigint", "{}"),
    "double precision": ("double precision", "{}"),
    "boolean": ("bigint", "{} <> 0"),
    "timestamp with time zone": ("text", "{}::timestamptz"),
    "jsonb": ("text", "{}::jsonb"),
}


class Rows:
    """Writes the tables of one schema inside a transaction, and tells its `patience` whenever it has got on."""

    def __init__(self, cursor: "psycopg.Cursor", schema: str, patience: Patient) -> None:
        self._cursor = cursor
        self._schema = schema
        self._patience = patience

    def holds(self, tables: Iterable[Table], account: str) -> bool:
        """Whether any row of the account is there."""
        looks = (
            sql.SQL("EXISTS (SELECT 1 FROM {} WHERE account = %(account)s)").format(self._name(table))
            for table in tables
        )
        query = sql.SQL("SELECT {}").format(sql.SQL(" OR ").join(looks))
        found = self._cursor.execute(query, {"account": account}).fetchone()
        return bool(found and found[0])

    def copy(self, table: Table, rows: Iterable[Row]) -> int:
        """Add rows of which none is there; how many."""
        return self._copy_into(self._name(table), table, rows)

    def _copy_into(self, name: sql.Composable, table: Table, rows: Iterable[Row]) -> int:
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

    def put(self, table: Table, rows: Iterable[Row]) -> int:
        """Add the rows, or change those with their keys that differ; how many were written."""
        count = 0
        for group in _groups(fit_rows(table, rows)):
            self._cursor.execute(_build_put(self._schema, table), _columns_of(group))
            count += self._cursor.rowcount
            self._patience.expect()
        return count

    def delete(self, table: Table, keys: Iterable[Sequence[Any]], accounts: Sequence[str]) -> int:
        """Remove the rows of these accounts with these keys; a key of one number has the account left out."""
        count = 0
        for group in _groups(keys):
            full = [tuple(key) for key in group if len(key) == len(table.key)]
            short = [key[0] for key in group if len(key) == 1 < len(table.key)]
            if full:
                count += self._delete_full(table, full, accounts)
            if short:
                statement = sql.SQL("DELETE FROM {} WHERE account = ANY(%s) AND id = ANY(%s::bigint[])")
                self._cursor.execute(statement.format(self._name(table)), [list(accounts), short])
                count += self._cursor.rowcount
            self._patience.expect()
        return count

    def _delete_full(self, table: Table, keys: list[Row], accounts: Sequence[str]) -> int:
        kinds = dict(table.columns)
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

    def keep_only(self, table: Table, snapshot: Snapshot, accounts: Sequence[str]) -> int:
        """Remove the rows of these accounts that the mirror does not have; how many."""
        kinds = dict(table.columns)
        kept = sql.Identifier("_kept")
        keys = Table(name="_kept", columns=tuple((name, kinds[name]) for name in table.key), key=table.key)
        columns = _join(sql.SQL(f"{{}} {kinds[name]}").format(sql.Identifier(name)) for name in table.key)
        self._cursor.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(kept, columns))
        self._copy_into(kept, keys, snapshot.read_keys(table.name, table.key, accounts))
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

    def _name(self, table: Table) -> sql.Identifier:
        return sql.Identifier(self._schema, table.name)


@cache
def _build_put(schema: str, table: Table) -> bytes:
    places = [sql.Identifier(f"c{place}") for place in range(len(table.columns))]
    kinds = [_BY_TYPE[kind] for _, kind in table.columns]
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
