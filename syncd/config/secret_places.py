"""Reads the raw text of a secret from one of the four places where it can be."""

import os
import signal
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from syncd.config.places import first_directory
from syncd.errors import SyncdError

COMMAND_SECONDS = 30
_LONGEST = 65_536


class UnavailableError(SyncdError):
    """A place without a usable secret; `missing` when nothing is there at all."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


def read_variable(name: str, environ: Mapping[str, str]) -> str:
    """Return what the environment variable holds."""
    if not environ.get(name):
        raise UnavailableError(f"the environment variable {name} is not set", missing=True)
    return environ[name]


def read_secret_file(path: Path) -> str:
    """Return a file's text."""
    try:
        with path.open("rb") as file:
            return _decode(file.read(_LONGEST), f"the file {path}")
    except FileNotFoundError:
        raise UnavailableError(f"there is no file {path}", missing=True) from None
    except OSError as error:
        raise UnavailableError(f"the file {path} can't be read ({error.strerror})") from None


def read_credential(name: str, environ: Mapping[str, str]) -> str:
    """Return the systemd credential of that name."""
    directory = first_directory(environ, "CREDENTIALS_DIRECTORY")
    if directory is None:
        hint = f"add LoadCredential={name}:/path to the unit"
        raise UnavailableError(
            f"systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set); {hint}", missing=True
        )
    return read_secret_file(directory / name)


def read_command(words: tuple[str, ...], environ: Mapping[str, str], seconds: float = COMMAND_SECONDS) -> str:
    """Return the first line that a command prints; after `seconds` it is ended with all it started."""
    try:
        command = subprocess.Popen(  # noqa: S603 - the person who configures syncd chose the command
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"the command {words[0]} can't be run ({error.strerror})") from None
    return _first_line(command, words[0], seconds)


def _first_line(command: subprocess.Popen[bytes], name: str, seconds: float) -> str:
    with command:
        try:
            output, _ = command.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end_session(command)
            raise UnavailableError(
                f"the command {name} took longer than {seconds:g} s; run it by hand to see why"
            ) from None
    if command.returncode != 0:
        raise UnavailableError(f"the command {name} ended with {command.returncode}; run it by hand to see why")
    return _decode(output, f"what the command {name} prints").partition("\n")[0]


def _end_session(command: subprocess.Popen[bytes]) -> None:
    """Kill a command and all it started: a child that holds the pipe open would otherwise be waited for."""
    try:
        os.killpg(command.pid, signal.SIGKILL)
    except ProcessLookupError:
        command.kill()


def is_readable_by_all(path: Path) -> bool:
    """Say whether any user of this machine may read the file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _decode(content: bytes, place: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnavailableError(f"{place} is no text") from None
