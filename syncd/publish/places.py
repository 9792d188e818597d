"""How far each account is published, and by whom: kept in the target, written with the rows."""

from collections.abc import Sequence
from functools import cache
from typing import Any, LiteralString

import psycopg
from msgspec import Struct
from psycopg import sql

from syncd.errors import PublishError
from syncd.publish.changes import Snapshot
from syncd.publish.connection import Line


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
_LOCK: LiteralString = f"{_READ} FOR UPDATE"
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
def _in(schema: str, statement: LiteralString) -> bytes:
    """The statement as it is for this schema, built once."""
    return sql.SQL(statement).format(sql.Identifier(schema)).as_bytes(None)


def lock_places(cursor: "psycopg.Cursor", line: Line, accounts: Sequence[str]) -> tuple[int, dict[str, Place]]:
    """The schema's version, and the places of those accounts that have one; nobody else moves them meanwhile."""
    rows = cursor.execute(_in(line.schema, _LOCK), [list(accounts)]).fetchall()
    return (int(rows[0][-1]) if rows else 0), {place.account: place for place in _as_places(rows)}


def read_places(cursor: "psycopg.Cursor", line: Line, accounts: Sequence[str]) -> list[Place]:
    """The places of those accounts that have one, as they are just now."""
    return _as_places(cursor.execute(_in(line.schema, _READ), [list(accounts)]).fetchall())


def _as_places(rows: Sequence[tuple[Any, ...]]) -> list[Place]:
    return [Place(**dict(zip(Place.__struct_fields__, row, strict=False))) for row in rows]


def claim(cursor: "psycopg.Cursor", line: Line, account: str, snapshot: Snapshot, *, fresh: bool) -> None:
    """Begin an account that nobody has published yet; `fresh`: no row of it is in the target."""
    end = snapshot.newest if fresh else 0
    cursor.execute(_in(line.schema, _CLAIM), [account, snapshot.read_identity(), snapshot.read_mark(0), end, not fresh])


def take_over(cursor: "psycopg.Cursor", line: Line, accounts: Sequence[str], snapshot: Snapshot) -> None:
    """Begin these accounts again, whoever published them: everything is compared."""
    cursor.execute(_in(line.schema, _TAKE_OVER), [snapshot.read_identity(), snapshot.read_mark(0), list(accounts)])


def advance(cursor: "psycopg.Cursor", line: Line, accounts: Sequence[str], mark: str, end: int, *, whole: bool) -> None:
    """These accounts are published up to `end`; `whole`: that is all there is, and what was to be compared is."""
    cursor.execute(_in(line.schema, _ADVANCE), [end, mark, whole, list(accounts)])


def judge(place: Place, snapshot: Snapshot, line: Line) -> PublishError | None:
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
