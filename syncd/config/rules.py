"""What no single key can say: rules between keys, checked on the raw tables so that every mistake is found at once."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from syncd.config.models import account_source
from syncd.config.urls import sends_in_the_clear

Key = tuple[str, ...]
Mistake = tuple[Key, str]
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
    return account_source(table) == "opentrain" and not token_keys(table)


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
    secret = account_source(table) == "opentrain" or bool(token_keys(table)) or bool(table.get("headers"))
    if not isinstance(url, str) or not secret or table.get("allow_http") is True:
        return False
    try:
        return sends_in_the_clear(url)
    except ValueError:
        return False
