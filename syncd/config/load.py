"""What no single key can say: rules between keys, checked on the raw tables so that every mistake is found at once."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

from pydantic import ValidationError

from syncd.config.credentials import token_warnings
from syncd.config.messages import Key, Mistake, find_shape_mistakes, render_mistakes
from syncd.config.models import ConfigFile, Settings, account_source, sends_in_the_clear
from syncd.config.places import default_db_path, find_config, find_official_base_url, home_directory, read_toml
from syncd.core.sources import SOURCES
from syncd.errors import ConfigError

_WAYS = ("env", "file", "command", "credential")


def token_keys(table: Mapping[str, Any], prefix: str = "token") -> list[str]:
    """Return the keys of `table` that say where the token (or the password) is."""
    return [key for way in _WAYS if (key := f"{prefix}_{way}") in table]


def find_rule_mistakes(tables: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the mistakes between the keys of one file."""
    accounts = tables.get("accounts", {})
    if isinstance(accounts, Mapping):
        yield from _account_list_mistakes(accounts)
        for name, table in accounts.items():
            if isinstance(table, Mapping):
                yield from _account_mistakes(("accounts", name), table)
    publish = tables.get("publish")
    if isinstance(publish, Mapping):
        yield from _one_way(("publish",), publish, "password")


def _account_list_mistakes(accounts: Mapping[str, Any]) -> Iterator[Mistake]:
    if not accounts:
        yield ("accounts",), 'there is no account; add a table [accounts.NAME] with source = "opentrain" and token_env'
    shared = [name for name, table in accounts.items() if isinstance(table, Mapping) and uses_official_token(table)]
    for name in shared[1:]:
        taken = f"has no token of its own, and {shared[0]} takes the official tool's already"
        yield ("accounts", name), f"{taken}; add token_env, token_file, token_command or token_credential"


def uses_official_token(table: Mapping[str, Any]) -> bool:
    """Say whether an account takes its token as the official tools do, since no key says otherwise."""
    return SOURCES[account_source(table)].uses_official_token and not token_keys(table)


def _account_mistakes(key: Key, table: Mapping[str, Any]) -> Iterator[Mistake]:
    if "name" in table:
        yield (*key, "name"), "unknown key; an account's name is that of its table"
    yield from _one_way(key, table, "token")
    yield from _cadence_mistakes(key, table)
    if _travels_in_the_clear(table):
        yield (
            (*key, "base_url"),
            "must be https://, or the token could be read on the way (allow_http = true permits it)",
        )
    headers = table.get("headers")
    if isinstance(headers, Mapping) and token_keys(table) and any(name.lower() == "authorization" for name in headers):
        yield (*key, "headers"), "must not set Authorization beside a token"
    if table.get("jobs") == [] and table.get("candidates") == []:
        yield (*key, "jobs"), 'is as empty as candidates: nothing would be mirrored; name some or write "all"'


def _one_way(key: Key, table: Mapping[str, Any], prefix: str) -> Iterator[Mistake]:
    given = token_keys(table, prefix)
    if len(given) > 1:
        yield (*key, given[1]), f"only one of {', '.join(given)} may be given"


def _cadence_mistakes(key: Key, table: Mapping[str, Any]) -> Iterator[Mistake]:
    poll, idle = table.get("poll_seconds"), table.get("idle_seconds")
    if _is_number(poll) and _is_number(idle) and idle < poll:
        yield (*key, "idle_seconds"), f"must not be less than poll_seconds ({poll})"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _travels_in_the_clear(table: Mapping[str, Any]) -> bool:
    url = table.get("base_url")
    secret = SOURCES[account_source(table)].uses_official_token or bool(token_keys(table)) or bool(table.get("headers"))
    if not isinstance(url, str) or not secret or table.get("allow_http") is True:
        return False
    try:
        return sends_in_the_clear(url)
    except ValueError:
        return False


# The commented configuration that `syncd init` writes.


_NAME = "config.example.toml"


def example_text() -> str:
    """Return the example: beside this module in an installed syncd, at the top of the tree in a checkout."""
    here = Path(__file__).parent
    installed = here / _NAME
    return (installed if installed.exists() else here.parent.parent / _NAME).read_text(encoding="utf-8")


# Reads the configuration and checks it as a whole: either settings that hold, or every mistake in one message.


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
        # the file itself: whoever holds it goes on with it, though a link to it is turned meanwhile
        db_path=Path(os.path.realpath(db or checked.store.path or default_db_path(environ, home))),
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
