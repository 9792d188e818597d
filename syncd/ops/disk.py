"""How much room there is on the disk, and when that is too little to go on."""

import os
from pathlib import Path

from syncd.errors import StoreTroubleError

FLOOR_BYTES = 64 * 1024 * 1024
"""With less than this free, nothing is fetched: what comes could not be stored whole."""


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
