import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from syncd.app import ADAPTERS
from syncd.config.load import load
from syncd.config.models import ACCOUNT_MODELS, OpenATSAccount, OpenTrainAccount, Settings
from syncd.core.sources import SOURCES
from syncd.errors import ConfigError

FULL = """
[store]
path = "/var/lib/syncd/syncd.db"
group_read = true
retention_days = 90
[accounts.acme]
source = "opentrain"
base_url = "https://app.opentrain.ai/"
token_env = "OT_API_TOKEN"
allow_http = false
poll_seconds = 20
idle_seconds = 61.5
concurrency = 4
reconcile_hours = 12
proposals = "all"
overdue_after = "2h"
[accounts.ats]
source = "openats"
base_url = "http://localhost:8080/api"
jobs = [5, 9, 5]
candidates = "all"
headers = { X-Proxy-Key = "env:ATS_KEY" }
[log]
level = "debug"
format = "json"
[metrics]
listen = "127.0.0.1:9464"
[heartbeat]
url = "https://example.com/ping/1"
[publish]
url = "postgresql://syncd@db/reports"
schema = "mirror"
password_command = ["pass", "pg"]
"""

Load = Callable[[str], Settings]
Refuse = Callable[[str], str]


def _account(text: str) -> str:
    return f'[accounts.acme]\nsource = "opentrain"\n{text}\n'


def test_every_key_is_read(settings: Load) -> None:
    """A file that uses every section comes back as typed settings."""
    read = settings(FULL)
    acme, ats = read.accounts["acme"], read.accounts["ats"]
    assert isinstance(acme, OpenTrainAccount)
    assert isinstance(ats, OpenATSAccount)
    assert (acme.name, acme.base_url, acme.proposals, acme.overdue_after) == (
        "acme",
        "https://app.opentrain.ai",
        "all",
        7200,
    )
    assert (acme.poll_seconds, acme.idle_seconds, acme.concurrency, acme.reconcile_hours) == (20, 61.5, 4, 12)
    assert (ats.jobs, ats.candidates, dict(ats.headers)) == ((5, 9), "all", {"X-Proxy-Key": "env:ATS_KEY"})
    assert (read.store.group_read, read.store.retention_days) == (True, 90)
    assert (read.log.level, read.log.format) == ("debug", "json")
    assert read.metrics is not None
    assert read.metrics.address == ("127.0.0.1", 9464)
    assert read.publish is not None
    assert (read.publish.schema_name, read.publish.password_command) == ("mirror", ("pass", "pg"))


def test_settings_are_frozen(settings: Load) -> None:
    """Neither a setting nor the list of accounts can be changed."""
    read = settings(FULL)
    with pytest.raises(ValidationError):
        read.log.level = "info"  # type: ignore[misc]  # the point of the test
    with pytest.raises(TypeError):
        read.accounts["new"] = read.accounts["acme"]  # type: ignore[index]  # the point of the test


def test_the_heartbeat_address_is_not_shown(settings: Load) -> None:
    """A heartbeat's address is a secret of its own and stays out of the settings' text."""
    assert "example.com" not in repr(settings(FULL))


def test_every_source_has_settings_and_an_adapter() -> None:
    """What is registered can be configured and spoken to, the usual one first, and nothing else can."""
    assert list(ACCOUNT_MODELS) == list(SOURCES)
    assert ADAPTERS.keys() == SOURCES.keys()


