"""The types of single settings: what a text has to look like and what becomes of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, PlainValidator, ValidationInfo

from syncd.config.places import expand
from syncd.config.urls import check_http_url, parse_listen
from syncd.core.durations import parse_duration

_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_@:-][A-Za-z0-9_.@:-]{0,254}")
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = {"connection", "content-length", "content-type", "host", "transfer-encoding"}
_TOKEN_PREFIX = "ot_pat_"  # noqa: S105 - how a token begins is no secret
_NO_HEADERS = 'must be a table, such as { X-Proxy-Key = "env:ATS_KEY" }'
_HIGHEST_ID = 2**63 - 1


def _check_account_name(text: str) -> str:
    if not _ACCOUNT_NAME.fullmatch(text):
        raise ValueError(
            "an account's name is up to 64 letters, digits, dots, - and _, beginning with a letter or digit"
        )
    return text


def _check_variable(text: str) -> str:
    if text.startswith(_TOKEN_PREFIX):
        raise ValueError("must be the name of a variable, not the token itself")
    if not _VARIABLE.fullmatch(text):
        raise ValueError('must be the name of an environment variable, such as "OT_API_TOKEN"')
    return text


def _check_credential(text: str) -> str:
    if text.startswith(_TOKEN_PREFIX) or not _CREDENTIAL.fullmatch(text):
        raise ValueError('must be the name of a systemd credential, such as "opentrain-token"')
    return text


def _check_schema(text: str) -> str:
    if not _SCHEMA.fullmatch(text):
        raise ValueError(
            "must be a PostgreSQL name of lower-case letters, digits and _, not beginning with a digit or pg_"
        )
    return text


def _check_listen(text: str) -> str:
    parse_listen(text)
    return text


def _parse_path(value: Any, info: ValidationInfo) -> Path:
    """Return an absolute path; the file's directory and the home come in the validation's context."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ValueError("must be a path, in quotes")
    context: dict[str, Any] = info.context or {}
    return expand(value, context.get("base"), context.get("home"))


def _parse_command(value: Any) -> tuple[str, ...]:
    words = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ValueError('must be a list of words, such as ["pass", "opentrain"]')
    return words


def _parse_ids(value: Any) -> Literal["all"] | tuple[int, ...]:
    if value == "all":
        return "all"
    if not isinstance(value, (list, tuple)) or not all(_is_id(item) for item in value):
        raise ValueError('must be "all" or a list of ids, such as [5, 9]')
    return tuple(dict.fromkeys(value))


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _HIGHEST_ID


def _parse_overdue(value: Any) -> int:
    if isinstance(value, str):
        return round(parse_duration(value))
    raise ValueError('must be a duration in quotes, such as "4h", or "0" for never')


def _parse_headers(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(_NO_HEADERS)  # noqa: TRY004 - pydantic collects ValueErrors only
    mistakes = [mistake for name, text in value.items() for mistake in _header_mistakes(name, text)]
    if mistakes:
        raise ValueError(", and ".join(mistakes))
    return MappingProxyType(dict(value))


def _header_mistakes(name: str, text: Any) -> list[str]:
    mistakes = []
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
        mistakes.append(f"{name!r} is no header that can be set here")
    kind, _, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind not in ("env", "file") or not rest or (kind == "env" and not _VARIABLE.fullmatch(rest)):
        mistakes.append(f'the value of {name!r} must be "env:VARIABLE" or "file:/path", so that it is not written here')
    return mistakes


AccountName = Annotated[str, AfterValidator(_check_account_name)]
VariableName = Annotated[str, AfterValidator(_check_variable)]
CredentialName = Annotated[str, AfterValidator(_check_credential)]
SchemaName = Annotated[str, AfterValidator(_check_schema)]
Listen = Annotated[str, AfterValidator(_check_listen)]
HttpUrl = Annotated[str, AfterValidator(check_http_url)]
FilePath = Annotated[Path, PlainValidator(_parse_path)]
Command = Annotated[tuple[str, ...], PlainValidator(_parse_command)]
Ids = Annotated[Literal["all"] | tuple[int, ...], PlainValidator(_parse_ids)]
Overdue = Annotated[int, PlainValidator(_parse_overdue)]
Headers = Annotated[Mapping[str, str], PlainValidator(_parse_headers)]
