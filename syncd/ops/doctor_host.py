"""What the doctor sees of the machine: who may read the database's files, and who is reading it now."""

import os
import re
import stat
from pathlib import Path

from syncd.ops.doctor import Finding, fine, problem, warn

_READ_MARKS = range(123, 128)  # bytes of the -shm file that a read transaction locks (SQLite's wal.c, WAL_READ_LOCK)
_LOCK = re.compile(r"\S+ (?:POSIX|OFDLCK)\s+\S+\s+READ\s+(-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) (\d+) (\d+|EOF)")


def judge_permissions(database: Path, *, group_read: bool) -> Finding:
    """Whether we may read the database, its files are no wider than promised, and its folder lets nobody swap them."""
    files = [database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))]
    files = [file for file in files if file.exists()]
    if not os.access(database, os.R_OK):
        return problem(
            "permissions", f"{database} can't be read by you", "join its group (usermod -aG), or run this as its owner"
        )
    allowed = 0o640 if group_read else 0o600
    wide = [file for file in files if stat.S_IMODE(file.stat().st_mode) & ~allowed]
    if wide:
        names = " ".join(map(str, wide))
        return warn("permissions", f"wider than promised: {names}", f"chmod {allowed:o} {names}")
    if database.parent.stat().st_mode & stat.S_IWOTH:
        return problem("permissions", f"everybody may write {database.parent}", f"chmod o-w {database.parent}")
    return fine("permissions", f"{stat.S_IMODE(database.stat().st_mode):o} {database}")


def find_readers(database: Path, locks: Path = Path("/proc/locks")) -> dict[int, str]:
    """The processes in the midst of a read transaction, by number; those of other machines or namespaces don't show."""
    try:
        inode = database.with_name(f"{database.name}-shm").stat().st_ino
        lines = locks.read_text(encoding="ascii")
    except OSError:
        return {}
    pids = {
        int(pid)
        for pid, its_inode, first, last in _LOCK.findall(lines)
        if int(its_inode) == inode and _overlaps(int(first), last) and int(pid) > 0
    }
    return {pid: _name(pid) for pid in sorted(pids)}


def find_holder(database: Path) -> int | None:
    """The process that holds the database's lock; None without one."""
    try:
        inode = database.with_name(f"{database.name}.lock").stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(rf"FLOCK\s+\S+\s+WRITE\s+(\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", lines)
    return None if found is None else int(found[1])


def _overlaps(first: int, last: str) -> bool:
    return first < _READ_MARKS.stop and (last == "EOF" or int(last) >= _READ_MARKS.start)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "unknown"