def test_all_mistakes_are_in_one_line(mistakes: Refuse) -> None:
    """Every mistake of a file is named in one line, whichever kind it is and wherever it stands."""
    text = """
[stor]
[store]
retention_days = -1
[accounts.acme]
source = "opentrian"
poll_secs = 3
concurrency = "many"
token_env = "A"
token_file = "b"
base_url = "http://example.com"
jobs = [1]
[accounts."a b"]
source = "openats"
proposals = "all"
jobs = [0]
[log]
level = "INFO"
[metrics]
[publish]
url = "mysql://db"
"""
    message = mistakes(text)
    assert "\n" not in message
    for part in (
        "config.toml: 14 mistakes: ",
        "stor: unknown key; did you mean store?",
        "store.retention_days: must be at least 0, not -1",
        'accounts.acme.source: must be "opentrain" or "openats", not "opentrian"',
        "accounts.acme.poll_secs: unknown key; did you mean poll_seconds?",
        'accounts.acme.concurrency: must be a whole number, not "many"',
        "accounts.acme.token_file: only one of token_env, token_file may be given",
        "accounts.acme.base_url: must be https://",
        'accounts.acme.jobs: is a key of accounts with source = "openats" only',
        "accounts.'a b': an account's name is",
        "accounts.'a b'.proposals: is a key of accounts with source = \"opentrain\" only",
        "accounts.'a b'.jobs: must be \"all\" or a list of ids, such as [5, 9]",
        'log.level: must be "debug", "info", "warning" or "error", not "INFO"',
        "metrics.listen: is missing; write an address and a port",
        "publish.url: must be an address such as postgresql://",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('proposals = "some"', 'acme.proposals: must be "conversations" or "all", not "some"'),
        ("overdue_after = 0", "acme.overdue_after: must be a duration in quotes"),
        ('overdue_after = "4x"', "acme.overdue_after: must be a duration such as"),
        ("allow_http = 1", "acme.allow_http: must be true or false, not 1"),
        ("concurrency = true", "acme.concurrency: must be a whole number, not true"),
        ("concurrency = 65", "acme.concurrency: must be at most 64, not 65"),
        ("concurrency = 1.5", "acme.concurrency: must be a whole number, not 1.5"),
        ("poll_seconds = nan", "acme.poll_seconds: must be a number, not nan"),
        ("poll_seconds = inf", "acme.poll_seconds: must be a"),
        ("poll_seconds = 0", "acme.poll_seconds: must be at least 0.1, not 0"),
        ("poll_seconds = 30\nidle_seconds = 20", "acme.idle_seconds: must not be less than poll_seconds (30)"),
        ("reconcile_hours = 0", "acme.reconcile_hours: must be at least 0.01, not 0"),
        ("token_env = 5", "acme.token_env: must be a text in quotes, not 5"),
        ('token_env = "A B"', "acme.token_env: must be the name of an environment variable"),
        ('token_command = "pass x"', "acme.token_command: must be a list of words"),
        ("token_command = []", "acme.token_command: must be a list of words"),
        ("token_file = []", "acme.token_file: must be a path"),
        ('token_credential = "../x"', "acme.token_credential: must be the name of a systemd credential"),
        ('name = "other"', "acme.name: unknown key; an account's name is that of its table"),
        (
            'base_url = "https://x/api"',
            "acme.base_url: must be the origin only, such as https://x; leave out the path /api",
        ),
        ("sub = {}", "acme.sub: unknown key"),
        ("poll_seconds = 1979-05-27", "acme.poll_seconds: must be a number"),
    ],
)
def test_a_wrong_value_says_what_would_be_right(mistakes: Refuse, text: str, part: str) -> None:
    """Each impossible value of an account is named with its key and what would be right."""
    assert part in mistakes(_account(text))


