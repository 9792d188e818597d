"""What it means when SQLite or the disk refuses, and what a person can do about it."""

import os
import sqlite3
from pathlib import Path

from syncd.errors import PASSING_ERRORS, StoreTroubleError

_LOCKED = "another process keeps it locked; `syncd doctor` names it"
_DAMAGED = "the file is damaged; put a backup in its place, with no -wal and -shm file beside it"
_ADVICE = {
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_NOMEM": "free some memory",
    "SQLITE_READONLY": "the file, its folder or its disk is read-only; make it writable",
    "SQLITE_CANTOPEN": "see that its folder is there and writable",
    "SQLITE_IOERR": "see that its disk is mounted, sound and not full",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
_SOUND = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_NOMEM")  # nothing is wrong with the file


def is_trouble(error: BaseException) -> bool:
    """Whether the file, its disk or another process stands in the way, so that nothing else would fare better."""
    return isinstance(error, StoreTroubleError) or (
        isinstance(error, sqlite3.Error) and _find_advice(error) is not None
    )


def is_doubtful(error: BaseException) -> bool:
    """Whether what the connection has read of its file may be wrong."""
    return is_trouble(error) and isinstance(error, sqlite3.Error) and not _name(error).startswith(_SOUND)


def is_passing(path: Path, error: sqlite3.Error | OSError) -> bool:
    """Whether `path` may be opened some time later with nothing about it changed."""
    if isinstance(error, OSError):
        return error.errno in PASSING_ERRORS
    return _name(error).startswith((*_SOUND, "SQLITE_IOERR")) or (is_trouble(error) and _is_disk_read_only(path))


def translated(error: Exception) -> Exception:
    """What SQLite says, in our words; our own mistakes as they are."""
    if not isinstance(error, sqlite3.Error):
        return error
    return StoreTroubleError(f"{explain(error)}; syncd then goes on by itself")


def explain(error: sqlite3.Error) -> str:
    """What SQLite says, and what to do about it."""
    advice = _find_advice(error) or "`syncd doctor` looks at it"
    return f"the database refuses ({_name(error)}: {error}): {advice}"


def _find_advice(error: BaseException) -> str | None:
    return next((advice for name, advice in _ADVICE.items() if _name(error).startswith(name)), None)


def _name(error: BaseException) -> str:
    """SQLite's name for it; no mistake of ours bears one of those that have an advice."""
    return getattr(error, "sqlite_errorname", "SQLITE_ERROR")


def _is_disk_read_only(path: Path) -> bool:
    there = next(place for place in (path, *path.parents) if place.exists())
    return bool(os.statvfs(there).f_flag & os.ST_RDONLY)
