import os
import select
import sys
from pathlib import Path

import pytest

from syncd.config.credentials import (
    Secret,
    UnavailableError,
    read_command,
    resolve_headers,
    resolve_password,
    resolve_token,
    wants_token,
)
from syncd.config.models import OpenATSAccount, OpenTrainAccount, PublishSettings
from syncd.errors import AuthError, ConfigError

TOKEN = "ot_pat_pub_s3cr3t"


def _account(**keys: object) -> OpenTrainAccount:
    return OpenTrainAccount.model_validate({"name": "acme", "source": "opentrain", **keys})


def _refused(account: OpenTrainAccount, environ: dict[str, str], home: Path | None = None) -> AuthError:
    with pytest.raises(AuthError) as refusal:
        resolve_token(account, environ, home)
    assert "\n" not in str(refusal.value)
    assert "s3cr3t" not in str(refusal.value)
    assert refusal.value.exit_code == 77
    return refusal.value


def test_a_token_comes_from_each_of_the_four_places(tmp_path: Path) -> None:
    """Variable, file, command and systemd credential give the token, without the blanks around it."""
    (tmp_path / "token").write_text(f" {TOKEN}\n", encoding="utf-8")
    command = [sys.executable, "-c", f"print('{TOKEN}'); print('login: me')"]
    environ = {"T": f"{TOKEN} \n", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for account in (
        _account(token_env="T"),
        _account(token_file=str(tmp_path / "token")),
        _account(token_command=command),
        _account(token_credential="token"),
    ):
        assert resolve_token(account, environ) == Secret(TOKEN)


def test_a_rotated_token_is_seen(tmp_path: Path) -> None:
    """Asking again after a 401 reads the place again."""
    file = tmp_path / "token"
    account = _account(token_file=str(file))
    for text in ("old", "new"):
        file.write_text(text, encoding="utf-8")
        assert resolve_token(account, {}).reveal() == text


def test_without_a_key_the_official_places_are_tried(home: Path) -> None:
    """OT_API_TOKEN, OPENTRAIN_API_TOKEN, then apiToken of the official credentials file."""
    file = home / ".config" / "opentrain" / "cli.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"apiToken": "third", "baseUrl": "https://x"}', encoding="utf-8")
    environ = {"OT_API_TOKEN": "first", "OPENTRAIN_API_TOKEN": "second"}
    assert resolve_token(_account(), environ, home).reveal() == "first"
    assert resolve_token(_account(), environ | {"OT_API_TOKEN": ""}, home).reveal() == "second"
    assert resolve_token(_account(), {}, home).reveal() == "third"
    assert resolve_token(_account(), {"XDG_CONFIG_HOME": str(home / ".config")}, Path("/nowhere")).reveal() == "third"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ("{}", "there is no token in"),
        ('{"apiToken": 5}', "there is no token in"),
    ],
)
def test_a_useless_credentials_file_is_named(home: Path, content: str, part: str) -> None:
    """A credentials file without a token is an AuthError that names it."""
    file = home / ".config" / "opentrain" / "cli.json"
    file.parent.mkdir(parents=True)
    file.write_text(content, encoding="utf-8")
    error = _refused(_account(), {}, home)
    assert part in str(error)
    assert str(file) in str(error)


