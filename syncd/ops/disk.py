"""How much room there is on the disk and how much of it the log takes, and when that is too much to go on."""

import os
from pathlib import Path

from syncd.errors import StoreTroubleError
from syncd.files import companion
from syncd.ops.door import find_others

FLOOR_BYTES = 64 * 1024 * 1024
"""With less than this free, nothing is fetched: what comes could not be stored whole."""

LONGEST_LOG_BYTES = 256 * 1024 * 1024
"""With a write-ahead log of this size nothing is fetched: it grows while a reader keeps it from being emptied."""


def measure_free(path: Path) -> int:
    """Bytes that an ordinary user may still write where `path` lies; raises OSError."""
    there = next(place for place in (path, *path.parents) if place.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def check_room(path: Path, floor: int = FLOOR_BYTES) -> None:
    """Refuse to go on while less than `floor` bytes are free; raises StoreTroubleError."""
    try:
        free = measure_free(path)
    except OSError as error:
        raise StoreTroubleError(
            f"the disk of {path} can't be looked at: {error.strerror}; see that it is mounted"
        ) from error
    if free < floor:
        raise StoreTroubleError(
            f"only {free >> 20} MiB are free where {path.parent} lies and {floor >> 20} are needed; "
            "free disk space, then it goes on by itself"
        )


def check_log(path: Path, longest: int = LONGEST_LOG_BYTES) -> None:
    """Refuse to make the write-ahead log longer than `longest` bytes; raises StoreTroubleError naming its readers."""
    if is_log_too_long(path, longest):
        readers = ", ".join(f"process {pid} ({name})" for pid, name in find_others(path).items())
        raise StoreTroubleError(
            f"the write-ahead log of {path} takes {longest >> 20} MiB and can't be emptied while"
            f" {readers or 'somebody'} reads; end that query or transaction, then it goes on by itself"
        )


def is_log_too_long(path: Path, longest: int = LONGEST_LOG_BYTES) -> bool:
    """Whether the write-ahead log takes that many bytes."""
    try:
        return companion(path, "-wal").stat().st_size >= longest
    except OSError:
        return False


def check_disk(path: Path) -> None:
    """Refuse to go on where what comes could not be stored, or only by filling the disk; raises StoreTroubleError."""
    check_room(path)
    check_log(path)
