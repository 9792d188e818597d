"""A declared wait for all accounts: while the database is written anew, none of them can get on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.protocols import Clock

_LEAST_SECONDS = 60.0
_SLOW_BYTES_PER_SECOND = 1_000_000  # of a slow disk; the file is written twice, by way of the write-ahead log


class Rest:
    """How long the database's writer may be taken up with one thing before something must be wrong."""

    def __init__(self, database: Path, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._ends: list[float] = []

    @property
    def until(self) -> float | None:
        """When it must be over, on the clock that only grows; None while the writer is free."""
        return max(self._ends, default=None)

    @contextmanager
    def declared(self) -> Iterator[None]:
        """Say so, for as long as a slow disk may take for the whole file."""
        size = self._database.stat().st_size
        end = self._clock.monotonic() + _LEAST_SECONDS + size / _SLOW_BYTES_PER_SECOND
        self._ends.append(end)
        try:
            yield
        finally:
            self._ends.remove(end)
