"""Copy the database while the daemon writes it: whole, checked, and under its name only when it is."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from syncd.errors import StoreTroubleError, SyncdError
from syncd.store.database import open_reader
from syncd.store.migrate import make_durable


def back_up(database: Path, target: Path, keep: int = 1) -> int:
    """Copy `database` to `target` and keep the `keep` newest copies, older ones as `target.1`, `target.2` …; its bytes.

    Raises SyncdError where the target can't be used, StoreTroubleError where the copy fails or is damaged; what was
    there before then stays as it was.
    """
    _check_target(database, target)
    unfinished = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(database, unfinished)
        make_durable(unfinished)
        size = unfinished.stat().st_size
        _rotate(target, keep)
        unfinished.replace(target)
        make_durable(target.parent)
    except OSError as error:
        raise SyncdError(f"{target} can't be written: {error.strerror or error}; choose another place") from error
    except sqlite3.Error as error:
        raise StoreTroubleError(f"{database} can't be copied to {target}: {error}; see syncd doctor") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with suppress(OSError):
                unfinished.with_name(unfinished.name + suffix).unlink()
    return size


def _check_target(database: Path, target: Path) -> None:
    if target.is_dir():
        raise SyncdError(f"{target} is a directory; name the file to write, such as {target / 'syncd.db'}")
    if target.exists() and target.samefile(database):
        raise SyncdError(f"{target} is the database itself; choose another place for its copy")


def _copy(database: Path, unfinished: Path) -> None:
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(open_reader(database)) as source, closing(sqlite3.connect(unfinished)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read where nothing can be written
        damage = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(1)")]
    if damage != ["ok"]:
        raise StoreTroubleError(f"the copy of {database} is damaged ({damage[0]}); syncd doctor looks at the original")


def _rotate(target: Path, keep: int) -> None:
    """Make room for a new copy; at no moment is there none under the target's own name."""
    numbered = sorted((number, path) for path in target.parent.glob(f"{target.name}.*") if (number := _number(path)))
    for number, path in reversed(numbered):
        if number >= keep - 1:
            path.unlink()
        else:
            path.rename(target.with_name(f"{target.name}.{number + 1}"))
    if keep > 1 and target.exists():
        os.link(target, target.with_name(f"{target.name}.1"))


def _number(path: Path) -> int:
    """The number of a copy, 0 for any other file."""
    end = path.name.rpartition(".")[2]
    return int(end) if end.isascii() and end.isdigit() else 0
