"""Keep the search index in step with the texts, at the end of the transaction that changes them.

New texts are handed over by whoever stored them; what was changed or removed is noted by triggers, in `_search_due`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from sqlite3 import Connection
from typing import Any

from msgspec import Struct
from msgspec import json as msgspec_json

from syncd.core.model import Instant, InterviewMessage, Message, Row
from syncd.core.times import as_datetime
from syncd.core.tokenizer import join_words
from syncd.store.rows import bulk_insert

_SERIALS = 1 << 20
"""How many texts of one second have a number of their own."""

_TEXTS = """
SELECT coalesce(m.created_at, m.first_seen_at), d.account, 'message', d.owner_id, d.id, m.content,
       trim(CASE WHEN m.is_system = 1 THEN 'system ' WHEN m.is_from_viewer = 1 THEN 'me ' ELSE '' END
         || coalesce(m.sender_name || ' ', '') || coalesce(m.sender_user_id, ''))
FROM (SELECT DISTINCT account, owner_id, id FROM _search_due WHERE kind = 'message') AS d
CROSS JOIN messages AS m ON m.account = d.account AND m.id = d.id
WHERE m.conversation_id = d.owner_id AND m.content <> ''
UNION ALL
SELECT coalesce(m.sent_at, m.first_seen_at), d.account, 'interview', d.owner_id, d.id, m.content, m.role
FROM (SELECT DISTINCT account, owner_id, id FROM _search_due WHERE kind = 'interview') AS d
CROSS JOIN interview_messages AS m ON m.account = d.account AND m.proposal_id = d.owner_id AND m.id = d.id
WHERE m.content <> ''
"""
# In the order of their numbers, here and below: the index writes a segment, and merges some, wherever they go down.
_MOVED = "SELECT DISTINCT kind, account, id, old_at FROM _search_due WHERE old_at IS NOT NULL ORDER BY old_at"
_KEEP = "INSERT INTO _texts (number, account, kind, owner_id, id, place, sender, words) VALUES"
_INDEX = (
    "INSERT INTO _search (rowid, place, sender, words)"
    " SELECT number, place, sender, words FROM _texts WHERE arrival > ? ORDER BY arrival"
)
_UNINDEX = "INSERT INTO _search (_search, rowid, place, sender, words) VALUES ('delete', ?, ?, ?, ?)"
_TAKEN = (
    "SELECT first.value, max(taken.number) FROM json_each(:firsts) AS first"
    " CROSS JOIN _texts AS taken ON taken.number >= first.value AND taken.number < first.value + :serials"
    " GROUP BY first.value"
)


class Text(Struct, frozen=True, array_like=True):
    """What is found by its words; `at` is when it was written, `sender` all names of who wrote it."""

    at: Instant
    account: str
    kind: str
    owner_id: str
    id: str
    content: str
    sender: str | None


def index_due(database: sqlite3.Connection) -> None:
    """Index every text that the transaction has changed, and drop those that it removed."""
    if database.execute("SELECT 1 FROM _search_due LIMIT 1").fetchone() is None:
        return
    for *key, old_at in database.execute(_MOVED).fetchall():
        _drop(database, key, old_at)
    index_texts(database, [Text(*row) for row in database.execute(_TEXTS).fetchall()])
    database.execute("DELETE FROM _search_due")


def index_texts(database: sqlite3.Connection, texts: Sequence[Text]) -> None:
    """Index texts that are not in the index."""
    tokens, senders = cache(place_token), cache(join_words)
    numbers = _number(database, [text.at for text in texts])
    entries = sorted(
        (
            number,
            *(text.account, text.kind, text.owner_id, text.id),
            tokens(text.kind, text.account, text.owner_id),
            senders(text.sender or ""),
            join_words(text.content),
        )
        for number, text in zip(numbers, texts, strict=True)
    )
    (last,) = database.execute("SELECT coalesce(max(arrival), 0) FROM _texts").fetchone()
    bulk_insert(database, _KEEP, entries)
    database.execute(_INDEX, (last,))  # all in one: behind each statement of many rows it writes a segment


def place_token(kind: str, account: str, owner_id: str) -> str:
    """One word for a conversation (kind `message`) or for a proposal's interview."""
    return "p" + blake2b(f"{kind}\0{account}\0{owner_id}".encode(), digest_size=8).hexdigest()


