"""Tokens, header values and passwords, from where the configuration says they are.

Asked again whenever a server refuses the last one, so a rotated token needs no restart. All of it may block: a
command is given 30 s.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, overload

from syncd.config.official import TOKEN_VARIABLES, credentials_path, read_credentials
from syncd.config.places import home_directory
from syncd.config.secret import Secret
from syncd.config.secret_places import (
    UnavailableError,
    is_readable_by_all,
    read_command,
    read_credential,
    read_secret_file,
    read_variable,
)
from syncd.errors import AuthError, ConfigError

if TYPE_CHECKING:  # reading a secret does not import pydantic
    from collections.abc import Mapping

    from syncd.config.models import Account, OpenATSAccount, OpenTrainAccount, PublishSettings

_WAYS = ("env", "file", "command", "credential")
_OFFICIAL = f"{' or '.join(TOKEN_VARIABLES)}, or the official tool's credentials file"
_FIRST_VISIBLE, _LAST_VISIBLE = "!", "~"


@overload
def resolve_token(account: OpenTrainAccount, environ: Mapping[str, str], home: Path | None = None) -> Secret: ...
@overload
def resolve_token(account: OpenATSAccount, environ: Mapping[str, str], home: Path | None = None) -> Secret | None: ...
def resolve_token(account: Account, environ: Mapping[str, str], home: Path | None = None) -> Secret | None:
    """Return the token, or None for an OpenATS account without one; AuthError names the four ways to give it."""
    try:
        text = _read(account, "token", environ)
        if text is None and account.source == "opentrain":
            text = _read_official(environ, home or home_directory(environ))
        return None if text is None else Secret(_check_token(text))
    except UnavailableError as error:
        reason = "token_missing" if error.missing else "token_unusable"
        raise AuthError(f"account {account.name}: {error}; {_four_ways(account)}", reason=reason) from None


def wants_token(account: Account) -> bool:
    """Say whether requests of this account carry a token at all."""
    return account.source == "opentrain" or any(getattr(account, f"token_{way}") is not None for way in _WAYS)


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


def describe_token_source(account: Account) -> str:
    """Return in words where the account's token comes from."""
    if account.token_env is not None:
        return f"environment variable {account.token_env}"
    if account.token_file is not None:
        return f"file {account.token_file}"
    if account.token_command is not None:
        return f"command {account.token_command[0]}"
    if account.token_credential is not None:
        return f"systemd credential {account.token_credential}"
    return _OFFICIAL if account.source == "opentrain" else "none"


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
        return read_variable(variable, environ)
    if path is not None:
        return read_secret_file(path)
    if command is not None:
        return read_command(command, environ)
    return read_credential(credential, environ) if credential is not None else None


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
        text = read_variable(rest, environ) if kind == "env" else read_secret_file(Path(rest))
        return Secret(_check_header_value(text))
    except UnavailableError as error:
        reason = "header_missing" if error.missing else "header_unusable"
        raise AuthError(f"account {account.name}: header {name}: {error}; check headers", reason=reason) from None


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
    official = account.source == "opentrain" and all(getattr(account, f"token_{way}") is None for way in _WAYS)
    return f"set {TOKEN_VARIABLES[0]}, or give it by {ways}" if official else f"give it by {ways}"
