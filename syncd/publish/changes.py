"""What publishing needs of the mirror; each interface is owned here, by its consumer."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Span = tuple[int, int]
"""Changes from behind the first number up to the second."""


class Snapshot(Protocol):
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

    def look(self) -> AbstractContextManager[Snapshot]:
        """The mirror as it is at this instant, for as long as the context lasts."""
