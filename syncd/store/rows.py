"""Rows as frozen values ↔ rows of tables; the statements are built once, from the tables' own columns."""

from collections.abc import Callable, Iterable
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from sqlalchemy import Connection, Table
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
    return [build(row) for row in connection.exec_driver_sql(sql, parameters)]


@cache
def _upsert_sql(kind: type[Row]) -> str:
    """Insert, or change all but the time of first sight; a row that comes here is known to differ."""
    table: Table = _TABLES[kind].__table__
    statement = sqlite.insert(table)
    kept = {*(column.name for column in table.primary_key), "first_seen_at"}
    changes = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in kept}
    upsert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)
    return str(upsert.compile(dialect=sqlite.dialect(paramstyle="named")))


def upsert(connection: Connection, account: str, rows: Iterable[Row], *, now: Instant, change_id: int) -> int:
    """Write the rows, kind by kind; how many there were."""
    kinds: dict[type[Row], list[dict[str, Any]]] = {}
    for row in rows:
        values = {name: getattr(row, name) for name in row.__struct_fields__}
        values |= {"account": account, "first_seen_at": now, "changed_at": now, "change_id": change_id}
        kinds.setdefault(type(row), []).append(values)
    for kind, many in kinds.items():
        connection.exec_driver_sql(_upsert_sql(kind), many)
    return sum(len(many) for many in kinds.values())