@pytest.mark.parametrize("key", ["token", "api_key", "password", "secret"])
def test_a_token_in_the_file_is_refused_and_not_shown(mistakes: Refuse, key: str) -> None:
    """Who writes the token itself into the file is told of the four ways, and the token is not repeated."""
    message = mistakes(_account(f'{key} = "ot_pat_pub_s3cr3t"'))
    assert "use token_env, token_file, token_command, token_credential" in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    "key", ["token_env", "token_credential", "proposals", "poll_seconds", "base_url", "allow_http"]
)
def test_a_misplaced_token_is_not_shown(mistakes: Refuse, key: str) -> None:
    """A token under any key is an error that does not repeat it."""
    message = mistakes(_account(f'{key} = "ot_pat_pub_s3cr3t"'))
    assert f"accounts.acme.{key}: must be" in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("accounts = 5", "accounts: must be a table, not 5"),
        ("[accounts]\nacme = 5", "accounts.acme: must be a table, not 5"),
        ("", 'accounts: there is no account; add a table [accounts.NAME] with source = "opentrain"'),
        ("[store]\ngroup_read = true", "accounts: there is no account"),
        ("[accounts.acme]", 'accounts.acme.source: is missing; write source = "opentrain" or "openats"'),
        (_account("") + "[account.x]", "account: unknown key; did you mean accounts?"),
        (_account("") + '[publish]\nurl = "postgresql://u:pw@db/r"', "publish.url: must not hold the password"),
        (
            _account("") + '[publish]\nurl = "postgresql://db/r"\nschema = "pg_x"',
            "publish.schema: must be a PostgreSQL name",
        ),
        (
            _account("") + '[publish]\nurl = "postgresql://db/r"\npassword_env = "A"\npassword_file = "b"',
            "publish.password_file: only one of password_env, password_file may be given",
        ),
        (_account("") + '[metrics]\nlisten = "9464"', "metrics.listen: must be an address and a port"),
        (_account("") + '[heartbeat]\nurl = "example.com"', "heartbeat.url: must be an address such as https://"),
        (_account("") + '[store]\npath = ""', "store.path: must be a path"),
        (_account("") + '[accounts.b]\nsource = "opentrain"', "accounts.b: has no token of its own, and acme takes"),
    ],
)
def test_every_section_is_checked(mistakes: Refuse, text: str, part: str) -> None:
    """Mistakes outside an account are named in the same way."""
    assert part in mistakes(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('headers = "x"', "headers: must be a table"),
        ('headers = { X-Key = "s3cr3t" }', 'headers: the value of \'X-Key\' must be "env:VARIABLE" or "file:/path"'),
        ('headers = { "X Key" = "env:A" }', "headers: 'X Key' is no header"),
        ('headers = { Host = "env:A" }', "headers: 'Host' is no header that can be set here"),
        (
            'headers = { Authorization = "env:A" }\ntoken_env = "B"',
            "headers: must not set Authorization beside a token",
        ),
        ("jobs = []\ncandidates = []", "jobs: is as empty as candidates"),
        ("jobs = [true]", 'jobs: must be "all" or a list of ids'),
        ('base_url = "http://ats.example.com/api"\nheaders = { K = "env:A" }', "base_url: must be https://"),
        ('base_url = "http://ats.example.com/api"\ntoken_env = "A"', "base_url: must be https://"),
        ('base_url = "http://ats.example.com"', "base_url: must go up to and including /api"),
    ],
)
def test_openats_keys_are_checked(mistakes: Refuse, text: str, part: str) -> None:
    """The keys of an OpenATS account are held against its own rules, and header values are not repeated."""
    message = mistakes(f'[accounts.ats]\nsource = "openats"\n{text}\n')
    assert f"accounts.ats.{part}" in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    "text",
    [
        _account('base_url = "http://example.com"\nallow_http = true'),
        _account('base_url = "http://127.0.0.1:8000"'),
        '[accounts.ats]\nsource = "openats"\nbase_url = "http://ats.example.com/api"',
    ],
)
def test_http_is_allowed_where_nothing_can_leak(settings: Load, text: str) -> None:
    """http:// passes on loopback, when it is permitted, and when neither token nor header would travel."""
    assert settings(text)


