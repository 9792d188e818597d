"""Where the official OpenTrain tools keep token and address; syncd reads them as a guest and never writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from syncd.config.places import config_home

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
    except (OSError, ValueError):
        return None  # whoever takes the token from it says what is wrong with the file
    return (stored, str(path)) if isinstance(stored, str) and stored else None


def credentials_path(environ: Mapping[str, str], home: Path | None) -> Path | None:
    """Return where the official command line writes its credentials, or None for a user without a home."""
    directory = config_home(environ, home)
    return directory / "opentrain" / "cli.json" if directory else None


def read_credentials(path: Path) -> dict[str, Any]:
    """Return what the credentials file holds; OSError when it can't be read, ValueError when it is no JSON object."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:  # a ValueError itself only in newer versions
        raise ValueError("is no JSON object") from error
