"""One lock, one door: the lock's holder writes the database and does for others what they ask."""

import asyncio
import fcntl
import os
import re
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from msgspec import DecodeError, Struct, json

from syncd.errors import PASSING_ERRORS, DatabaseError, StoreTroubleError, SyncdError, UsageError
from syncd.files import ForeignFileError, companion, open_regular

Progress = Callable[[dict[str, Any]], None]
Serve = Callable[[str, dict[str, Any], Progress], Awaitable[dict[str, Any]]]
"""Does one command for somebody else: its name, its arguments, and where to report progress."""

_LINE_LIMIT = 1 << 20
_BROKEN_OFF = "the daemon stopped before it was done; ask again"
_LONGEST_ADDRESS = 107  # bytes, by the kernel's sockaddr_un
_REQUEST_SECONDS = 5.0  # how long a caller may take to say what it wants


class HolderError(SyncdError):
    """What the holder answered instead of a result."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class BrokenOffError(HolderError):
    """The holder went away before it answered; whether it did what was asked, nobody said."""


class Lock:
    """The right to write a database, for as long as it is open."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Let go; the file stays, as removing it would let two hold it."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def take_lock(database: Path, *, group_read: bool = False) -> Lock:
    """Take the database's lock, by whatever name it is called; DatabaseError names the process that holds it."""
    path = companion(database, ".lock")
    try:
        path.parent.mkdir(mode=0o750 if group_read else 0o700, parents=True, exist_ok=True)
        if database.is_dir():
            raise DatabaseError(f"{database} is a directory; give the path of the database file itself")
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    except ForeignFileError as error:
        raise DatabaseError(str(error)) from error
    except OSError as error:
        if error.errno in PASSING_ERRORS:
            raise StoreTroubleError(f"{path} can't be opened for now: {error.strerror}; see to its disk") from error
        raise DatabaseError(f"{path} can't be opened: {error.strerror}; check the path and its permissions") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DatabaseError(
            f"{database} is held by another syncd (process {find_holder(database) or 'unknown'}); stop that one first"
        ) from None
    return Lock(path, descriptor)  # nothing is written into it: it may be a name of somebody else's file


_TURNS_TO_WELCOME = 5  # of the event loop: asyncio takes a few from accepting a connection to calling `_welcome`


class Door:
    """The holder's socket: open from `open` to `close`, it serves any number of callers at once."""

    def __init__(self, database: Path, serve: Serve, *, group_read: bool = False) -> None:
        self._path = socket_path(database)
        self._serve = serve
        self._mode = 0o660 if group_read else 0o600
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to listen; a socket that a crash left behind is replaced, as the lock is ours."""
        before = os.umask(0o777 ^ self._mode)  # so it has its mode from its first moment on
        try:
            if _check_socket(self._path):
                self._path.unlink()
            with _address(self._path) as address:
                self._server = await asyncio.start_unix_server(self._welcome, address, limit=_LINE_LIMIT)
        except OSError as error:
            if error.errno in PASSING_ERRORS:
                raise StoreTroubleError(f"{self._path} can't be made for now: {error.strerror}") from error
            raise DatabaseError(
                f"{self._path} can't be made: {error.strerror or error}; check the folder's permissions"
            ) from error
        finally:
            os.umask(before)

    async def settle(self) -> None:
        """Wait until everybody who asked has their answer."""
        while self._callers:
            await asyncio.wait(self._callers)

    async def close(self) -> None:
        """Stop listening, and break off what is being served."""
        if self._server is None:
            return
        self._server.close()
        for _ in range(_TURNS_TO_WELCOME):
            await asyncio.sleep(0)
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        with suppress(FileNotFoundError):
            self._path.unlink()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._callers.add(caller)
        caller.add_done_callback(self._callers.discard)
        caller.add_done_callback(
            lambda _: writer.close()
        )  # one that is cancelled before it begins does not do it itself

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: dict[str, Any]) -> None:
            if not writer.is_closing():  # a caller that has gone misses its answer; what it asked for goes on
                writer.write(json.encode(line) + b"\n")

        try:
            say(await self._answer(reader, lambda progress: say({"progress": progress})))
            await writer.drain()
        except ConnectionError:
            pass  # it has gone
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, progress: Progress) -> dict[str, Any]:
        try:
            command, arguments = await _read_request(reader)
            return {"result": await self._serve(command, arguments, progress)}
        except SyncdError as error:
            return {"error": " ".join(str(error).split()), "exit_code": error.exit_code}  # it may quote what was asked
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not leave the caller without an answer
            return {"error": f"internal error: {type(error).__name__}: {error}", "exit_code": 1}


class _DoorRequest(Struct):
    """What a caller of ours says."""

    command: str
    arguments: dict[str, Any] = {}


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    """What is asked for; UsageError for what no caller of ours says."""
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            request = json.decode(await reader.readline(), type=_DoorRequest)
    except (DecodeError, ValueError, TimeoutError, RecursionError):  # ValueError: a line without an end
        raise UsageError("that is no request of a syncd command; use the syncd command") from None
    return request.command, request.arguments


def socket_path(database: Path) -> Path:
    """Where the database's holder listens, by whatever name the database is called."""
    return companion(database, ".sock")


def _check_socket(path: Path) -> bool:
    """Whether there is a socket; DatabaseError for anything else, such as a link to somebody else's."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(found.st_mode):
        raise DatabaseError(f"{path} is no socket of syncd's; remove it")
    return True


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name for the socket that fits into an address, however deep the database lies."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask_holder(
    database: Path,
    command: str,
    arguments: dict[str, Any],
    on_progress: Progress | None = None,
    *,
    patience: float | None = None,
) -> dict[str, Any] | None:
    """What the database's holder answers; None when nobody listens. Raises HolderError.

    `patience`: seconds to wait for each line of it, None for as long as it takes.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            _check_socket(socket_path(database))
            with _address(socket_path(database)) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise DatabaseError(
                f"{socket_path(database)} can't be used: {error.strerror or error}; ask its owner to let your group in"
            ) from error
        try:
            connection.sendall(json.encode({"command": command, "arguments": arguments}) + b"\n")
            with connection.makefile("rb") as lines:
                return _result(lines, on_progress)
        except (OSError, DecodeError):  # it was killed, perhaps in the middle of a line
            raise BrokenOffError(_BROKEN_OFF, 1) from None


def _result(lines: Iterable[bytes], on_progress: Progress | None) -> dict[str, Any]:
    for line in lines:
        answer = json.decode(line, type=dict[str, Any])
        if "result" in answer:
            return dict(answer["result"])
        if "error" in answer:
            raise HolderError(answer["error"], int(answer["exit_code"]))
        if on_progress is not None and "progress" in answer:
            on_progress(answer["progress"])
    raise BrokenOffError(_BROKEN_OFF, 1)


# Who reads and who writes a database just now, by the locks that Linux tells of.


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
        inode = companion(database, ".lock").stat().st_ino
        lines = _LOCKS.read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(rf"FLOCK\s+\S+\s+WRITE\s+(\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", lines)
    return None if found is None else int(found[1])


def _find(database: Path, locks: Path, kind: str, marks: range) -> Iterator[int]:
    try:
        inode = companion(database, "-shm").stat().st_ino
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
