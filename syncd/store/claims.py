"""One reader a consumer: whoever reads the feed under a name holds a lock for as long as it lives.

The lock is on an empty file beside the database. Who may only read there can lock it too, and asks the database's
holder to make it.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from syncd.errors import SyncdError
from syncd.store.scrub import database_path

_MODE = 0o644  # there is nothing in it, and whoever reads the database must be able to open it


@contextmanager
def claiming(database: Path, name: str, have_made: Callable[[], object]) -> Iterator[None]:
    """Be the only one who reads as this consumer; SyncdError while somebody else is.

    `have_made`: asks for the file where it is missing and can't be made here.
    """
    path = _claim_path(database, name)
    try:
        descriptor = _open(path)
    except OSError:
        have_made()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _lock(descriptor, name)
        yield
    finally:
        os.close(descriptor)


def make_claim(database: sqlite3.Connection, words: dict[str, Any], now: str) -> dict[str, Any]:
    """Make the file of the consumer `name`, for one who may not write beside the database."""
    del now
    os.close(_open(_claim_path(database_path(database), str(words["name"]))))
    return {}


def _claim_path(database: Path, name: str) -> Path:
    return database.with_name(f"{database.name}.consumer-{blake2b(name.encode(), digest_size=8).hexdigest()}")


def _open(path: Path) -> int:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
    if is_new:
        os.fchmod(descriptor, _MODE)  # whatever the umask says
    return descriptor


def _lock(descriptor: int, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SyncdError(
            f"another process reads as consumer {name}; end that one, or read under another name"
        ) from None
