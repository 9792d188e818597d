"""Tokens, header values and passwords, from where the configuration says they are."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from syncd.config.places import TOKEN_VARIABLES, credentials_path, first_directory, home_directory, read_credentials
from syncd.core.sources import SOURCES
from syncd.errors import AuthError, ConfigError, SyncdError
from syncd.files import ForeignFileError, open_regular


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A token, password or header value; only `reveal` gives it away."""

    _text: str

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"


# Reads the raw text of a secret from one of the four places where it can be.


COMMAND_SECONDS = 30
_LONGEST = 65_536


class UnavailableError(SyncdError):
    """A place without a usable secret; `missing` when nothing is there at all."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


# A name that leads nowhere may be the secret itself, put where its place belongs: then the key is named instead.
_NAME_OF_A_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def read_variable(name: str, environ: Mapping[str, str], key: str) -> str:
    """Return what the environment variable holds that `key` names."""
    if not environ.get(name):
        what = name if _NAME_OF_A_VARIABLE.fullmatch(name) else f"that {key} names"
        raise UnavailableError(f"the environment variable {what} is not set", missing=True)
    return environ[name]


def read_secret_file(path: Path, key: str) -> str:
    """Return the text of the file that `key` names; one that would have to be waited for is refused."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY, follow=True), "rb") as file:
            return _decode(file.read(_LONGEST), f"the file that {key} names")
    except FileNotFoundError:
        raise UnavailableError(f"there is no file where {key} points", missing=True) from None
    except ForeignFileError:
        raise UnavailableError(f"what {key} names is no regular file") from None
    except OSError as error:
        raise UnavailableError(f"the file that {key} names can't be read ({error.strerror})") from None


def read_credential(name: str, environ: Mapping[str, str], key: str) -> str:
    """Return the systemd credential that `key` names."""
    directory = first_directory(environ, "CREDENTIALS_DIRECTORY")
    if directory is None:
        raise UnavailableError(
            f"systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set); add LoadCredential=, with the name"
            f" that {key} has, to the unit",
            missing=True,
        )
    return read_secret_file(directory / name, key)


def read_command(words: tuple[str, ...], environ: Mapping[str, str], key: str, seconds: float = COMMAND_SECONDS) -> str:
    """Return the first line that `key`'s command prints; after `seconds` it is ended with all it started."""
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
        raise UnavailableError(f"the command of {key} can't be run ({error.strerror})") from None
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


# Tokens, header values and passwords, from where the configuration says they are.
#
# Asked again whenever a server refuses the last one, so a rotated token needs no restart. All of it may block: a
# command is given 30 s.


if TYPE_CHECKING:  # reading a secret does not import pydantic
    from collections.abc import Mapping

    from syncd.config.models import Account, OpenATSAccount, OpenTrainAccount, PublishSettings

_WAYS = ("env", "file", "command", "credential")
_FIRST_VISIBLE, _LAST_VISIBLE = "!", "~"


@overload
def resolve_token(account: OpenTrainAccount, environ: Mapping[str, str], home: Path | None = None) -> Secret: ...
@overload
def resolve_token(account: OpenATSAccount, environ: Mapping[str, str], home: Path | None = None) -> Secret | None: ...
def resolve_token(account: Account, environ: Mapping[str, str], home: Path | None = None) -> Secret | None:
    """Return the token, or None for an OpenATS account without one; AuthError names the four ways to give it."""
    try:
        text = _read(account, "token", environ)
        if text is None and SOURCES[account.source].uses_official_token:
            text = _read_official(environ, home or home_directory(environ))
        return None if text is None else Secret(_check_token(text))
    except UnavailableError as error:
        reason = "token_missing" if error.missing else "token_unusable"
        raise AuthError(f"{error}; {_four_ways(account)}", reason=reason) from None


def wants_token(account: Account) -> bool:
    """Say whether requests of this account carry a token at all."""
    return SOURCES[account.source].uses_official_token or any(
        getattr(account, f"token_{way}") is not None for way in _WAYS
    )


