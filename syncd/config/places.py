"""Where configuration and database are looked for; imports nothing heavy, so that a reading command starts quickly."""

import os
import pwd
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from syncd.errors import ConfigError, UsageError
from syncd.files import ForeignFileError, open_regular

SERVICE_DB = Path("/var/lib/syncd/syncd.db")
SYSTEM_CONFIG = Path("/etc/syncd/config.toml")


def find_config(config_path: Path | None, environ: Mapping[str, str], home: Path | None = None) -> Path | None:
    """Return the configuration file to read, or None when there is none; one that was named must exist."""
    named = _named_config(config_path, environ)
    if named is not None:
        return named
    return next((place for place in config_places(environ, home) if _exists(place)), None)


def config_places(environ: Mapping[str, str], home: Path | None = None) -> tuple[Path, ...]:
    """Return the places of a configuration file, in the order in which they are tried."""
    service = first_directory(environ, "CONFIGURATION_DIRECTORY")
    user = config_home(environ, home)
    places = (service and service / "config.toml", user and user / "syncd" / "config.toml", SYSTEM_CONFIG)
    return tuple(place for place in places if place is not None)


def init_path(environ: Mapping[str, str], home: Path | None = None) -> Path:
    """Return where a new configuration goes: the file that would be read, else the user's own place."""
    named = environ.get("SYNCD_CONFIG")
    return Path(named) if named else config_places(environ, home)[0]


def default_db_path(environ: Mapping[str, str], home: Path | None = None) -> Path:
    """Return where the database lies when nothing says so: the service's state directory, else the user's."""
    places = _default_db_paths(environ, home)
    if not places:
        raise ConfigError("there is no home directory for the database: say where it goes with --db or store.path")
    return places[0]


def reading_db_candidates(
    db: Path | None, config_path: Path | None, environ: Mapping[str, str], home: Path | None = None
) -> tuple[Path, ...]:
    """Return the places where a reading command looks for the database, in order; `db` alone when it is given.

    A configuration that this user may not read is passed over, unless it was named.
    """
    if db is not None:
        return (db,)
    configured = _configured_db_path(config_path, environ, home)
    places = (*((configured,) if configured else ()), *_default_db_paths(environ, home), SERVICE_DB)
    return tuple(dict.fromkeys(places))


def config_home(environ: Mapping[str, str], home: Path | None = None) -> Path | None:
    """Return the user's configuration directory, or None for a user without a home."""
    return _xdg(environ, "XDG_CONFIG_HOME", home, ".config")


