"""What a command may ask of the database's holder that needs nothing but the database."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from syncd.core.times import as_datetime
from syncd.errors import StoreTroubleError
from syncd.store.database import database_path, explain
from syncd.store.erase import apply_retention, finish_erasures, note_backup, purge
from syncd.store.feed import make_claim, note_place
from syncd.store.migrate import KEEP_COPIES, remove_copies
from syncd.store.published import leave_targets, note_published

StoreCommand = Callable[[sqlite3.Connection, dict[str, Any], str], dict[str, Any]]
"""Takes the writing connection, outside a transaction; the arguments; and the time."""


def _keep_up(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Finish the erasures that a crash or a reader left; erase what is older than `retention_days`, and old copies."""
    with suppress(OSError):  # one that can't be removed now is tried again tomorrow
        remove_copies(database_path(database), before=as_datetime(now) - KEEP_COPIES)
    clean = finish_erasures(database)
    return {"clean": clean, "rows": apply_retention(database, int(words.get("retention_days") or 0), now)}


STORE_COMMANDS: Mapping[str, StoreCommand] = {
    "consumer": note_place,
    "claim": make_claim,
    "purge": purge,
    "backup_made": note_backup,
    "upkeep": _keep_up,
    "published": note_published,
    "publish_only": leave_targets,
}
"""By the name of the holder's verb."""

REWRITING = frozenset({"purge", "upkeep"})
"""Those that may build the whole file anew, during which nothing else can be written."""


def run_store_command(
    database: sqlite3.Connection, name: str, words: dict[str, Any], now: str, *, alone: bool = False
) -> dict[str, Any]:
    """Do the errand; raises StoreTroubleError where SQLite gives up: what is left is done at the next start.

    `alone`: by one who holds the database for this only, and so has to do what a crash has left before.
    """
    try:
        if alone:
            finish_erasures(database)
        return STORE_COMMANDS[name](database, words, now)
    except sqlite3.Error as error:
        raise StoreTroubleError(f"{name} could not be finished: {explain(error)}; then try again") from error
