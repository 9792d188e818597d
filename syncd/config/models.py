"""The settings: every key of the configuration, its type, its bounds, its default and its one spelling."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from syncd.config.places import expand
from syncd.core.sources import OPENATS, OPENTRAIN, SOURCES
from syncd.core.times import parse_duration

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PUBLIC_API_PATH = "/api/public/v1"
_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(\.(?!-)[\w-]{1,63}(?<!-))*\.?")


def normalise_origin(url: str) -> str:
    """Return an OpenTrain address as `https://host[:port]`; ValueError says what would be right."""
    parts = _split_http(url)
    path = parts.path.rstrip("/")
    if path not in ("", _PUBLIC_API_PATH):
        raise ValueError(f"must be the origin only, such as {_origin(parts)}; leave out the path {parts.path}")
    return _origin(parts)


def normalise_api_base(url: str) -> str:
    """Return an OpenATS address up to and including `/api`; ValueError says what would be right."""
    parts = _split_http(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/api"):
        raise ValueError(f"must go up to and including /api, such as {_origin(parts)}/api")
    return _origin(parts) + path


def check_http_url(url: str) -> str:
    """Return an http(s) address as it is, once it is known to be one."""
    _split_http(url, bare=False)
    return url


def sends_in_the_clear(url: str) -> bool:
    """Say whether what is sent to `url` could be read on the way: http, and not to this machine itself."""
    parts = urlsplit(url)
    return parts.scheme.lower() == "http" and not _is_loopback(parts.hostname or "")


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:9464` or `[::1]:9464`; ValueError says what would be right."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _is_ip(host)
    else:
        known = _HOST_NAME.fullmatch(host) is not None
    if not known or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:  # noqa: PLR2004 - the highest port
        raise ValueError('must be an address and a port, such as "127.0.0.1:9464"')
    return host, int(port)


def _split_http(url: str, *, bare: bool = True) -> SplitResult:
    """Take an address apart; `bare` ones have no query."""
    if not url.isprintable() or " " in url:  # urlsplit would drop some of these silently
        raise ValueError("must be an address without spaces or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("must be an address with a valid host and port") from error
    if parts.scheme not in _DEFAULT_PORTS or not _is_host(parts.hostname or "") or port == 0:
        raise ValueError("must be an address such as https://host or http://host:8080")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if bare and (parts.query or parts.fragment):
        raise ValueError("must not hold a query or a fragment (? or #)")
    return parts


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _is_host(host: str) -> bool:
    return _is_ip(host) if ":" in host else _HOST_NAME.fullmatch(host) is not None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


# The types of single settings: what a text has to look like and what becomes of it.


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
    if _TOKEN_PREFIX in value:
        raise ValueError("must be the path of a file that holds the token, not the token itself")
    context: dict[str, Any] = info.context or {}
    return expand(value, context.get("base"), context.get("home"))


def _parse_command(value: Any) -> tuple[str, ...]:
    words = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ValueError('must be a list of words, such as ["pass", "opentrain"]')
    if words[0].startswith(_TOKEN_PREFIX):
        raise ValueError("must be a command that prints the token, without the token itself")
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
    if _TOKEN_PREFIX in rest:
        mistakes.append(f"the value of {name!r} must name the place of a token, not be the token itself")
    elif kind not in ("env", "file") or not rest or (kind == "env" and not _VARIABLE.fullmatch(rest)):
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


# The settings: every key of the configuration, its type, its bounds and its default.


DEFAULT_ORIGIN = "https://app.opentrain.ai"
_DEFAULT_API_BASE = "http://localhost:8080/api"
_DEFAULT_OVERDUE = 4 * 3600
_POLL, _IDLE, _SHORTEST, _DAY = 15, 60, 0.1, 86_400


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True, populate_by_name=True
    )


class StoreSettings(_Section):
    """Where the database lies, who may read it and how long it keeps messages; 0 days: for ever."""

    path: FilePath | None = None
    group_read: bool = False
    retention_days: int = Field(default=0, ge=0, le=36_500)


class _AccountSettings(_Section):
    """What both sources share; times are in seconds where the name does not say another unit."""

    name: AccountName
    token_env: VariableName | None = None
    token_file: FilePath | None = None
    token_command: Command | None = None
    token_credential: CredentialName | None = None
    allow_http: bool = False
    poll_seconds: float = Field(default=_POLL, ge=_SHORTEST, le=_DAY)
    idle_seconds: float = Field(
        default_factory=lambda data: max(_IDLE, data.get("poll_seconds", 0)), ge=_SHORTEST, le=_DAY
    )
    concurrency: int = Field(default=8, ge=1, le=64)
    reconcile_hours: float = Field(default=24, ge=0.01, le=8_760)
    overdue_after: Overdue = _DEFAULT_OVERDUE

    @model_validator(mode="before")
    @classmethod
    def _poll_no_slower_than_idle(cls, table: Any) -> Any:
        """Let a short `idle_seconds` alone shorten `poll_seconds` too, which is never the longer of the two."""
        idle = table.get("idle_seconds") if isinstance(table, Mapping) and "poll_seconds" not in table else None
        if not isinstance(idle, (int, float)) or isinstance(idle, bool):
            return table
        return {**table, "poll_seconds": max(_SHORTEST, min(_POLL, idle))}


class OpenTrainAccount(_AccountSettings):
    """One OpenTrain inbox; `base_url` is the origin, without the API's path."""

    source: Literal["opentrain"]
    base_url: Annotated[str, AfterValidator(normalise_origin)] = DEFAULT_ORIGIN
    proposals: Literal["conversations", "all"] = "conversations"


