"""How the accounts are just now: what the database says, and what its holder could not write there."""

from pathlib import Path
from typing import Any

from syncd.errors import SyncdError
from syncd.store.read import Database, read_status

_PATIENCE_SECONDS = 2.0


def read_accounts_now(path: Path, database: Database) -> list[dict[str, Any]]:
    """Each account's row of `read_status`; one in trouble that the database does not take has that trouble's state."""
    refused = _ask_for_refused(path)
    return [row | refused.get(row["account"], {}) for row in read_status(database)]


def _ask_for_refused(path: Path) -> dict[str, dict[str, Any]]:
    """What the holder knows and could not write; nothing where there is none, or it does not answer at once."""
    path = path.resolve()
    if not path.with_name(f"{path.name}.sock").exists():
        return {}
    from syncd.ops.door import ask_holder  # it is slow to import

    try:
        return ask_holder(path, "refused", {}, patience=_PATIENCE_SECONDS) or {}
    except SyncdError:
        return {}
