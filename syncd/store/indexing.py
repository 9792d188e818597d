"""Keep the search index in step with the texts, at the end of the transaction that changes them."""

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from syncd.core.times import as_datetime
from syncd.core.words import join_words

_SERIALS = 1 << 20
"""How many texts of one second have a number of their own."""

Key = tuple[str, str, str, str]
"""Kind, account, conversation or proposal, and id."""

_TEXTS = {
    "message": (
        "SELECT coalesce(created_at, first_seen_at), content,"
        " CASE WHEN is_system = 1 THEN 'system' WHEN is_from_viewer = 1 THEN 'me' END, sender_name, sender_user_id"
        " FROM messages WHERE account = ? AND conversation_id = ? AND id = ?"
    ),
    "interview": (
        "SELECT coalesce(sent_at, first_seen_at), content, role, NULL, NULL"
        " FROM interview_messages WHERE account = ? AND proposal_id = ? AND id = ?"
    ),
}


def index_due(database: sqlite3.Connection) -> None:
    """Index every text that the transaction has added or changed, and drop those that it removed."""
    due = database.execute("SELECT kind, account, owner_id, id, old_at FROM _search_due").fetchall()
    if not due:
        return
    database.execute("DELETE FROM _search_due")
    for *key, old_at in due:
        if old_at is not None:
            _drop(database, (key[0], key[1], key[3]), old_at)
    numbers = _Numbers(database)
    entries = [
        (numbers.take(at), *entry) for at, *entry in _entries(database, dict.fromkeys(tuple(row[:4]) for row in due))
    ]
    # In the order of their numbers: the index writes a segment wherever they go down.
    database.executemany(
        "INSERT INTO _search (rowid, account, kind, owner_id, id, place, sender, words)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        sorted(entries),
    )


def _entries(database: sqlite3.Connection, keys: Iterable[Key]) -> Iterator[tuple[str, ...]]:
    for kind, account, owner_id, id in keys:
        found = database.execute(_TEXTS[kind], (account, owner_id, id)).fetchone()
        if found is None or not found[1]:
            continue
        at, content, *sender = found
        words = join_words(content)
        senders = join_words(" ".join(filter(None, sender)))
        yield at, account, kind, owner_id, id, place_token(kind, account, owner_id), senders, words


def place_token(kind: str, account: str, owner_id: str) -> str:
    """One word for a conversation (kind `message`) or for a proposal's interview."""
    return "p" + blake2b(f"{kind}\0{account}\0{owner_id}".encode(), digest_size=8).hexdigest()


def first_number(at: str) -> int:
    """The lowest number of a text of that second."""
    return int(as_datetime(at).timestamp()) * _SERIALS


class _Numbers:
    """Numbers for new entries, each above those of the same second that are taken."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._next: dict[int, int] = {}

    def take(self, at: str) -> int:
        first = first_number(at)
        if first not in self._next:
            self._next[first] = self._after(first)
        number = self._next[first]
        if number == first + _SERIALS:  # a full second; the oldest place is always free
            self._next[-1] = self._next.get(-1, self._lowest()) - 1
            return self._next[-1]
        self._next[first] = number + 1
        return number

    def _after(self, first: int) -> int:
        taken = "SELECT max(id) FROM _search_content WHERE id >= ? AND id < ?"
        highest = self._database.execute(taken, (first, first + _SERIALS)).fetchone()[0]
        return first if highest is None else int(highest) + 1

    def _lowest(self) -> int:
        lowest = self._database.execute("SELECT min(id) FROM _search_content").fetchone()[0]
        return min(0, lowest or 0)


def _drop(database: sqlite3.Connection, key: tuple[str, str, str], old_at: str) -> None:
    first = first_number(old_at)
    own = "kind = ? AND account = ? AND id = ?"
    dropped = database.execute(
        f"DELETE FROM _search WHERE rowid >= ? AND rowid < ? AND {own}",  # noqa: S608 - a constant
        (first, first + _SERIALS, *key),
    )
    if not dropped.rowcount:  # it never was there, or was put below everything
        database.execute(f"DELETE FROM _search WHERE rowid < 0 AND {own}", key)  # noqa: S608 - the same