@pytest.mark.parametrize(
    ("text", "cadence"),
    [
        ("", (15, 60)),
        ("poll_seconds = 120", (120, 120)),
        ("idle_seconds = 5", (5, 5)),
        ("idle_seconds = 300", (15, 300)),
    ],
)
def test_poll_is_never_slower_than_idle(settings: Load, text: str, cadence: tuple[float, float]) -> None:
    """Setting one of the two cadences moves the other's default along."""
    account = settings(_account(text)).accounts["acme"]
    assert (account.poll_seconds, account.idle_seconds) == cadence


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"[store]\nx = = 1\n", "is no valid TOML: Invalid value (at line 2, column 5)"),
        (b"[store]\n[accounts.a]\nsource =", "(at the end, line 3)"),
        (b"[store]\n# \xff\n", "line 2 is not UTF-8"),
        (b"x = " + b"9" * 5000, "is no valid TOML"),
        (b"x = " + b"[" * 100_000, "is no valid TOML"),
    ],
)
def test_broken_toml_names_the_line(tmp_path: Path, home: Path, content: bytes, part: str) -> None:
    """A file that is no TOML is refused with its name and the line, whatever is wrong with it."""
    file = tmp_path / "c.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        load(file, {}, home)
    assert str(refusal.value).startswith(f"{file}: ")
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_byte_order_mark_is_tolerated(tmp_path: Path, home: Path) -> None:
    """The mark that some editors put in front of a file does no harm."""
    file = tmp_path / "c.toml"
    file.write_text(_account(""), encoding="utf-8-sig")
    assert load(file, {}, home).accounts


def test_no_file_at_all_is_one_account(home: Path) -> None:
    """Without a configuration there is one account, opentrain, at the official address."""
    read = load(None, {"OT_API_TOKEN": "t"}, home)
    assert read.config_file is None
    assert [(name, a.source, a.base_url) for name, a in read.accounts.items()] == [
        ("opentrain", "opentrain", "https://app.opentrain.ai")
    ]


def _write_credentials(home: Path, content: object) -> Path:
    path = home / ".config" / "opentrain" / "cli.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_address_comes_as_the_official_tools_take_it(home: Path, config: Callable[[str], Path]) -> None:
    """OT_API_BASE_URL, OPENTRAIN_API_BASE_URL, then the credentials file; only for an account without token keys."""
    _write_credentials(home, {"baseUrl": "https://c.example/"})
    environ = {"OT_API_BASE_URL": "https://a.example/", "OPENTRAIN_API_BASE_URL": "https://b.example"}
    for expected, dropped in (
        ("https://a.example", "OT_API_BASE_URL"),
        ("https://b.example", "OPENTRAIN_API_BASE_URL"),
    ):
        assert load(None, environ, home).accounts["opentrain"].base_url == expected
        assert load(config(_account("")), environ, home).accounts["acme"].base_url == expected
        del environ[dropped]
    assert load(None, environ, home).accounts["opentrain"].base_url == "https://c.example"
    for own in ('token_env = "X"', 'base_url = "https://app.opentrain.ai"'):
        assert load(config(_account(own)), {}, home).accounts["acme"].base_url == "https://app.opentrain.ai"


def test_a_bad_address_of_the_environment_is_named(home: Path) -> None:
    """A wrong OT_API_BASE_URL is refused with its name."""
    with pytest.raises(ConfigError, match="the address comes from OT_API_BASE_URL") as refusal:
        load(None, {"OT_API_BASE_URL": "http://example.com"}, home)
    assert "environment: accounts.opentrain.base_url: must be https://" in str(refusal.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"baseUrl": 5}', b"\xff"])
def test_a_broken_credentials_file_does_not_break_the_settings(home: Path, content: bytes) -> None:
    """A guest of the official tool's file goes on without it; the token's turn to complain comes later."""
    _write_credentials(home, {}).write_bytes(content)
    assert load(None, {}, home).accounts["opentrain"].base_url == "https://app.opentrain.ai"


def test_a_token_file_that_all_can_read_is_a_warning(tmp_path: Path, home: Path, config: Callable[[str], Path]) -> None:
    """A world-readable token file is told of, not refused; a private one is not mentioned."""
    file = config(_account('token_file = "token"'))
    token = tmp_path / "token"
    token.write_text("ot_pat_a_b", encoding="utf-8")
    token.chmod(0o644)
    assert load(file, {}, home).warnings == (
        f"account acme: every user of this machine can read {token}; chmod 600 it",
    )
    token.chmod(0o600)
    assert load(file, {}, home).warnings == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(config: Callable[[str], Path], home: Path) -> None:
    """A configuration that this user may not read is an error that says so."""
    file = config(_account(""))
    file.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load(file, {}, home)