def test_no_token_at_all_names_the_four_ways(home: Path) -> None:
    """Without any token the message names the variable and the four keys."""
    error = _refused(_account(), {}, home)
    assert error.reason == "token_missing"
    for part in ("OT_API_TOKEN", "token_env", "token_file", "token_command", "token_credential in [accounts.acme]"):
        assert part in str(error)


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"token_env": "T"}, "environment variable T is not set"),
        ({"token_file": "/nonexistent/token"}, "there is no file where token_file points"),
        ({"token_credential": "token"}, "add LoadCredential=, with the name that token_credential has, to the unit"),
    ],
)
def test_a_place_with_nothing_is_missing(keys: dict[str, str], part: str) -> None:
    """A place that holds nothing is named, with the four ways, as token_missing."""
    error = _refused(_account(**keys), {})
    assert error.reason == "token_missing"
    assert part in str(error)
    assert "token_env, token_file, token_command or token_credential" in str(error)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (" \t\n", "the token is empty"),
        (f"{TOKEN}\nsecond", "more than one line"),
        (f"{TOKEN}\x00", "a control character"),
        (f"Bearer {TOKEN}", 'the token begins with "Bearer "'),
        (f"{TOKEN} x", "a space or a letter that no token has"),
        (f"{TOKEN}é", "a space or a letter that no token has"),
    ],
)
def test_a_token_that_cannot_be_one_is_refused(tmp_path: Path, text: str, part: str) -> None:
    """Blank, several lines, control characters and other letters are told apart, and never shown."""
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")
    assert part in str(_refused(_account(token_file=str(file)), {}))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a directory, are errors that name the place."""
    file = tmp_path / "token"
    file.write_bytes(b"\xff\xfe")
    assert "the file that token_file names is no text" in str(_refused(_account(token_file=str(file)), {}))
    assert "what token_file names is no regular file" in str(_refused(_account(token_file=str(tmp_path)), {}))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["/nonexistent/pass"], "the command of token_command can't be run"),
        (["sh", "-c", "echo s3cr3t; echo s3cr3t >&2; exit 3"], "the command sh ended with 3"),
        (["true"], "the token is empty"),
        (["printf", "\\nx"], "the token is empty"),
    ],
)
def test_a_failing_command_is_named(words: list[str], part: str) -> None:
    """A command that can't run, fails or prints nothing is named; what it printed is not shown."""
    assert part in str(_refused(_account(token_command=words), {"PATH": os.environ["PATH"]}))


def test_no_shell_runs_a_command() -> None:
    """The words of a command reach it as they are."""
    assert read_command(("printf", "%s", "$HOME;x"), {"PATH": os.environ["PATH"]}, "key") == "$HOME;x"


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    """After its time a command is killed, and so is what it started: nobody holds the pipe any more."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(UnavailableError, match=r"took longer than 0\.5 s"):
        read_command(
            ("sh", "-c", f"exec 3>{pipe}; echo up >&3; sleep 30 & sleep 30"),
            dict(os.environ),
            "token_command",
            seconds=0.5,
        )
    assert os.read(reader, 10) == b"up\n"
    os.set_blocking(reader, True)
    assert select.select([reader], [], [], 10)[0] == [reader]  # the end of the pipe, once no child is left
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_an_openats_account_needs_no_token() -> None:
    """Without a token key an OpenATS account has no token, whatever OT_API_TOKEN says."""
    account = OpenATSAccount(name="ats", source="openats")
    assert resolve_token(account, {"OT_API_TOKEN": "t"}) is None
    assert not wants_token(account)
    assert wants_token(_account())


def test_headers_are_read_from_where_they_point(tmp_path: Path) -> None:
    """`env:` and `file:` values become the header's text; a missing one is an AuthError that names the header."""
    (tmp_path / "key").write_text("two words\n", encoding="utf-8")
    headers = {"X-A": "env:A", "X-B": f"file:{tmp_path / 'key'}"}
    account = OpenATSAccount(name="ats", source="openats", headers=headers)
    assert resolve_headers(account, {"A": "1"}) == {"X-A": Secret("1"), "X-B": Secret("two words")}
    with pytest.raises(AuthError, match="header X-A: the environment variable A is not set"):
        resolve_headers(account, {})
    with pytest.raises(AuthError, match="a header can't carry"):
        resolve_headers(account, {"A": "é"})


def test_a_password_keeps_its_blanks() -> None:
    """A password is taken as it is but for the line's end; a missing one is a ConfigError."""
    publish = PublishSettings(url="postgresql://db/r", password_env="P")
    assert resolve_password(publish, {"P": " pä ss \n"}) == Secret(" pä ss ")
    assert resolve_password(PublishSettings(url="postgresql://db/r"), {}) is None
    with pytest.raises(ConfigError, match="publish: the environment variable P is not set"):
        resolve_password(publish, {})


def test_a_secret_does_not_show_itself() -> None:
    """No way of turning a secret into text gives it away."""
    secret = Secret(TOKEN)
    assert "s3cr3t" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == TOKEN