class OpenATSAccount(_AccountSettings):
    """One OpenATS server; `base_url` goes up to and including `/api`, header values are still `env:` or `file:`."""

    source: Literal["openats"]
    base_url: Annotated[str, AfterValidator(normalise_api_base)] = _DEFAULT_API_BASE
    jobs: Ids = "all"
    candidates: Ids = "all"
    headers: Headers = Field(default_factory=lambda: MappingProxyType({}))


class LogSettings(_Section):
    """How much is logged and in which form; `auto` is JSON when the output is no terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class MetricsSettings(_Section):
    """Where the metrics are served."""

    listen: Listen

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        return parse_listen(self.listen)


class HeartbeatSettings(_Section):
    """The address that is asked for while all is well; it often is a secret itself, so it is not shown."""

    url: HttpUrl = Field(repr=False)


class PublishSettings(_Section):
    """The PostgreSQL database that reports read, and the schema in it; the password is never in the address."""

    url: str
    schema_name: SchemaName = Field(default="syncd", alias="schema")
    password_env: VariableName | None = None
    password_file: FilePath | None = None
    password_command: Command | None = None
    password_credential: CredentialName | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("must be an address such as postgresql://syncd@db/reports") from None
        if parts.scheme not in ("postgresql", "postgres") or not text.isprintable() or " " in text:
            raise ValueError("must be an address such as postgresql://syncd@db/reports")
        if parts.password is not None or "password=" in parts.query:
            raise ValueError("must not hold the password; give it with password_env, _file, _command or _credential")
        return text


def account_source(table: Any) -> str:
    """Return the source whose keys an account's table is held against, also when `source` is missing or misspelled."""
    source = table.get("source") if isinstance(table, Mapping) else getattr(table, "source", None)
    close = get_close_matches(source, SOURCES, n=1) if isinstance(source, str) else []
    if close:
        return close[0]
    usual, *others = ACCOUNT_MODELS
    keys = table.keys() if isinstance(table, Mapping) else set()
    return next((name for name in others if _own_keys(ACCOUNT_MODELS[name]) & keys), usual)


def _own_keys(model: type[BaseModel]) -> set[str]:
    """The keys that the other sources' accounts don't have."""
    others = (one for one in ACCOUNT_MODELS.values() if one is not model)
    return model.model_fields.keys() - set().union(*(one.model_fields for one in others))


Account = OpenTrainAccount | OpenATSAccount
_AnyAccount = Annotated[
    Annotated[OpenTrainAccount, Tag("opentrain")] | Annotated[OpenATSAccount, Tag("openats")],
    Discriminator(account_source),
]
ACCOUNT_MODELS: Mapping[str, type[Account]] = {OPENTRAIN.name: OpenTrainAccount, OPENATS.name: OpenATSAccount}


class ConfigFile(_Section):
    """The whole file, as it is written."""

    store: StoreSettings = Field(default_factory=StoreSettings)
    accounts: dict[str, _AnyAccount] = Field(default_factory=dict)
    log: LogSettings = Field(default_factory=LogSettings)
    metrics: MetricsSettings | None = None
    heartbeat: HeartbeatSettings | None = None
    publish: PublishSettings | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured; `config_file` is None when the environment alone says it."""

    config_file: Path | None
    db_path: Path
    store: StoreSettings
    accounts: Mapping[str, Account]
    log: LogSettings
    metrics: MetricsSettings | None
    heartbeat: HeartbeatSettings | None
    publish: PublishSettings | None
    warnings: tuple[str, ...] = ()