def resolve_headers(account: OpenATSAccount, environ: Mapping[str, str]) -> dict[str, Secret]:
    """Return the headers a proxy wants, their values read from where `env:` and `file:` point."""
    return {name: _resolve_header(account, name, place, environ) for name, place in account.headers.items()}


def resolve_password(publish: PublishSettings, environ: Mapping[str, str]) -> Secret | None:
    """Return the password of the PostgreSQL database, or None when the settings name none."""
    try:
        text = _read(publish, "password", environ)
        return None if text is None else Secret(_check_line(text.rstrip("\r\n"), "the password"))
    except UnavailableError as error:
        raise ConfigError(f"publish: {error}; check the password_ key of [publish]") from None


def token_warnings(account: Account) -> list[str]:
    """Return what should be put right about where the token lies, though it works."""
    path = account.token_file
    if path is None or not is_readable_by_all(path):
        return []
    return [f"account {account.name}: every user of this machine can read {path}; chmod 600 it"]


def _read(settings: Account | PublishSettings, prefix: str, environ: Mapping[str, str]) -> str | None:
    """Return the text of the one place that the settings name, None when they name none."""
    variable, path, command, credential = (getattr(settings, f"{prefix}_{way}") for way in _WAYS)
    if variable is not None:
        return read_variable(variable, environ, f"{prefix}_env")
    if path is not None:
        return read_secret_file(path, f"{prefix}_file")
    if command is not None:
        return read_command(command, environ, f"{prefix}_command")
    return read_credential(credential, environ, f"{prefix}_credential") if credential is not None else None


def _read_official(environ: Mapping[str, str], home: Path | None) -> str:
    """Return the token that the official tools would take."""
    for name in TOKEN_VARIABLES:
        if text := environ.get(name):
            return text
    path = credentials_path(environ, home)
    nowhere = f"there is no token in {' or '.join(TOKEN_VARIABLES)}" + (f", nor in {path}" if path else "")
    if path is None:
        raise UnavailableError(nowhere, missing=True)
    try:
        text = read_credentials(path).get("apiToken")
    except FileNotFoundError:
        raise UnavailableError(nowhere, missing=True) from None
    except ForeignFileError:
        raise UnavailableError(f"{path} is no regular file") from None
    except OSError as error:
        raise UnavailableError(f"the file {path} can't be read ({error.strerror})") from None
    except ValueError:
        raise UnavailableError(f"the file {path} is no JSON object") from None
    if not isinstance(text, str):
        raise UnavailableError(nowhere, missing=True)
    return text


def _resolve_header(account: Account, name: str, place: str, environ: Mapping[str, str]) -> Secret:
    kind, _, rest = place.partition(":")
    try:
        text = read_variable(rest, environ, "its value") if kind == "env" else read_secret_file(Path(rest), "its value")
        return Secret(_check_header_value(text))
    except UnavailableError as error:
        reason = "header_missing" if error.missing else "header_unusable"
        raise AuthError(f"header {name}: {error}; check headers in [accounts.{account.name}]", reason=reason) from None


def _check_header_value(text: str) -> str:
    value = _check_line(text.strip(), "the value")
    if not value.isascii():
        raise UnavailableError("the value holds letters that a header can't carry")
    return value


def _check_token(text: str) -> str:
    token = _check_line(text.strip(), "the token")
    if token.lower().startswith("bearer "):
        raise UnavailableError('the token begins with "Bearer "; leave that word out')
    if not all(_FIRST_VISIBLE <= letter <= _LAST_VISIBLE for letter in token):
        raise UnavailableError("the token holds a space or a letter that no token has; copy it again")
    return token


def _check_line(text: str, what: str) -> str:
    if not text:
        raise UnavailableError(f"{what} is empty", missing=True)
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        raise UnavailableError(f"{what} has more than one line or a control character in it; copy it again")
    return text


def _four_ways(account: Account) -> str:
    ways = f"token_env, token_file, token_command or token_credential in [accounts.{account.name}]"
    official = SOURCES[account.source].uses_official_token and all(
        getattr(account, f"token_{way}") is None for way in _WAYS
    )
    return f"set {TOKEN_VARIABLES[0]}, or give it by {ways}" if official else f"give it by {ways}"
