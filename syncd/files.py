"""Files of our own: replaced whole or not at all, and never where something stands that is not ours to replace."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syncd.errors import SyncdError

OWNER_ONLY = 0o600

_DATABASE_START = b"SQLite format 3\0"
_COMPANIONS = ("-wal", "-shm", "-journal", ".lock", ".sock")
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MOST_LINKS = 40  # as many as the kernel follows


class ForeignFileError(SyncdError):
    """Something bears a file's name that syncd did not make, or must not replace."""


def companion(database: Path, suffix: str) -> Path:
    """The file beside a database, such as its lock or socket: a link to the database has none of its own."""
    return Path(f"{os.path.realpath(database)}{suffix}")


def unfinished_name(target: Path) -> Path:
    """The name that a file has until it is whole; nobody else makes one that is called so."""
    return target.with_name(f".{target.name}.syncd-new")


@contextmanager
def replacing(target: Path, *, mode: int = OWNER_ONLY, database: bool = False) -> Iterator[Path]:
    """An empty file for the body to fill, which takes the target's name when it is whole and on disk.

    `database`: the target may be a database, though not one's companion. Raises ForeignFileError before the body runs
    where the target is not ours to replace, OSError where the disk refuses; the target then is as it was.
    """
    unfinished = unfinished_name(target)
    remove(unfinished)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    try:
        made = os.fstat(descriptor)
        os.fchmod(descriptor, mode)  # whatever the umask says
    finally:
        os.close(descriptor)
    try:
        check_replaceable(target, owner=made.st_uid, database=database)
        yield unfinished
        make_durable(unfinished)
        if not os.path.samestat(unfinished.lstat(), made):
            raise ForeignFileError(f"{target} is being written by another syncd too; let one of them do it")
        check_replaceable(target, owner=made.st_uid, database=database)
        unfinished.replace(target)
    finally:
        with suppress(FileNotFoundError):
            if os.path.samestat(unfinished.lstat(), made):
                unfinished.unlink()
    make_durable(target.parent)


def replace_text(target: Path, text: str, *, mode: int = OWNER_ONLY) -> None:
    """Write a whole file."""
    with replacing(target, mode=mode) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def create_text(target: Path, text: str) -> None:
    """Write a file that only its owner may read where there is none; FileExistsError where there is anything."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def remove(path: Path) -> None:
    """Remove a regular file, if it is there; ForeignFileError for anything else."""
    if os.path.lexists(path):
        _check_regular(path, path.lstat())
        path.unlink(missing_ok=True)


def check_replaceable(path: Path, *, owner: int, database: bool = False) -> None:
    """Raise ForeignFileError for what is no regular file of this owner, a database's companion, or a database.

    The owner is that of a file just made there: a network's file system may not call it as the process is called.
    """
    for suffix in _COMPANIONS:
        base = path.with_name(path.name.removesuffix(suffix) or path.name)
        if path.name.endswith(suffix) and is_database(base):
            raise ForeignFileError(f"{path} belongs to the database {base}; name another place")
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    _check_regular(path, found)
    if found.st_uid != owner:
        raise ForeignFileError(f"{path} is another user's file; remove it first, or name another place")
    if not database and is_database(path):
        raise ForeignFileError(f"{path} is a database; name another place")


def check_regular(path: Path) -> None:
    """Raise ForeignFileError where something is there that is no regular file, such as a link that leads elsewhere."""
    with suppress(FileNotFoundError):
        _check_regular(path, path.lstat())


def _check_regular(path: Path, found: os.stat_result) -> None:
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), None)
    if kind is not None:
        raise ForeignFileError(f"{path} is {kind} and no regular file; remove it first, or name another place")


def is_database(path: Path) -> bool:
    """Whether an SQLite database bears the name, or is where its links lead."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY, follow=True), "rb") as file:
            return file.read(len(_DATABASE_START)) == _DATABASE_START
    except (OSError, ForeignFileError):
        return False


def open_regular(path: Path, flags: int, mode: int = OWNER_ONLY, *, follow: bool = False) -> int:
    """Open a regular file without waiting and, unless told to, without following a link; ForeignFileError, OSError."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW), mode)
    except OSError:
        with suppress(OSError):  # what it is is told, where that is the reason
            _check_regular(path, path.stat() if follow else path.lstat())
        raise
    try:
        _check_regular(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def set_mode(path: Path, mode: int) -> None:
    """Change the mode of a regular file, of that very file and not of one that a link leads to."""
    # Closing a descriptor that was opened for reading would drop the locks that SQLite holds in this process.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def follow_own_links(path: Path) -> Path:
    """Where a link leads that is our own, as a configuration often is one; ForeignFileError for another user's."""
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            return path
        if path.lstat().st_uid != os.geteuid():
            raise ForeignFileError(f"{path} is another user's link; remove it first, or name another place")
        path = path.parent / path.readlink()
    raise ForeignFileError(f"{path} is a link that leads in a circle; remove it first, or name another place")


def make_durable(path: Path) -> None:
    """Wait until a file's content, or a directory's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
