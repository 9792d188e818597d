"""One TOML file, read with errors that name the file and the line."""

import tomllib
from pathlib import Path
from typing import Any

from syncd.errors import ConfigError


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
