"""Publishing: what changed behind the target's place goes there, batch by batch, each with the new place."""

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from syncd.errors import PublishError
from syncd.publish.changes import Changes, Patient, Snapshot
from syncd.publish.connection import Line
from syncd.publish.places import Place, advance, claim, judge, lock_places, take_over
from syncd.publish.rows import Rows
from syncd.publish.target_schema import Table, check_version, prepare

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

    def __init__(self, changes: Changes, connect: Callable[[], Line], patience: Patient) -> None:
        self._changes = changes
        self._connect = connect
        self._patience = patience
        self._line: Line | None = None
        self._tables: tuple[Table, ...] = ()
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

    def _open(self) -> Line:
        if self._line is None or self._line.closed:
            self._place = -1
            self._line = self._connect()
            self._tables = prepare(self._line)
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
                check_version(version, line)
                done = self._publish(Rows(cursor, line.schema, self._patience), cursor, line, snapshot, places)
        self._place = self._reached  # committed now
        return done

    def _claim_missing(
        self, cursor: "psycopg.Cursor", line: Line, snapshot: Snapshot, accounts: list[str], places: dict[str, Place]
    ) -> dict[str, Place]:
        missing = [account for account in accounts if account not in places]
        rows = Rows(cursor, line.schema, self._patience)
        for account in missing:
            claim(cursor, line, account, snapshot, fresh=not rows.holds(self._tables, account))
        return lock_places(cursor, line, accounts)[1] if missing else places

    def _publish(
        self, rows: Rows, cursor: "psycopg.Cursor", line: Line, snapshot: Snapshot, places: dict[str, Place]
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

    def __init__(self, rows: Rows, snapshot: Snapshot, tables: tuple[Table, ...], accounts: list[str]) -> None:
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
