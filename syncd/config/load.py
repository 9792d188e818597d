"""Reads the configuration and checks it as a whole: either settings that hold, or every mistake in one message."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from syncd.config.credentials import token_warnings
from syncd.config.mistakes import find_shape_mistakes, render_mistakes
from syncd.config.models import ConfigFile, Settings
from syncd.config.official import find_official_base_url
from syncd.config.places import default_db_path, find_config, home_directory
from syncd.config.rules import Mistake, find_rule_mistakes, uses_official_token
from syncd.config.toml_file import read_toml
from syncd.errors import ConfigError

_WITHOUT_FILE: Mapping[str, Any] = {"accounts": {"opentrain": {"source": "opentrain"}}}


def load(
    config_path: Path | None, environ: Mapping[str, str], home: Path | None = None, db: Path | None = None
) -> Settings:
    """Return the settings of the file that is found, or of the environment alone; `db` wins over `store.path`."""
    home = home or home_directory(environ)
    path = find_config(config_path, environ, home)
    tables = read_toml(path) if path else _WITHOUT_FILE
    base = path.absolute().parent if path else None
    checked = _check(str(path or "environment"), tables, find_official_base_url(environ, home), base, home)
    warnings = [line for account in checked.accounts.values() for line in token_warnings(account)]
    return Settings(
        config_file=path,
        db_path=db or checked.store.path or default_db_path(environ, home),
        store=checked.store,
        accounts=MappingProxyType(checked.accounts),
        log=checked.log,
        metrics=checked.metrics,
        heartbeat=checked.heartbeat,
        publish=checked.publish,
        warnings=tuple(warnings),
    )


def _check(
    label: str, tables: Mapping[str, Any], official: tuple[str, str] | None, base: Path | None, home: Path | None
) -> ConfigFile:
    """Validate one file's tables, with the official tools' address where an account takes their token."""
    addressed = _each_account(tables, lambda _, table: _fill_address(table, official))
    named = _each_account(addressed, lambda name, table: {**table, "name": name})
    mistakes = list(find_rule_mistakes(addressed))
    try:
        checked = ConfigFile.model_validate(named, context={"base": base, "home": home})
    except ValidationError as error:
        mistakes += find_shape_mistakes(named, error)
    if mistakes:
        raise ConfigError(render_mistakes(label, [_name_origin(mistake, tables, official) for mistake in mistakes]))
    return checked


def _each_account(tables: Mapping[str, Any], change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return a copy of the tables with every account changed; what is no table stays for the validation to refuse."""
    accounts = tables.get("accounts")
    if not isinstance(accounts, dict):
        return dict(tables)
    changed = {name: change(name, table) if isinstance(table, dict) else table for name, table in accounts.items()}
    return {**tables, "accounts": changed}


def _fill_address(table: dict[str, Any], official: tuple[str, str] | None) -> dict[str, Any]:
    if official is None or "base_url" in table or not uses_official_token(table):
        return table
    return {**table, "base_url": official[0]}


def _name_origin(mistake: Mistake, tables: Mapping[str, Any], official: tuple[str, str] | None) -> Mistake:
    """Add to a mistake in an address that is not in the file where it came from."""
    key, text = mistake
    if official is None or key[:1] != ("accounts",) or key[2:] != ("base_url",):
        return mistake
    given = "base_url" in tables["accounts"][key[1]]
    return mistake if given else (key, f"{text}; the address comes from {official[1]}")
