"""Events that were committed and have had no log line yet."""

from sqlite3 import Connection

from msgspec import convert, json

from syncd.core.model import Event
from syncd.store.apply import Recorded

_FIELDS = ("kind", "conversation_id", "message_id", "proposal_id", "occurred_at")
_UNLOGGED = (
    "SELECT id, account, data, kind, conversation_id, message_id, proposal_id, occurred_at"
    " FROM events WHERE logged_at IS NULL AND baseline = 0 ORDER BY id"
)


def load_unlogged(connection: Connection) -> list[Recorded]:
    """What a crash left between its commit and its log line, oldest first."""
    return [
        Recorded(id=id_, account=account, event=convert(fields | {"data": json.decode(data)}, Event))
        for id_, account, data, fields in (
            (row[0], row[1], row[2] or "{}", dict(zip(_FIELDS, row[3:], strict=True)))
            for row in connection.execute(_UNLOGGED).fetchall()
        )
    ]
