"""Disks of their own, small enough to be filled, and other processes that stand in the way; real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

READING = "database.execute('BEGIN'); database.execute('SELECT count(*) FROM messages').fetchone()"
WRITING = "database.execute('BEGIN IMMEDIATE')"
_OTHER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
{statements}
print("ready", flush=True)
sys.stdin.read()
"""


class Disk:
    """A file system in memory, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all of its room but so many bytes."""
        for chunk in (1 << 20, 4096):
            with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
                while self._measure_free() > leave:
                    file.write(bytes(chunk))

    def _measure_free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink()

    def make_read_only(self, *, read_only: bool) -> None:
        """Remount it."""
        _mount("-o", f"remount,{'ro' if read_only else 'rw'}", str(self.path))


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Disk]:
    """A disk of this size; the test is skipped, loudly, where none can be mounted."""
    path.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "none", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NO REAL DISK WAS TESTED: mounting one needs root ({error})")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)  # noqa: S603, S607 - the system's own


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)  # noqa: S603, S607 - the system's own


@contextmanager
def other_process(database: Path, statements: str) -> Iterator[int]:
    """A program that has run these statements on the database and stays; its number. It ends at the latest here."""
    words = [sys.executable, "-c", _OTHER.format(statements=statements), str(database)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own words
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)
