"""What the reading commands ask: plain queries on the public views, over a connection that can't write."""

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncd.core.sources import SOURCES
from syncd.core.times import elapsed
from syncd.errors import StoreTroubleError
from syncd.files import companion
from syncd.store.database import Connection, Database, Row, open_reader
from syncd.store.published import read_targets

_WHICH = {
    # (unread, needs_reply): the view, and the order that shows first what matters most
    (False, False): ("inbox", "last_message_at DESC NULLS LAST"),
    (True, False): ("unread", "last_message_at DESC NULLS LAST"),
    (False, True): ("needs_reply", "waiting_seconds DESC NULLS LAST"),
    (True, True): ("needs_reply", "waiting_seconds DESC NULLS LAST"),
}

_STATUS = """
SELECT a.account, a.source, a.base_url, a.state, a.state_since, a.first_started_at, a.complete_since,
       a.last_success_at, f.age_seconds, a.last_reconciled_at, a.retry_at, a.last_error,
       (SELECT count(*) FROM conversations c WHERE c.account = a.account AND c.gone_at IS NULL) AS conversations,
       (SELECT count(*) FROM messages m WHERE m.account = a.account) AS messages,
       (SELECT count(*) FROM unread u WHERE u.account = a.account) AS unread,
       (SELECT count(*) FROM needs_reply n WHERE n.account = a.account) AS needs_reply,
       (SELECT max(n.waiting_seconds) FROM needs_reply n WHERE n.account = a.account) AS longest_wait_seconds,
       (SELECT count(*) FROM failures x WHERE x.account = a.account) AS failures,
       (SELECT min(x.first_failed_at) FROM failures x WHERE x.account = a.account) AS oldest_failure_at
FROM accounts a LEFT JOIN freshness f ON f.account = a.account
WHERE a.removed_at IS NULL ORDER BY a.account
"""

_PROGRESS = """
SELECT max(CASE WHEN at <= :now THEN at END) FROM (
  SELECT state_since AS at FROM accounts WHERE account = :account
  UNION ALL SELECT first_started_at FROM accounts WHERE account = :account
  UNION ALL SELECT (SELECT changed_at FROM conversations WHERE account = :account ORDER BY change_id DESC LIMIT 1)
  UNION ALL SELECT (SELECT changed_at FROM messages WHERE account = :account ORDER BY change_id DESC LIMIT 1)
)
"""


@contextmanager
def reading(path: Path) -> Iterator[Database]:
    """Read the database at `path`, all queries as of one instant; raises StoreTroubleError where SQLite gives up."""
    database = open_reader(path)
    try:
        database.row_factory = _as_dict
        database.execute("BEGIN")
        yield database
    except sqlite3.Error as error:
        raise StoreTroubleError(f"{path} can't be read ({error}); try again, then see syncd doctor") from error
    finally:
        database.close()


def open_feed(path: Path) -> Database:
    """Open the database at `path` for many looks, each of which sees what is there then."""
    database = open_reader(path)
    database.row_factory = _as_dict
    return database


def open_snapshot(path: Path) -> Connection:
    """Open the database at `path` as it is at this instant; rows come as plain values."""
    database = open_reader(path)
    database.execute("BEGIN")
    database.execute("SELECT count(*) FROM _counters").fetchone()  # a transaction sees nothing before its first look
    return database


def read_now(database: Database) -> str:
    """The time, as this database's views take it."""
    return str(_one(database, "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS value"))


def read_inbox(
    database: Database, *, unread: bool, needs_reply: bool, account: str | None, limit: int | None
) -> tuple[list[Row], int]:
    """Rows of the view `inbox` (`unread`, `needs_reply`), and how many there are without `limit`."""
    view, order = _WHICH[unread, needs_reply]
    where = "(:account IS NULL OR account = :account)" + (" AND unread_count > 0" if unread and needs_reply else "")
    words = {"account": account, "limit": -1 if limit is None else limit}
    query = f"SELECT * FROM {view} WHERE {where} ORDER BY {order}, account, conversation_id LIMIT :limit"  # noqa: S608 - built of constants
    rows = database.execute(query, words).fetchall()
    if limit is None or len(rows) < limit:
        return rows, len(rows)
    return rows, int(_one(database, f"SELECT count(*) AS value FROM {view} WHERE {where}", words))  # noqa: S608 - the same


def read_accounts(database: Database) -> list[str]:
    """The names of all accounts that are not removed."""
    return _column(database, "SELECT account AS value FROM accounts WHERE removed_at IS NULL ORDER BY account")


def read_holders(database: Database, conversation_id: str) -> list[str]:
    """The accounts that hold a conversation of this id."""
    return _column(
        database, "SELECT account AS value FROM conversations WHERE id = :id ORDER BY account", {"id": conversation_id}
    )


