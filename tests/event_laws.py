"""What holds of events whatever happens: none is told twice, none is missing, none is made up."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from syncd.store.apply import Recorded

Row = dict[str, Any]

_ONCE = {
    "message.new": "message_id",
    "conversation.new": "conversation_id",
    "proposal.new": "proposal_id",
    "conversation.unread": "message_id",
    "conversation.needs_reply": "message_id",
    "conversation.overdue": "message_id",
}
_TAKING_TURNS = (
    ("conversation.gone", "conversation.returned", "conversation_id"),
    ("message.deleted", "message.restored", "message_id"),
    ("account.degraded", "account.recovered", "account"),
)


def broken_laws(events: Iterable[Row], announced: Iterable[Recorded], news: Iterable[str]) -> list[str]:
    """Each law that the events break; `news`: messages that must have had their event."""
    rows = list(events)
    return [*_doubled(rows), *_out_of_turn(rows), *_untold(rows, announced), *_missing(rows, news)]


def _doubled(rows: list[Row]) -> Iterator[str]:
    counts = Counter((row["kind"], row[_ONCE[row["kind"]]]) for row in rows if row["kind"] in _ONCE)
    for (kind, subject), count in counts.items():
        if count > 1 and subject is not None:
            yield f"{kind} of {subject} was told {count} times"


def _out_of_turn(rows: list[Row]) -> Iterator[str]:
    for falls, rises, column in _TAKING_TURNS:
        is_down: dict[str, bool] = {}
        for row in rows:
            if row["kind"] in (falls, rises):
                falling = row["kind"] == falls
                if is_down.get(row[column], False) == falling:
                    yield f"{row['kind']} of {row[column]} came out of turn"
                is_down[row[column]] = falling


def _untold(rows: list[Row], announced: Iterable[Recorded]) -> Iterator[str]:
    told = {one.id: one.event.kind for one in announced}
    held = {row["id"]: row["kind"] for row in rows}
    for row in rows:
        if not row["baseline"] and row["id"] not in told:
            yield f"event {row['id']} ({row['kind']}) was never announced"
    for id_, kind in told.items():
        if held.get(id_) != kind:
            yield f"event {id_} ({kind}) was announced, and {held.get(id_)} is held under that number"


def _missing(rows: list[Row], news: Iterable[str]) -> Iterator[str]:
    told = {row["message_id"] for row in rows if row["kind"] == "message.new"}
    for message_id in sorted(set(news) - told):
        yield f"message {message_id} came and was never told"
