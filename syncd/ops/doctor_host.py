"""What the doctor sees of the machine: who may read the database's files."""

import os
import stat
from pathlib import Path

from syncd.ops.doctor import Finding, fine, problem, warn


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
