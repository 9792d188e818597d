"""Rows as frozen values ↔ rows of tables; the statements are built once, from the tables' own columns."""

from collections.abc import Callable, Iterable
from functools import cache
from operator import itemgetter
from sqlite3 import Connection
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from msgspec.structs import astuple
from sqlalchemy.dialects import sqlite

from syncd.core.model import (
    Candidate,
    Conversation,
    Instant,
    Interview,
    InterviewMessage,
    Job,
    Message,
    Proposal,
    Row,
)
from syncd.store import tables

_Row = TypeVar("_Row", bound=Row)

_TABLES: dict[type[Row], type[tables.Row]] = {
    Conversation: tables.ConversationRow,
    Message: tables.MessageRow,
    Job: tables.JobRow,
    Candidate: tables.CandidateRow,
    Proposal: tables.ProposalRow,
    Interview: tables.InterviewRow,
    InterviewMessage: tables.InterviewMessageRow,
}


@cache
def columns(kind: type[Row]) -> str:
    """The value's columns, as a SELECT lists them."""
    return ", ".join(kind.__struct_fields__)


@cache
def _builder(kind: type[_Row]) -> Callable[[Iterable[Any]], _Row]:
    """What makes a value of a row: SQLite has no booleans, so those columns are converted."""
    fields = kind.__struct_fields__
    booleans = [i for i, name in enumerate(fields) if _is_boolean(get_type_hints(kind)[name])]

    def build(row: Iterable[Any]) -> _Row:
        values = list(row)
        for i in booleans:
            if values[i] is not None:
                values[i] = bool(values[i])
        return kind(**dict(zip(fields, values, strict=True)))

    return build


def _is_boolean(hint: Any) -> bool:
    return hint is bool or (isinstance(hint, UnionType) and bool in get_args(hint))


def select(
    connection: Connection, kind: type[_Row], where: str, parameters: tuple[Any, ...] | dict[str, Any]
) -> list[_Row]:
    """The rows of the kind's table that meet the condition, as values."""
    sql = f"SELECT {columns(kind)} FROM {kind.table} WHERE {where}"  # noqa: S608 - names of our own
    build = _builder(kind)
    return [build(row) for row in connection.execute(sql, parameters)]


class _Upsert(NamedTuple):
    """A statement, and what puts the values of `_STAMPS` and of a row into its order."""

    sql: str
    arrange: Callable[[tuple[Any, ...]], tuple[Any, ...]]


_STAMPS = ("account", "first_seen_at", "changed_at", "change_id")


@cache
def _upsert(kind: type[Row]) -> _Upsert:
    """Insert, or change all but the time of first sight; a row that comes here is known to differ."""
    table = _TABLES[kind].__table__
    statement = sqlite.insert(table)
    kept = {*(column.name for column in table.primary_key), "first_seen_at"}
    changes = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in kept}
    upsert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)
    names = (*_STAMPS, *kind.__struct_fields__)
    return _Upsert(
        sql=str(upsert.compile(dialect=sqlite.dialect(paramstyle="qmark"))),
        arrange=itemgetter(*(names.index(column.name) for column in table.columns)),
    )


def upsert(connection: Connection, account: str, rows: Iterable[Row], *, now: Instant, change_id: int) -> int:
    """Write the rows, kind by kind; how many there were."""
    stamps = (account, now, now, change_id)
    kinds: dict[type[Row], list[tuple[Any, ...]]] = {}
    for row in rows:
        kinds.setdefault(type(row), []).append(stamps + astuple(row))
    for kind, many in kinds.items():
        sql, arrange = _upsert(kind)
        connection.executemany(sql, map(arrange, many))
    return sum(len(many) for many in kinds.values())
