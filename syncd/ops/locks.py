"""Who reads and who writes a database just now, by the locks that Linux tells of."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

# Bytes of the -shm file that SQLite locks (its wal.c): WAL_READ_LOCK for a reader, WAL_WRITE_LOCK for the writer.
_READ_MARKS = range(123, 128)
_WRITE_MARK = range(120, 121)
_LOCK = re.compile(r"\S+ (?:POSIX|OFDLCK)\s+\S+\s+(READ|WRITE)\s+(-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) (\d+) (\d+|EOF)")
_LOCKS = Path("/proc/locks")


def find_readers(database: Path, locks: Path = _LOCKS) -> dict[int, str]:
    """The processes in the midst of a read transaction, by number; those of other machines or namespaces don't show."""
    return _named(_find(database, locks, "READ", _READ_MARKS))


def find_writers(database: Path, locks: Path = _LOCKS) -> dict[int, str]:
    """The process in the midst of a write transaction, by number."""
    return _named(_find(database, locks, "WRITE", _WRITE_MARK))


def find_others(database: Path) -> dict[int, str]:
    """The readers but for this very process."""
    return {pid: name for pid, name in find_readers(database).items() if pid != os.getpid()}


def find_holder(database: Path) -> int | None:
    """The process that holds the database's own lock; None without one."""
    try:
        inode = database.with_name(f"{database.name}.lock").stat().st_ino
        lines = _LOCKS.read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(rf"FLOCK\s+\S+\s+WRITE\s+(\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", lines)
    return None if found is None else int(found[1])


def _find(database: Path, locks: Path, kind: str, marks: range) -> Iterator[int]:
    try:
        inode = database.with_name(f"{database.name}-shm").stat().st_ino
        lines = locks.read_text(encoding="ascii")
    except OSError:
        return
    for its_kind, pid, its_inode, first, last in _LOCK.findall(lines):
        if its_kind == kind and int(its_inode) == inode and int(pid) > 0 and _overlaps(marks, int(first), last):
            yield int(pid)


def _overlaps(marks: range, first: int, last: str) -> bool:
    return first < marks.stop and (last == "EOF" or int(last) >= marks.start)


def _named(pids: Iterator[int]) -> dict[int, str]:
    return {pid: _name(pid) for pid in sorted(set(pids))}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "unknown"