def first_number(at: str) -> int:
    """The lowest number of a text of that second."""
    return int(as_datetime(at).timestamp()) * _SERIALS


def _number(database: sqlite3.Connection, times: list[str]) -> Iterator[int]:
    """Numbers for new entries of these times, each above those of the same second that are taken."""
    firsts = [first_number(at) for at in times]
    following = {first: first for first in firsts}
    taken = database.execute(_TAKEN, {"firsts": json.dumps(list(following)), "serials": _SERIALS})
    following.update((first, highest + 1) for first, highest in taken)
    lowest = None
    for first in firsts:
        number = following[first]
        following[first] += 1
        if number < first + _SERIALS:
            yield number
        else:  # a full second; the oldest place is always free
            lowest = (_lowest(database) if lowest is None else lowest) - 1
            yield lowest


def _lowest(database: sqlite3.Connection) -> int:
    lowest = database.execute("SELECT min(number) FROM _texts").fetchone()[0]
    return min(0, lowest or 0)


def _drop(database: sqlite3.Connection, key: list[str], old_at: str) -> None:
    first = first_number(old_at)
    found = _find(database, "number >= ? AND number < ?", (first, first + _SERIALS), key)
    if not found:  # it never was there, or was put below everything
        found = _find(database, "number < ?", (0,), key)
    database.executemany(_UNINDEX, found)
    database.executemany("DELETE FROM _texts WHERE number = ?", [(number,) for number, *_ in found])


def _find(database: sqlite3.Connection, where: str, numbers: tuple[int, ...], key: list[str]) -> list[tuple[Any, ...]]:
    """What the index holds of the text, as it must be told to forget it."""
    query = f"SELECT number, place, sender, words FROM _texts WHERE {where} AND kind = ? AND account = ? AND id = ?"  # noqa: S608 - constants
    return database.execute(query, (*numbers, *key)).fetchall()


# The texts among rows that are about to be written.


_HELD_MESSAGES = "SELECT id FROM messages WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
_HELD_ANSWERS = (
    "SELECT i.proposal_id, i.id FROM json_each(?) AS own CROSS JOIN interview_messages AS i"
    " ON i.account = ? AND i.proposal_id = json_extract(own.value, '$[0]') AND i.id = json_extract(own.value, '$[1]')"
)


def find_new_texts(connection: Connection, account: str, rows: Iterable[Row], now: Instant) -> list[Text]:
    """The texts of rows that are not held yet; those of held ones are the triggers' to note."""
    messages, answers = dict[str, Text](), dict[tuple[str, str], Text]()
    for row in rows:
        if isinstance(row, Message) and row.content:
            at = row.created_at or now
            text = Text(at, account, "message", row.conversation_id, row.id, row.content, _name_sender(row))
            messages.setdefault(row.id, text)  # if one comes twice, the second changes the first
        elif isinstance(row, InterviewMessage) and row.content:
            text = Text(row.sent_at or now, account, "interview", row.proposal_id, row.id, row.content, row.role)
            answers.setdefault((row.proposal_id, row.id), text)
    if messages:
        for (held,) in connection.execute(_HELD_MESSAGES, (account, _listed(messages))).fetchall():
            del messages[held]
    if answers:
        for key in connection.execute(_HELD_ANSWERS, (_listed(answers), account)).fetchall():
            del answers[key]
    return [*messages.values(), *answers.values()]


def _listed(keys: Iterable[object]) -> str:
    return msgspec_json.encode(list(keys)).decode()


def _name_sender(message: Message) -> str:
    """As `_search_due` is read: what we call them, their name, their id."""
    role = "system" if message.is_system else "me" if message.is_from_viewer else None
    return " ".join(filter(None, (role, message.sender_name, message.sender_user_id)))
