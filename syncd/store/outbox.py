"""The outbox: its rows as frozen values, and what is held around one of them."""

from collections.abc import Iterable
from sqlite3 import Connection

from syncd.core.model import Instant, Message, Outgoing
from syncd.core.outbox import HeldOutbox, MatchCandidate
from syncd.store import rows
from syncd.store.load import load_conversation

_PUBLIC = (
    "id",
    "conversation_id",
    "state",
    "content",
    "created_at",
    "expires_at",
    "attempted_at",
    "message_id",
    "error",
)
_OWN = ("since", "missed_at", "key", "leaves_at")
_SELECT = (
    f"SELECT {', '.join(f'o.{name}' for name in _PUBLIC)}, {', '.join(f'x.{name}' for name in _OWN)}"  # noqa: S608 - names of our own
    " FROM outbox AS o LEFT JOIN _outbox AS x ON x.id = o.id WHERE o.account = ? AND "
)
_OPEN = "o.state IN ('queued', 'sending', 'unconfirmed')"
"""As the index says it."""

_CANDIDATES = (
    "account = :account AND conversation_id = :id AND is_from_viewer = 1 AND gone_at IS NULL"
    " AND first_seen_at >= :since"
    " AND id NOT IN (SELECT message_id FROM outbox"
    " WHERE account = :account AND conversation_id = :id AND message_id IS NOT NULL)"
)


def load_outgoing(connection: Connection, account: str, where: str, *parameters: object) -> list[Outgoing]:
    """Rows of the account's outbox, oldest first; the condition knows the table as `o`."""
    found = connection.execute(f"{_SELECT}{where} ORDER BY o.id", (account, *parameters))
    return [Outgoing(**dict(zip((*_PUBLIC, *_OWN), row, strict=True))) for row in found]


def load_waiting(connection: Connection, account: str) -> list[Outgoing]:
    """What is to be sent, or looked for."""
    return [row for row in load_outgoing(connection, account, _OPEN) if row.state != "unconfirmed"]


def load_one(connection: Connection, account: str, id_: int) -> Outgoing | None:
    """The row of this number, if it is the account's."""
    found = load_outgoing(connection, account, "o.id = ?", id_)
    return found[0] if found else None


def load_wish(
    connection: Connection, account: str, change_id: int, conversation_id: str, key: str | None
) -> HeldOutbox:
    """What there is to know before a text is queued: whether it was, as its sender's key tells."""
    found = load_outgoing(connection, account, "x.key = ?", key)
    return HeldOutbox(
        checkpoint=load_conversation(connection, account, change_id, conversation_id, ()),
        next_id=_next_id(connection),
        outgoing=found[0] if found else None,
    )


def load_row(
    connection: Connection, account: str, change_id: int, id_: int, message_ids: Iterable[str] = ()
) -> HeldOutbox:
    """One row, with the conversation that it goes to."""
    outgoing = load_one(connection, account, id_)
    conversation_id = "" if outgoing is None else outgoing.conversation_id
    return HeldOutbox(
        checkpoint=load_conversation(connection, account, change_id, conversation_id, message_ids),
        next_id=_next_id(connection),
        outgoing=outgoing,
    )


def load_settling(
    connection: Connection, account: str, change_id: int, conversation_id: str, message_ids: Iterable[str] = ()
) -> HeldOutbox:
    """What of one conversation may have arrived, and the messages held that may be it."""
    open_rows = load_outgoing(
        connection, account, f"o.conversation_id = ? AND {_OPEN} AND x.since IS NOT NULL", conversation_id
    )
    since = min((row.since for row in open_rows if row.since is not None), default=None)
    return HeldOutbox(
        checkpoint=load_conversation(connection, account, change_id, conversation_id, message_ids),
        next_id=_next_id(connection),
        open=tuple(open_rows),
        candidates=() if since is None else _candidates(connection, account, conversation_id, since),
        claimed=_claimed(connection, account, conversation_id),
    )


def has_open(connection: Connection, account: str, conversation_id: str) -> bool:
    """Whether the outbox holds a message of the conversation that is not settled."""
    sql = f"SELECT EXISTS(SELECT 1 FROM outbox AS o WHERE o.account = ? AND o.conversation_id = ? AND {_OPEN})"  # noqa: S608 - ours
    return bool(connection.execute(sql, (account, conversation_id)).fetchone()[0])


def _candidates(
    connection: Connection, account: str, conversation_id: str, since: Instant
) -> tuple[MatchCandidate, ...]:
    about = {"account": account, "id": conversation_id, "since": since}
    sql = f"SELECT id, first_seen_at FROM messages WHERE {_CANDIDATES}"  # noqa: S608 - conditions of our own
    seen = dict(connection.execute(sql, about))
    found = rows.select(connection, Message, _CANDIDATES, about)
    return tuple(MatchCandidate(message=message, first_seen_at=seen[message.id]) for message in found)


def _claimed(connection: Connection, account: str, conversation_id: str) -> frozenset[str]:
    sql = "SELECT message_id FROM outbox WHERE account = ? AND conversation_id = ? AND message_id IS NOT NULL"
    return frozenset(id_ for (id_,) in connection.execute(sql, (account, conversation_id)))


def _next_id(connection: Connection) -> int:
    """The number that AUTOINCREMENT would give; nobody else writes meanwhile."""
    sql = "SELECT MAX(seq) FROM sqlite_sequence WHERE name = 'outbox'"
    return int(connection.execute(sql).fetchone()[0] or 0) + 1


def write_outgoing(connection: Connection, account: str, outgoing: Iterable[Outgoing], change_id: int) -> int:
    """Write the rows; how many there were."""
    written = list(outgoing)
    for row in written:
        values = (*(getattr(row, name) for name in _PUBLIC), account, change_id)
        connection.execute(_UPSERT, values)
        connection.execute("DELETE FROM _outbox WHERE id = ?", (row.id,))
        own = [getattr(row, name) for name in _OWN]
        if any(own):
            connection.execute(_INSERT_OWN, (row.id, *own))
    return len(written)


_INSERT_OWN = f"INSERT INTO _outbox (id, {', '.join(_OWN)}) VALUES ({', '.join('?' * (len(_OWN) + 1))})"  # noqa: S608 - names of our own
_UPSERT = (
    f"INSERT INTO outbox ({', '.join(_PUBLIC)}, account, change_id) VALUES ({', '.join('?' * (len(_PUBLIC) + 2))})"  # noqa: S608 - names of our own
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in (*_PUBLIC[1:], 'change_id'))}"
)
