"""How a story ended, and how it should have."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from oracle import differences

_COMPARED = {
    "message_revisions": "message_id, revision, content",
    "failures": "kind, subject_id, reason",
    "_owed": "kind, subject_id",
    "_suspects": "kind, subject_id",
    "conversations": "id, gone_at IS NULL",
    "messages": "id, gone_at IS NULL",
    "interview_messages": "proposal_id, id, gone_at IS NULL",
    "accounts": "account, state, complete_since IS NULL, retry_at",
    "_crash_notes": "id, text",
    "pragma_user_version": "user_version",
}
"""What the server's truth does not tell, but a run without a kill does."""

_FOUND_LATER = (("jobs", "extra"), ("jobs", "updated_at"))
"""What the next reconcile finds, as the contract has it."""

_IDS = ("conversation_id", "message_id", "proposal_id")
_NO_DATA = {
    "timestamp",
    "run_id",
    "level",
    "event",
    "event_id",
    "account",
    "occurred_at",
    "waiting_seconds",
    "error",
    *_IDS,
}


class Told(NamedTuple):
    """One event: as its row has it, or as its log line does."""

    event_id: int
    kind: str
    conversation_id: str | None
    message_id: str | None
    proposal_id: str | None
    data: str

    @property
    def what(self) -> tuple[str | None, ...]:
        """All but the number."""
        return self[1:]


def read_log(log: Path) -> list[Told]:
    """The events that a log tells of, in its order."""
    return [_told_by(line) for line in _read_lines(log) if "event_id" in line]


def _read_lines(log: Path) -> list[dict[str, Any]]:
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]


def _told_by(line: dict[str, Any]) -> Told:
    conversation_id, message_id, proposal_id = (line.get(name) for name in _IDS)
    return Told(line["event_id"], line["event"], conversation_id, message_id, proposal_id, _data_of(line))


def _data_of(fields: dict[str, Any]) -> str:
    """What is told beside the ids, but for the words of an error and for what depends on the machine's speed."""
    return json.dumps({name: value for name, value in fields.items() if name not in _NO_DATA}, sort_keys=True)


def read_events(connection: sqlite3.Connection, condition: str = "TRUE") -> list[Told]:
    """The events on disk, oldest first."""
    sql = f"SELECT id, kind, {', '.join(_IDS)}, data FROM events WHERE {condition} ORDER BY id"  # noqa: S608 - our own words
    return [Told._make((*row[:-1], _data_of(json.loads(row[-1] or "{}")))) for row in connection.execute(sql)]


def open_to_read(database: Path) -> sqlite3.Connection:
    """A reader's connection."""
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True)


def read_waits(log: Path) -> list[str]:
    """Until when the account said that it would wait; the database is not asked, as it may have forgotten."""
    return [line["retry_at"] for line in _read_lines(log) if line["event"] == "account.waiting"]


def look_at_the_wreck(database: Path, logged: list[Told]) -> Iterator[str]:
    """What is wrong at the very moment of the kill: whatever was logged is on disk, and what is on disk is sound."""
    if not database.exists():
        return
    with closing(open_to_read(database)) as connection:
        recorded = set(read_events(connection))
        (sound,) = connection.execute("PRAGMA quick_check").fetchone()
    if sound != "ok":
        yield f"lost: the database is not sound: {sound}"
    for line in logged:
        if line not in recorded:
            yield f"event lost: {line} was logged, and is not in the database"


@dataclass(frozen=True)
class Ending:
    """A mirror when all is quiet: how it differs from the server, its rows, its events, and what the log told."""

    differences: tuple[str, ...]
    rows: Counter[tuple[Any, ...]]
    events: Counter[tuple[str | None, ...]]
    unlogged: tuple[Told, ...]
    unmarked: tuple[Told, ...]
    contradicted: tuple[Told, ...]

    @classmethod
    def read(cls, database: Path, truth: dict[str, Any], logged: list[Told], logged_before: Iterable[int]) -> "Ending":
        """Look at a database that nobody writes; `logged_before`: events that had their line before the story began."""
        known = {line.event_id for line in logged} | set(logged_before)
        with closing(open_to_read(database)) as connection:
            events = read_events(connection)
            to_be_logged = read_events(connection, "baseline = 0")
            unmarked = read_events(connection, "logged_at IS NULL")
            rows = Counter(_read_rows(connection))
        return cls(
            differences=tuple(differences(database, truth, ignore=_FOUND_LATER)),
            rows=rows,
            events=Counter(event.what for event in events),
            unlogged=tuple(event for event in to_be_logged if event.event_id not in known),
            unmarked=tuple(unmarked),
            contradicted=tuple(set(logged) - set(events)),
        )

    def without(self, ids: frozenset[str]) -> "Ending":
        """The same, leaving out the rows and events about these."""
        return replace(
            self,
            rows=Counter({row: count for row, count in self.rows.items() if ids.isdisjoint(row)}),
            events=Counter({event: count for event, count in self.events.items() if ids.isdisjoint(event)}),
        )


def weigh_letter(database: Path, truth: dict[str, Any], text: str) -> Iterator[str]:
    """What is wrong with a text that was to be sent: it left once and is known to have left, or a person is told."""
    arrived = [m["id"] for messages in truth["messages"].values() for m in messages if m["content"] == text]
    with closing(open_to_read(database)) as connection:
        rows = connection.execute("SELECT state, content, message_id FROM outbox").fetchall()
    if len(arrived) > 1 or len(rows) > 1:
        yield f"doubled: the text was sent {len(arrived)} times and is in the outbox {len(rows)} times"
    elif arrived and rows != [("sent", None, arrived[0])]:
        yield f"lost: the text was sent, and the outbox has {rows}"
    elif not arrived and rows not in ([], [("unconfirmed", text, None)]):
        yield f"lost: the text was not sent, and the outbox has {rows}"


def _read_rows(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")} | {"pragma_user_version"}
    for table, columns in _COMPARED.items():
        if table in tables:
            for row in connection.execute(f"SELECT {columns} FROM {table}"):  # noqa: S608 - our own words
                yield (table, *row)


def weigh(ending: Ending, expected: Ending) -> Iterator[str]:
    """Each promise that a kill has broken, as lost, doubled or event lost."""
    yield from (f"lost: {difference}" for difference in ending.differences)
    yield from (f"lost: {row}" for row in expected.rows - ending.rows)
    yield from (f"doubled: {row}" for row in ending.rows - expected.rows)
    yield from (f"event lost: {event}" for event in expected.events - ending.events)
    yield from (f"doubled: {event}" for event in ending.events - expected.events)
    yield from (f"event lost: {event} was never logged" for event in ending.unlogged)
    yield from (f"event lost: {event} is not marked as logged" for event in ending.unmarked)
    yield from (f"doubled: the log tells another event {event} than the database" for event in ending.contradicted)
