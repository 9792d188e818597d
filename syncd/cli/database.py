"""Which database a reading command reads, and whose conversation an id names."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

from syncd.cli.options import Places
from syncd.config.places import reading_db_candidates
from syncd.errors import NoDatabaseError, SyncdError, UsageError
from syncd.store.read import Database, read_accounts, read_holders, reading


def find_database(places: Places) -> Path:
    """The first database that is there; NoDatabaseError names all the places tried."""
    candidates = reading_db_candidates(places.db, places.config, os.environ)
    for candidate in candidates:
        if _exists(candidate):
            return candidate
    tried = ", ".join(map(str, candidates))
    raise NoDatabaseError(f"there is no database yet (tried {tried}); syncd sync makes one, or name it with --db")


def open_database(places: Places) -> AbstractContextManager[Database]:
    """Read the database that `places` leads to."""
    return reading(find_database(places))


def check_account(database: Database, account: str | None) -> None:
    """Refuse an account that is not in the database, naming those that are."""
    if account is None or account in (known := read_accounts(database)):
        return
    raise UsageError(f"there is no account {account} here; there is {_listed(known) or 'none yet'}")


def choose_account(database: Database, conversation_id: str, account: str | None) -> str:
    """The one account that holds the conversation; raises UsageError naming them when several do."""
    check_account(database, account)
    holders = [name for name in read_holders(database, conversation_id) if account in (None, name)]
    if not holders:
        place = f"account {account}" if account else "this database"
        raise SyncdError(f"there is no conversation {conversation_id} in {place}; syncd inbox lists them")
    if len(holders) > 1:
        raise UsageError(f"several accounts hold {conversation_id}: {_listed(holders)}; say which with --account NAME")
    return holders[0]


def _exists(path: Path) -> bool:
    """Whether there is something; what may not be looked at is left for opening to complain about."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _listed(names: list[str]) -> str:
    return ", ".join(names)
