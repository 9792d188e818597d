"""The change feed: events in the order of their ids, and how far those who follow it are. Imports nothing heavy."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from msgspec import Struct

from syncd.core.times import after
from syncd.errors import SyncdError
from syncd.files import companion, open_regular
from syncd.store.database import Database, Row, database_path, transact

AT_ONCE = 500
"""Lines of one look at the feed at most."""
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 300.0


class Choice(Struct, frozen=True, kw_only=True):
    """Which events are wanted; None, or no kind, for all. Without `baseline` those about history are left out."""

    kinds: tuple[str, ...] = ()
    account: str | None = None
    baseline: bool = True


class FeedPage(Struct, frozen=True, kw_only=True):
    """Lines of the feed, and the place up to which there is nothing else; `more`: there may be more behind it."""

    lines: list[Row]
    place: int
    more: bool


def read_events(database: Database, place: int, choice: Choice) -> FeedPage:
    """The next lines behind `place`; a run of erased events is a line of kind `feed.gap`, whatever was chosen."""
    database.execute("BEGIN")
    try:
        newest = database.execute("SELECT coalesce(max(id), 0) AS value FROM events").fetchone()["value"]
        words = {"place": place, "limit": AT_ONCE, **choice_words(choice)}
        events = [_as_line(row) for row in database.execute(_EVENTS, words)]
        more = len(events) == AT_ONCE
        end = events[-1]["id"] if more else None
        gaps = [_as_gap(row, place) for row in database.execute(_GAPS, {"place": place, "end": end})]
    finally:
        database.execute("COMMIT")
    lines = sorted([*events, *gaps], key=lambda line: int(line["id"]))
    reached = max([place, *(line["id"] for line in lines), *([] if more else [newest])])
    return FeedPage(lines=lines, place=reached, more=more)


_EVENTS = """
SELECT id, kind, account, conversation_id, message_id, proposal_id, baseline, occurred_at, recorded_at, data
FROM events
WHERE id > :place AND (:account IS NULL OR account = :account) AND (:baseline OR baseline = 0)
  AND (:kinds = '[]' OR kind IN (SELECT value FROM json_each(:kinds)))
ORDER BY id LIMIT :limit
"""
_GAPS = (
    "SELECT first_id, last_id, reason, erased_at FROM _gaps WHERE last_id > :place AND (:end IS NULL OR last_id < :end)"
)


def choice_words(choice: Choice) -> Row:
    """The choice as parameters of a query."""
    return {"kinds": json.dumps(choice.kinds), "account": choice.account, "baseline": int(choice.baseline)}


def _as_line(row: Row) -> Row:
    return row | {"baseline": bool(row["baseline"]), "data": json.loads(row["data"]) if row["data"] else {}}


def _as_gap(row: Row, place: int) -> Row:
    first = max(row["first_id"], place + 1)
    return {
        "id": row["last_id"],
        "kind": "feed.gap",
        "first_id": first,
        "events": row["last_id"] - first + 1,
        "reason": row["reason"],
        "recorded_at": row["erased_at"],
    }


def read_version(database: Database) -> int:
    """A number that is another after every commit of another connection; costs no look at the file's pages."""
    return int(database.execute("PRAGMA data_version").fetchone()["data_version"])


def read_consumer(database: Database, name: str) -> Row | None:
    """How far a consumer has read, and how its command fails; None before it has read anything."""
    row: Row | None = database.execute("SELECT * FROM _consumers WHERE name = :name", {"name": name}).fetchone()
    return row


def read_consumers(database: Database) -> list[Row]:
    """Every consumer, with how many events lie ahead of it."""
    query = (
        "SELECT c.name, c.event_id, c.updated_at, c.error, c.tries, c.next_try_at,"
        " (SELECT count(*) FROM events e WHERE e.id > c.event_id AND (c.from_start OR e.baseline = 0)) AS behind"
        " FROM _consumers c ORDER BY c.name"
    )
    return database.execute(query).fetchall()


def note_place(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Write down how far the consumer `name` has read (never back), or with `error` that its command failed once more.

    To be called by the lock's holder, outside a transaction; gives the consumer's `tries` and when it is to try again.
    """
    name, event_id, error = str(words["name"]), int(words["event_id"]), words.get("error")
    transact(database, lambda: _write_place(database, (name, event_id, int(bool(words.get("from_start"))), now), error))
    tries, next_try_at = database.execute(
        "SELECT tries, next_try_at FROM _consumers WHERE name = ?", (name,)
    ).fetchone()
    return {"tries": tries, "next_try_at": next_try_at}


def _write_place(database: sqlite3.Connection, consumer: tuple[str, int, int, str], error: str | None) -> None:
    name, event_id, _, now = consumer
    database.execute(
        "INSERT OR IGNORE INTO _consumers (name, event_id, from_start, updated_at) VALUES (?, ?, ?, ?)", consumer
    )
    if error is None:
        database.execute(
            "UPDATE _consumers SET event_id = max(event_id, ?), updated_at = ?, error = NULL, tries = 0,"
            " next_try_at = NULL WHERE name = ?",
            (event_id, now, name),
        )
        return
    tries = 1 + database.execute("SELECT tries FROM _consumers WHERE name = ?", (name,)).fetchone()[0]
    database.execute(
        "UPDATE _consumers SET updated_at = ?, error = ?, tries = ?, next_try_at = ? WHERE name = ?",
        (now, error, tries, after(now, retry_wait(tries)), name),
    )


def retry_wait(tries: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(tries - 1, 20))


# One reader a consumer: whoever reads the feed under a name holds a lock for as long as it lives.
#
# The lock is on an empty file beside the database. Who may only read there can lock it too, and asks the database's
# holder to make it.


_MODE = 0o644  # there is nothing in it, and whoever reads the database must be able to open it


@contextmanager
def claiming(database: Path, name: str, have_made: Callable[[], object]) -> Iterator[None]:
    """Be the only one who reads as this consumer; SyncdError while somebody else is.

    `have_made`: asks for the file where it is missing and can't be made here.
    """
    path = _claim_path(database, name)
    try:
        descriptor = _open(path)
    except OSError:
        have_made()
        descriptor = open_regular(path, os.O_RDONLY)
    try:
        _lock(descriptor, name)
        yield
    finally:
        os.close(descriptor)


def make_claim(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Make the file of the consumer `name`, for one who may not write beside the database."""
    del now
    os.close(_open(_claim_path(database_path(database), str(words["name"]))))
    return {}


def _claim_path(database: Path, name: str) -> Path:
    return companion(database, f".consumer-{blake2b(name.encode(), digest_size=8).hexdigest()}")


def _open(path: Path) -> int:
    is_new = not os.path.lexists(path)
    descriptor = open_regular(path, os.O_RDONLY | os.O_CREAT, _MODE)
    if is_new:
        os.fchmod(descriptor, _MODE)  # whatever the umask says
    return descriptor


def _lock(descriptor: int, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SyncdError(
            f"another process reads as consumer {name}; end that one, or read under another name"
        ) from None
