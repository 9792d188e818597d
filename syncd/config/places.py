"""Where the configuration and the database are looked for; cheap to import, for reading commands."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from syncd.config.toml_file import UnreadableError, read_toml
from syncd.errors import ConfigError

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
