"""A secret in a wrong place is neither shown nor stored; a place that is no file of ours keeps nobody waiting."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from homes import Home
from syncd.config.credentials import resolve_headers, resolve_password, resolve_token
from syncd.config.models import OpenATSAccount, OpenTrainAccount, PublishSettings
from syncd.errors import SyncdError
from syncd.simulator import Simulator, World

SHAPED = "ot_pat_pub_s3cr3tc0de"
SHAPELESS = "hunter2s3cr3tc0de"


@pytest.mark.parametrize("key", ["token_file", "token_command", "headers file", "headers env"])
def test_a_token_where_a_name_belongs_is_refused(mistakes: Callable[[str], str], key: str) -> None:
    """The configuration names the key and not the token."""
    written = {
        "token_file": f'token_file = "{SHAPED}"',
        "token_command": f'token_command = ["{SHAPED}"]',
        "headers file": f'headers = {{ X-Key = "file:{SHAPED}" }}',
        "headers env": f'headers = {{ X-Key = "env:{SHAPED}" }}',
    }[key]
    source = "openats" if key.startswith("headers") else "opentrain"
    told = mistakes(f'[accounts.acme]\nsource = "{source}"\n{written}\n')
    assert "s3cr3t" not in told
    assert key.partition(" ")[0] in told


def refusals(secret: str, folder: Path) -> Iterator[str]:
    """What is said of a secret that stands in each place of a name."""
    environ = {"CREDENTIALS_DIRECTORY": str(folder)}
    for way, value in (("file", str(folder / secret)), ("env", secret), ("command", [secret]), ("credential", secret)):
        account = OpenTrainAccount.model_validate({"name": "a", "source": "opentrain", f"token_{way}": value})
        publish = PublishSettings.model_validate({"url": "postgresql://db/x", f"password_{way}": value})
        with pytest.raises(SyncdError) as refusal:
            resolve_token(account, environ)
        yield str(refusal.value)
        with pytest.raises(SyncdError) as refusal:
            resolve_password(publish, environ)
        yield str(refusal.value)
    for place in (f"file:{secret}", f"env:{secret}"):
        ats = OpenATSAccount.model_validate({"name": "a", "source": "openats", "headers": {"X-Key": place}})
        with pytest.raises(SyncdError) as refusal:
            resolve_headers(ats, environ)
        yield str(refusal.value)


def test_a_secret_of_no_shape_is_not_repeated(tmp_path: Path) -> None:
    """A file, a variable, a command and a credential that are not there may be the secret itself: keys are named."""
    for told in refusals(SHAPELESS, tmp_path):
        assert "s3cr3t" not in told


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A server."""
    with Simulator(World.generate(3, conversations=2, messages=10)) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, sim: Simulator) -> Iterator[Home]:
    """A home of its own, and a server."""
    found = Home(tmp_path / "user")
    found.path.mkdir()
    found.environ["OT_API_BASE_URL"] = sim.url
    yield found
    found.close()


@pytest.mark.parametrize("secret", [SHAPED, SHAPELESS])
def test_a_token_in_token_file_is_nowhere_afterwards(place: Home, sim: Simulator, secret: str) -> None:
    """Neither the outputs of the commands nor any file beside the database hold it."""
    place.configure({"acme": {"base_url": sim.url, "token_file": secret}})
    said = [place.run(*words) for words in (("sync",), ("status",), ("check",), ("doctor",), ("events",), ("run",))[:5]]
    assert not [ended for ended in said if "s3cr3t" in ended.out + ended.err]
    assert said[0].code in (77, 78)
    assert "token_file" in said[0].err
    for file in place.path.rglob("*"):
        assert file == place.config or not file.is_file() or secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_a_token_file_that_is_no_file_keeps_nobody_waiting(tmp_path: Path, kind: str) -> None:
    """A FIFO that nobody writes is told at once, with the key that names it; so are the official credentials."""
    odd = tmp_path / "token"
    if kind == "fifo":
        os.mkfifo(odd)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(odd))
    official = tmp_path / ".config" / "opentrain" / "cli.json"
    official.parent.mkdir(parents=True)
    official.symlink_to(odd)
    home = Home(tmp_path)
    try:
        for settings in ({"token_file": str(odd)}, {}):
            account: dict[str, Any] = {"source": "opentrain", "base_url": "http://127.0.0.1:1", **settings}
            lines = "\n".join(f'{key} = "{value}"' for key, value in account.items())
            home.config.parent.mkdir(parents=True, exist_ok=True)
            home.config.write_text(f"[accounts.acme]\n{lines}\n", encoding="utf-8")
            running = home.start("sync")
            assert running.process.wait(20) == 77
            assert "no regular file" in running.end().err
    finally:
        home.close()


def test_a_command_run_for_events_inherits_no_token(place: Home, sim: Simulator, tmp_path: Path) -> None:
    """`--exec` children have no variable that holds a token, header or password; all others they have."""
    place.configure(
        {
            "acme": {"base_url": sim.url, "token_env": "ACME_TOKEN"},
            "ats": {"source": "openats", "base_url": f"{sim.url}/api", "token_env": "ATS_TOKEN"},
        },
        publish={"url": "postgresql://127.0.0.1:1/x", "password_env": "PG_SECRET"},
    )
    with place.config.open("a", encoding="utf-8") as file:
        file.write('[accounts.proxied]\nsource = "openats"\nbase_url = "http://127.0.0.1:1/api"\n')
        file.write('headers = { X-Key = "env:PROXY_KEY", X-Other = "file:/nowhere" }\n')
    secrets = dict.fromkeys(("OT_API_TOKEN", "OPENTRAIN_API_TOKEN", "ATS_TOKEN", "PG_SECRET", "PROXY_KEY"), "s3cr3t")
    secrets["ACME_TOKEN"] = sim.token
    place.run("sync", **secrets)
    seen = tmp_path / "seen"
    script = f"env > {seen}"
    ended = place.run("events", "--exec", "sh", "-c", script, OTHER="kept", **secrets)
    assert ended.code == 0, ended.err
    told = seen.read_text(encoding="utf-8")
    assert not [name for name in secrets if f"{name}=" in told]
    assert "OTHER=kept" in told
    assert "HOME=" in told
