"""Copy the database while the daemon writes it: whole, checked, and under its name only when it is."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from syncd.errors import StoreTroubleError, SyncdError
from syncd.files import ForeignFileError, is_database, remove, replacing
from syncd.store.database import APPLICATION_ID, open_reader

_APPLICATION_ID_AT = 68  # bytes from the start of an SQLite file
_SIDES = ("-journal", "-wal", "-shm")


def back_up(database: Path, target: Path, keep: int = 1) -> int:
    """Copy `database` to `target` and keep the `keep` newest copies, older ones as `target.1`, `target.2` …; its bytes.

    Raises SyncdError where the target can't be used, StoreTroubleError where the copy fails or is damaged; what was
    there before then stays as it was.
    """
    _check_target(database, target)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copies = _find_copies(target, keep)
        with replacing(target, database=True) as unfinished:
            try:
                _copy(database, unfinished)
            finally:
                for suffix in _SIDES:
                    with suppress(OSError):
                        unfinished.with_name(unfinished.name + suffix).unlink()
            size = unfinished.stat().st_size
            _rotate(target, copies, keep)
    except OSError as error:
        raise SyncdError(f"{target} can't be written: {error.strerror or error}; choose another place") from error
    except sqlite3.Error as error:
        raise StoreTroubleError(f"{database} can't be copied to {target}: {error}; see syncd doctor") from error
    return size


def _check_target(database: Path, target: Path) -> None:
    if target.is_dir():
        raise SyncdError(f"{target} is a directory; name the file to write, such as {target / 'syncd.db'}")
    if target.exists() and target.samefile(database):
        raise SyncdError(f"{target} is the database itself; choose another place for its copy")


def _copy(database: Path, unfinished: Path) -> None:
    with closing(open_reader(database)) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read where nothing can be written
        damage = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(1)")]
    if damage != ["ok"]:
        raise StoreTroubleError(f"the copy of {database} is damaged ({damage[0]}); syncd doctor looks at the original")


def _find_copies(target: Path, keep: int) -> list[tuple[int, Path]]:
    """The numbered copies, the newest first; what has a number and is no copy of ours stays, unless it is in the way.

    Raises ForeignFileError for one that is.
    """
    numbered = sorted((number, path) for path in target.parent.glob("*") if (number := _number(target, path)))
    for number, path in numbered:
        if number < keep and not _is_copy(path):
            raise ForeignFileError(f"{path} is no copy that syncd made; remove it, or choose another place")
    return [(number, path) for number, path in numbered if _is_copy(path)]


def _is_copy(path: Path) -> bool:
    """Whether it is a regular file that holds a database of ours."""
    if path.is_symlink() or not is_database(path):
        return False
    with path.open("rb") as file:
        file.seek(_APPLICATION_ID_AT)
        return file.read(4) == APPLICATION_ID.to_bytes(4)


def _rotate(target: Path, copies: list[tuple[int, Path]], keep: int) -> None:
    """Make room for a new copy; at no moment is there none under the target's own name."""
    for number, path in reversed(copies):
        if number >= keep - 1:
            remove(path)
        else:
            path.rename(target.with_name(f"{target.name}.{number + 1}"))
    if keep > 1 and _is_copy(target):
        os.link(target, target.with_name(f"{target.name}.1"))


def _number(target: Path, path: Path) -> int:
    """The number of a copy, 0 for any other file."""
    end = path.name.removeprefix(f"{target.name}.") if path.name.startswith(f"{target.name}.") else ""
    return int(end) if end.isascii() and end.isdigit() else 0