def home_directory(environ: Mapping[str, str]) -> Path | None:
    """Return the user's home from the environment or the user database, or None."""
    named = environ.get("HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def first_directory(environ: Mapping[str, str], name: str) -> Path | None:
    """Return the first directory of a variable that systemd sets; several are separated by colons."""
    first = environ.get(name, "").split(":")[0]
    return Path(first) if first else None


def expand(text: str, base: Path | None, home: Path | None) -> Path:
    """Return a path of the configuration: `~/` is the home, a relative one starts at the file's own directory."""
    if home is not None and (text == "~" or text.startswith("~/")):
        return home / text[2:]
    return (base or Path.cwd()) / text


def _named_config(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = environ.get("SYNCD_CONFIG")
    path = config_path or (Path(named) if named else None)
    if path is not None and not _exists(path):
        origin = "--config" if config_path else "$SYNCD_CONFIG"
        raise ConfigError(f"{path}: there is no such file, but {origin} names it; `syncd init` writes one")
    return path


def _configured_db_path(config_path: Path | None, environ: Mapping[str, str], home: Path | None) -> Path | None:
    path = find_config(config_path, environ, home)
    if path is None:
        return None
    try:
        store = read_toml(path).get("store", {})
    except UnreadableError:
        if _named_config(config_path, environ) is not None:
            raise
        return None
    text = store.get("path") if isinstance(store, dict) else None
    return expand(text, path.absolute().parent, home or home_directory(environ)) if isinstance(text, str) else None


def _default_db_paths(environ: Mapping[str, str], home: Path | None) -> tuple[Path, ...]:
    service = first_directory(environ, "STATE_DIRECTORY")
    user = _xdg(environ, "XDG_STATE_HOME", home, ".local/state")
    places = (service and service / "syncd.db", user and user / "syncd" / "syncd.db")
    return tuple(place for place in places if place is not None)


def _xdg(environ: Mapping[str, str], name: str, home: Path | None, default: str) -> Path | None:
    """Return an XDG base directory; the specification says to ignore a relative one."""
    named = Path(environ.get(name, ""))
    if named.is_absolute():
        return named
    home = home or home_directory(environ)
    return home / default if home is not None else None


def _exists(path: Path) -> bool:
    """Say whether a file is there, also when this user may not look into its directory."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


# One TOML file, read with errors that name the file and the line.


class UnreadableError(ConfigError):
    """The file is there, and this user can't read it."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the file's tables; ConfigError names the file, and the line where it is no TOML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path}: can't be read ({error.strerror}); check the file and who may read it") from None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))  # editors on Windows put a mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:  # beside TOMLDecodeError: a number of 5,000 digits, endless brackets
        end = f"at the end, line {len(content.splitlines())}"
        words = " ".join(str(error).split()).replace("at end of document", end)
        raise ConfigError(f"{path}: is no valid TOML: {words}") from None


def find_secret_variables(config_path: Path | None, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the environment variables that hold a token, a header's value, an address or a password.

    They are the official tools' and those that the configuration names, unless this user may not read it.
    """
    path = find_config(config_path, environ)
    try:
        tables = read_toml(path) if path is not None else {}
    except UnreadableError:
        tables = {}
    return frozenset(TOKEN_VARIABLES).union(_named_variables(tables))


def _named_variables(value: Any, key: str = "") -> Iterator[str]:
    """Yield what any `…_env` key names, and any value that begins with `env:`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _named_variables(item, name)
    elif isinstance(value, str) and key.endswith("_env"):
        yield value
    elif isinstance(value, str) and value.startswith("env:"):
        yield value.removeprefix("env:")


# Accounts as people name them.


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError for names that are no account's, naming those that are."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"no account is named {', '.join(unknown)}; configured are {', '.join(known)}")


# Where the official OpenTrain tools keep token and address; syncd reads them as a guest and never writes.


TOKEN_VARIABLES = ("OT_API_TOKEN", "OPENTRAIN_API_TOKEN")
_BASE_URL_VARIABLES = ("OT_API_BASE_URL", "OPENTRAIN_API_BASE_URL")


def find_official_base_url(environ: Mapping[str, str], home: Path | None) -> tuple[str, str] | None:
    """Return the address that is set for the official tools and the name of the place it was found at, or None."""
    for name in _BASE_URL_VARIABLES:
        if text := environ.get(name, "").strip():
            return text, name
    path = credentials_path(environ, home)
    try:
        stored = read_credentials(path).get("baseUrl") if path else None
    except (OSError, ValueError, ForeignFileError):
        return None  # whoever takes the token from it says what is wrong with the file
    return (stored, str(path)) if isinstance(stored, str) and stored else None


def credentials_path(environ: Mapping[str, str], home: Path | None) -> Path | None:
    """Return where the official command line writes its credentials, or None for a user without a home."""
    directory = config_home(environ, home)
    return directory / "opentrain" / "cli.json" if directory else None


def read_credentials(path: Path) -> dict[str, Any]:
    """Return what the credentials file holds.

    Raises OSError when it can't be read, ForeignFileError when it is no regular file, ValueError when no JSON object.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY, follow=True), "rb") as file:
        content = file.read()
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.MsgspecError as error:  # a ValueError itself only in newer versions
        raise ValueError("is no JSON object") from error
