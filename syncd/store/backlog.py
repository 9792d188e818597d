"""What stands between an account and the end of a comparison."""

from sqlite3 import Connection

from syncd.protocols import Backlog


def load_backlog(connection: Connection, account: str) -> Backlog:
    """How many conversations are still to be compared, but for those that fail; and how many suspicions there are."""
    comparisons = (
        "SELECT COUNT(*) FROM _owed WHERE account = :account AND kind = 'conversation'"
        " AND json_extract(payload, '$.verify')"
        " AND subject_id NOT IN (SELECT subject_id FROM failures WHERE account = :account AND kind = 'conversation')"
    )
    suspects = "SELECT COUNT(*) FROM _suspects WHERE account = ? AND kind IN ('conversation', 'message')"
    return Backlog(
        comparisons=connection.execute(comparisons, {"account": account}).fetchone()[0],
        suspects=connection.execute(suspects, (account,)).fetchone()[0],
    )