def read_conversation(database: Database, account: str, conversation_id: str) -> Row:
    """The conversation's row of the view `inbox`."""
    query = "SELECT * FROM inbox WHERE account = :account AND conversation_id = :id"
    row: Row = database.execute(query, {"account": account, "id": conversation_id}).fetchone()
    return row


def read_thread(database: Database, account: str, conversation_id: str) -> list[Row]:
    """The conversation's rows of the view `thread`, oldest first."""
    query = "SELECT * FROM thread WHERE account = :account AND conversation_id = :id ORDER BY sent_at, message_id"
    return database.execute(query, {"account": account, "id": conversation_id}).fetchall()


def read_conversation_ids(database: Database, beginning: str, limit: int) -> list[tuple[str, str]]:
    """Conversations whose id begins so, newest first, each with its title."""
    query = (
        "SELECT id, coalesce(title, channel_name, '') AS title FROM conversations "
        "WHERE substr(id, 1, length(:beginning)) = :beginning ORDER BY last_message_at DESC LIMIT :limit"
    )
    rows = database.execute(query, {"beginning": beginning, "limit": limit})
    return [(row["id"], row["title"]) for row in rows]


def read_status(database: Database) -> list[Row]:
    """Each account's row of `accounts` with its counts; times are UTC text, ages and waits seconds."""
    rows: list[Row] = database.execute(_STATUS).fetchall()
    for row in rows:
        state = read_state(database, row["account"])
        row["poll"] = state.get("poll")
        row["missing_scopes"] = state.get("missing_scopes") or []
        row["loss_guard"] = state.get("loss_guard")
        row["failing"] = read_failing(database, row["account"])
    return rows


def read_state(database: Database, account: str) -> Row:
    """What the daemon last noted about the account for itself; empty when there is nothing yet."""
    text = _one(database, "SELECT state AS value FROM _accounts WHERE account = :account", {"account": account})
    state = json.loads(text) if text else {}
    return state if isinstance(state, dict) else {}


def read_failing(database: Database, account: str) -> list[Row]:
    """How many things of each kind fail for which reason, the oldest first."""
    query = (
        "SELECT kind, reason, count(*) AS count, min(first_failed_at) AS first_failed_at, "
        "min(next_try_at) AS next_try_at FROM failures WHERE account = :account "
        "GROUP BY kind, reason ORDER BY first_failed_at, kind, reason"
    )
    return database.execute(query, {"account": account}).fetchall()


def read_progress(database: Database, account: str, now: str) -> str | None:
    """When the account last got on: began, changed its state, or stored something new."""
    at = database.execute(_PROGRESS, {"account": account, "now": now}).fetchone()
    return next(iter(at.values()))  # type: ignore[no-any-return]  # a time text, or None


def read_waiting(database: Database, longer_than: float) -> list[Row]:
    """Conversations that need a reply and whose open turn has waited more than so many seconds, the longest first."""
    query = (
        "SELECT n.* FROM needs_reply n JOIN accounts a ON a.account = n.account "
        "WHERE a.removed_at IS NULL AND n.needs_reply_count > 0 AND n.waiting_seconds > :seconds "
        "ORDER BY n.waiting_seconds DESC"
    )
    return database.execute(query, {"seconds": longer_than}).fetchall()


def read_failures_before(database: Database, moment: str, ahead: str) -> list[Row]:
    """Failures of present accounts that have lasted since before `moment`, the oldest first.

    One that began behind `ahead` began by a clock that was wrong, and nobody knows for how long it has lasted.
    """
    query = (
        "SELECT x.* FROM failures x JOIN accounts a ON a.account = x.account "
        "WHERE a.removed_at IS NULL AND (x.first_failed_at < :moment OR x.first_failed_at > :ahead) "
        "ORDER BY x.first_failed_at"
    )
    return database.execute(query, {"moment": moment, "ahead": ahead}).fetchall()


def read_schema_version(database: Database) -> int:
    """The number of the last migration."""
    return int(_one(database, "SELECT user_version AS value FROM pragma_user_version"))


def _as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {description[0]: value for description, value in zip(cursor.description, values, strict=True)}


def _one(database: Database, query: str, words: Row | None = None) -> Any:
    """The column `value` of the only row, or None without one."""
    row = database.execute(query, words or {}).fetchone()
    return row["value"] if row else None


def _column(database: Database, query: str, words: Row | None = None) -> list[str]:
    return [row["value"] for row in database.execute(query, words or {})]


# What the commands that write look up first: the outbox, and whose a proposal is.


_TALK = """
SELECT * FROM (
  SELECT * FROM thread WHERE account = :account AND conversation_id = :id AND gone_at IS NULL
  ORDER BY sent_at DESC, message_id DESC LIMIT :limit
) ORDER BY sent_at, message_id
"""


