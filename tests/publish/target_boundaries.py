"""The boundaries of a publisher towards PostgreSQL: connections, statements, rows on their way, commits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from postgres import kill_family
from syncd.publish import publisher

if TYPE_CHECKING:
    from crash.boundaries import Boundaries

_READS = tuple(f"statement {verb} " for verb in ("SELECT", "PRAGMA", "BEGIN", "ROLLBACK"))
"""What changes nothing in the mirror: before it and after it is one instant for all that a kill can harm."""

_ROWS_BETWEEN = 25
"""A row among others differs in nothing from the one before it."""


def watch(boundaries: "Boundaries", order: dict[str, Any]) -> None:
    """Every step towards the target, in batches so small that there are several.

    With `postmaster` in the order it is PostgreSQL that dies at the chosen boundary; this process sees it happen.
    """
    publisher._BATCH_ROWS = order["batch_rows"]
    meet = boundaries.meet
    boundaries.meet = lambda name: None if name.startswith(_READS) else meet(name)  # type: ignore[method-assign]  # the point of it
    if order.get("postmaster") is not None:
        boundaries.strike = partial(kill_family, order["postmaster"])
    _watch(boundaries, psycopg, "connect", lambda *_, **__: "connection")
    _watch(boundaries, psycopg.Cursor, "execute", lambda _, statement, *__: f"target {_verb(statement)}")
    _watch(boundaries, psycopg.Connection, "commit", lambda _: "target commit")
    _watch_copy(boundaries)


def _watch(boundaries: "Boundaries", owner: Any, name: str, describe: Callable[..., str]) -> None:
    call = getattr(owner, name)

    def watched(*arguments: Any, **named: Any) -> Any:
        return boundaries.around(describe(*arguments), call, *arguments, **named)

    setattr(owner, name, watched)


def _watch_copy(boundaries: "Boundaries") -> None:
    copy, write_row = psycopg.Cursor.copy, psycopg.Copy.write_row
    written = 0

    @contextmanager
    def watched(*arguments: Any, **named: Any) -> Iterator[psycopg.Copy]:
        boundaries.meet("target COPY before")
        with copy(*arguments, **named) as copying:
            yield copying
            boundaries.meet("target COPY end before")
        boundaries.meet("target COPY after")

    def watched_row(self: psycopg.Copy, row: Any) -> None:
        nonlocal written
        written += 1
        write_row(self, row)
        if written % _ROWS_BETWEEN == 0:
            boundaries.meet("target row after")

    psycopg.Cursor.copy = watched  # type: ignore[method-assign]  # the point of it
    psycopg.Copy.write_row = watched_row  # type: ignore[method-assign]  # the point of it


def _verb(statement: Any) -> str:
    text = statement.decode() if isinstance(statement, bytes) else str(statement)
    text = statement.as_string(None) if hasattr(statement, "as_string") else text
    return text.split(maxsplit=1)[0].upper()
