"""The settings: every key of the configuration, its type, its bounds and its default."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from syncd.config.fields import (
    AccountName,
    Command,
    CredentialName,
    FilePath,
    Headers,
    HttpUrl,
    Ids,
    Listen,
    Overdue,
    SchemaName,
    VariableName,
)
from syncd.config.urls import normalise_api_base, normalise_origin, parse_listen

DEFAULT_ORIGIN = "https://app.opentrain.ai"
_DEFAULT_API_BASE = "http://localhost:8080/api"
_DEFAULT_OVERDUE = 4 * 3600
_POLL, _IDLE, _SHORTEST, _DAY = 15, 60, 0.1, 86_400
SOURCES = ("opentrain", "openats")
_OPENATS_ONLY = ("jobs", "candidates", "headers")


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
    return "openats" if isinstance(table, Mapping) and any(key in table for key in _OPENATS_ONLY) else "opentrain"


Account = OpenTrainAccount | OpenATSAccount
_AnyAccount = Annotated[
    Annotated[OpenTrainAccount, Tag("opentrain")] | Annotated[OpenATSAccount, Tag("openats")],
    Discriminator(account_source),
]
ACCOUNT_MODELS: Mapping[str, type[Account]] = {"opentrain": OpenTrainAccount, "openats": OpenATSAccount}


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
