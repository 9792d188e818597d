"""Turns what a validation found into words: which key, what is wrong, what would be right."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from syncd.config.models import ACCOUNT_MODELS, ConfigFile, account_source
from syncd.core.sources import SOURCES

Key = tuple[str, ...]

Mistake = tuple[Key, str]


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_KEY = re.compile(r"(api_?)?(token|password|key|secret)", re.IGNORECASE)
_TOKEN = re.compile(r"ot_pat_\w*")
_LONGEST_SHOWN = 60
_SOURCES = " or ".join(f'"{name}"' for name in SOURCES)
_EXPECTED = {
    "bool_type": "must be true or false",
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
}
_EXAMPLES = {
    "source": f"; write source = {_SOURCES}",
    "listen": '; write an address and a port, such as "127.0.0.1:9464"',
    "url": "; write the address, or leave out the table",
}
_NOT_OURS = "default_factory_not_called"  # the mistake that kept it from being called is reported itself


def find_shape_mistakes(tables: Mapping[str, Any], error: ValidationError) -> Iterator[Mistake]:
    """Yield what is wrong with single keys: unknown, missing, of a wrong type or of an impossible value."""
    for found in error.errors(include_url=False):
        if found["type"] != _NOT_OURS:
            key = _key_of(found["loc"])
            yield key, _describe(found["type"], found.get("ctx", {}), found.get("input"), key, tables)


def render_mistakes(label: str, mistakes: Iterable[Mistake]) -> str:
    """Return all mistakes of one file as one line."""
    lines = [f"{render_key(key)} {text}" for key, text in sorted(set(mistakes))]
    count = f"{len(lines)} mistakes: " if len(lines) > 1 else ""
    return f"{label}: {count}{'; '.join(lines)}"


def render_key(key: Key) -> str:
    """Return a key as it is written in TOML, parts quoted where they must be."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else repr(part) for part in key) + ":"


def _key_of(loc: tuple[str | int, ...]) -> Key:
    parts = tuple(str(part) for part in loc)
    if parts[0] == "accounts" and len(parts) > 2:  # noqa: PLR2004 - accounts, name, then the union's tag
        parts = (*parts[:2], *parts[3:])
        return parts[:2] if parts[2:] == ("name",) else parts
    return parts


def _describe(kind: str, context: dict[str, Any], value: Any, key: Key, tables: Mapping[str, Any]) -> str:
    match kind:
        case "extra_forbidden":
            return _describe_unknown(key, tables)
        case "missing":
            return f"is missing{_EXAMPLES.get(key[-1], '')}"
        case "value_error":
            return str(context["error"])
        case "literal_error" if key[-1] == "source":
            return f"must be {_SOURCES}, not {_show(value)}"
    return f"{_expected(kind, context)}, not {_show(value)}"


def _expected(kind: str, context: dict[str, Any]) -> str:
    match kind:
        case "literal_error":
            return f"must be {context['expected'].replace(chr(39), chr(34))}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
    return _EXPECTED.get(kind, "must be of another kind")


def _describe_unknown(key: Key, tables: Mapping[str, Any]) -> str:
    name, known = key[-1], _known_keys(key[:-1], tables)
    if key[0] == "accounts":
        for source, model in ACCOUNT_MODELS.items():
            if name in _keys(model) and name not in known:
                return f'is a key of accounts with source = "{source}" only'
    if _SECRET_KEY.fullmatch(name):
        ways = [other for other in known if other.endswith(("_env", "_file", "_command", "_credential"))]
        if ways:
            return f"unknown key; a secret is not written here, use {', '.join(ways)}"
    if close := get_close_matches(name, known, n=1):
        return f"unknown key; did you mean {close[0]}?"
    return f"unknown key; known are {', '.join(known)}"


def _known_keys(table: Key, tables: Mapping[str, Any]) -> list[str]:
    """Return the keys that the table named `table` may have."""
    model: Any = ConfigFile
    if len(table) > 1 and table[0] == "accounts":
        model = ACCOUNT_MODELS[account_source(tables["accounts"][table[1]])]
    elif table:
        model = ConfigFile.model_fields[table[0]].annotation
    if isinstance(model, UnionType):
        model = next(part for part in get_args(model) if part is not type(None))
    return _keys(model)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if name != "name"]


def _show(value: Any) -> str:
    """Return a value for a message: short, in one line, and never a token."""
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    text = "".join(letter if letter.isprintable() else "?" for letter in _TOKEN.sub("***", text))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
