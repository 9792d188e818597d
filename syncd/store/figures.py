"""What metrics show of the database; for a connection that can't write."""

from pathlib import Path
from typing import Any

from syncd.core.times import seconds_between
from syncd.store.publishing import read_targets
from syncd.store.read import read_now, reading

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


def read_target_figures(path: Path) -> list[dict[str, Any]]:
    """Each target's changes behind, whether it fails, and the seconds since something went there."""
    with reading(path) as database:
        now, targets = read_now(database), read_targets(database)
    return [
        {
            "target": row["target"],
            "behind": row["behind"],
            "failing": row["error"] is not None,
            "age_seconds": None if row["published_at"] is None else seconds_between(row["published_at"], now),
        }
        for row in targets
    ]


def measure_files(path: Path) -> tuple[int, int]:
    """Bytes of the database file and of its write-ahead log; 0 where there is none."""
    return _size(path), _size(path.with_name(f"{path.name}-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