def read_outbox(database: Database, account: str | None, limit: int | None) -> tuple[list[Row], int]:
    """Messages of the outbox with their conversation's name, newest first, and how many there are without `limit`."""
    words = {"account": account, "limit": -1 if limit is None else limit}
    rows = database.execute(
        "SELECT o.id, o.account, o.conversation_id, o.state, o.content, o.created_at, o.expires_at, o.attempted_at,"
        " o.message_id, o.error, coalesce(i.title, i.candidate_name, i.job_title) AS conversation,"
        " coalesce(o.content, m.content) AS text"
        " FROM outbox AS o LEFT JOIN messages AS m ON m.account = o.account AND m.id = o.message_id"
        " LEFT JOIN inbox AS i ON i.account = o.account AND i.conversation_id = o.conversation_id"
        " WHERE :account IS NULL OR o.account = :account ORDER BY o.id DESC LIMIT :limit",
        words,
    ).fetchall()
    total = database.execute(
        "SELECT count(*) AS total FROM outbox WHERE :account IS NULL OR account = :account", words
    ).fetchone()["total"]
    return rows, int(total)


def read_outgoing_account(database: Database, id_: int) -> str | None:
    """Whose message of the outbox that is."""
    row = database.execute("SELECT account FROM outbox WHERE id = :id", {"id": id_}).fetchone()
    return str(row["account"]) if row else None


def read_last_words(database: Database, account: str, conversation_id: str, limit: int) -> list[Row]:
    """The last messages of a conversation, oldest first, as the view `thread` has them."""
    return database.execute(_TALK, {"account": account, "id": conversation_id, "limit": limit}).fetchall()


def read_proposal_holders(database: Database, proposal_id: str) -> list[str]:
    """The accounts that hold a proposal of this id."""
    query = "SELECT account FROM proposals WHERE id = :id ORDER BY account"
    return [row["account"] for row in database.execute(query, {"id": proposal_id})]


def read_writable_accounts(database: Database) -> list[str]:
    """The accounts whose source takes messages."""
    query = "SELECT account, source FROM accounts WHERE removed_at IS NULL ORDER BY account"
    return [row["account"] for row in database.execute(query) if SOURCES[row["source"]].takes_messages]


def read_proposal_ids(database: Database, beginning: str, limit: int) -> list[tuple[str, str]]:
    """Proposals whose id begins so, the newest first, each with its candidate's name."""
    query = (
        "SELECT p.id, coalesce(c.name, '') AS name FROM proposals AS p"
        " LEFT JOIN candidates AS c ON c.account = p.account AND c.id = p.candidate_id"
        " WHERE substr(p.id, 1, length(:beginning)) = :beginning ORDER BY p.created_at DESC LIMIT :limit"
    )
    rows = database.execute(query, {"beginning": beginning, "limit": limit})
    return [(row["id"], row["name"]) for row in rows]


def read_outgoing_ids(database: Database, beginning: str, limit: int) -> list[tuple[str, str]]:
    """Messages of the outbox whose number begins so and that were not sent, the newest first, each with its state."""
    query = (
        "SELECT id, state FROM outbox WHERE state <> 'sent'"
        " AND substr(id, 1, length(:beginning)) = :beginning ORDER BY id DESC LIMIT :limit"
    )
    rows = database.execute(query, {"beginning": beginning, "limit": limit})
    return [(str(row["id"]), row["state"]) for row in rows]


# What metrics show of the database; for a connection that can't write.


_ACCOUNTS = """
SELECT a.account, a.state, f.age_seconds, f.failures,
       (SELECT count(*) FROM unread u WHERE u.account = a.account) AS unread,
       (SELECT count(*) FROM needs_reply n WHERE n.account = a.account) AS needs_reply
FROM accounts a JOIN freshness f ON f.account = a.account
WHERE a.removed_at IS NULL
"""
_EVENTS = "SELECT kind, count(*) AS count FROM events WHERE account = ? GROUP BY kind"


def read_figures(path: Path) -> list[dict[str, Any]]:
    """Each present account's state, age in seconds, failures, unread, needs-reply, and events by kind."""
    with reading(path) as database:
        accounts = database.execute(_ACCOUNTS).fetchall()
        for row in accounts:
            found = database.execute(_EVENTS, (row["account"],))
            row["events"] = {one["kind"]: one["count"] for one in found}
    return accounts


def _age(since: str | None, now: str) -> float | None:
    """Seconds since then; None where nobody knows: it never was, or lies ahead."""
    age = math.inf if since is None else elapsed(since, now)
    return None if math.isinf(age) else age


def read_target_figures(path: Path) -> list[dict[str, Any]]:
    """Each target's changes behind, whether it fails, and the seconds since something went there."""
    with reading(path) as database:
        now, targets = read_now(database), read_targets(database)
    return [
        {
            "target": row["target"],
            "behind": row["behind"],
            "failing": row["error"] is not None,
            "age_seconds": _age(row["published_at"], now),
        }
        for row in targets
    ]


def measure_files(path: Path) -> tuple[int, int]:
    """Bytes of the database file and of its write-ahead log; 0 where there is none."""
    return _size(path), _size(companion(path, "-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
