"""What is said once, says what it means, and is read by whom it is for."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from homes import Home
from syncd.cli.main import FAMILIES
from syncd.simulator import Simulator, World

EXTRAS = ("pyarrow", "psycopg", "starlette", "uvicorn")
BLOCKED = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
sys.meta_path.insert(0, Missing())
"""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A server."""
    with Simulator(World.generate(3, conversations=4, messages=40)) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, sim: Simulator) -> Iterator[Home]:
    """A home whose environment names the server."""
    found = Home(tmp_path / "user")
    found.path.mkdir()
    found.environ |= {"OT_API_BASE_URL": sim.url, "OT_API_TOKEN": sim.token}
    yield found
    found.close()


@pytest.fixture
def bare(home: Home, tmp_path: Path) -> Home:
    """The same without the packages of any extra."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BLOCKED.format(names=set(EXTRAS)), encoding="utf-8")
    home.environ["PYTHONPATH"] = str(tmp_path / "site")
    return home


def test_every_command_explains_itself_without_extras(bare: Home) -> None:
    """`--help` needs no extra, whichever the command needs."""
    for name in (name for names in FAMILIES.values() for name in names):
        ended = bare.run(name, "--help")
        assert (ended.code, ended.err) == (0, ""), (name, ended.err)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("parquet", ["export", "out", "--format", "parquet"]), ("publish", ["publish", "postgresql://127.0.0.1:1/x"]),
        ("simulator", ["simulate"]), ("simulator", ["demo"]),
    ],
)  # fmt: skip
def test_a_missing_extra_is_named_with_a_command_that_works(bare: Home, extra: str, words: list[str]) -> None:
    """One line says what to type in a clone, and what with a wheel; nothing is looked for elsewhere."""
    assert bare.run("sync").code == 0
    ended = bare.run(*words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert f"pip install '.[{extra}]'" in ended.err
    assert f".whl[{extra}]'" in ended.err
    assert not re.search(rf"(?<![./\w])syncd\[{extra}\]", ended.err)


def test_the_package_runs_as_a_module(home: Home) -> None:
    """`python -m syncd` is `syncd`."""
    line = [sys.executable, "-m", "syncd", "inbox", "--bogus"]
    ended = subprocess.run(line, capture_output=True, text=True, env=home.environ, check=False)  # noqa: S603 - our own words
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "(see syncd inbox --help)" in ended.stderr


def test_a_trouble_is_told_once(home: Home) -> None:
    """Off a terminal `sync` says each trouble once, the first time by its event, and later ones too."""
    home.environ["OT_API_TOKEN"] = "ot_pat_pub_wr0ng"
    said = [home.run("sync"), home.run("sync")]
    for ended in said:
        assert ended.code == 77
        assert len([line for line in ended.err.splitlines() if "opentrain" in line]) == 1, ended.err
    assert "account.degraded" in said[0].err


def test_an_account_is_named_once(home: Home) -> None:
    """Neither `sync` nor `doctor` nor a row of `accounts` repeats whose trouble it is."""
    home.configure({"acme": {"token_env": "NOWHERE_AT_ALL", "base_url": "http://127.0.0.1:1"}})
    told = [home.run("sync", "--json").err, home.run("sync").err, home.run("doctor").out, home.run("check").out]
    for text in told:
        for line in text.splitlines():
            assert "account acme" not in line.replace("[accounts.acme]", ""), line
    assert "acme" not in home.value("SELECT replace(last_error, '[accounts.acme]', '') FROM accounts")


@pytest.mark.parametrize("trouble", ["configuration", "held", "newer", "usage", "publish"])
def test_what_a_service_says_is_json(home: Home, trouble: str) -> None:
    """Where the log is JSON, so is the error that ends a service: `journalctl -o cat | jq` reads every line."""
    words, code = ["run"], 78
    match trouble:
        case "configuration":
            home.configure({"acme": {"sorce": "x"}})
        case "held":
            home.start("run").wait_for("daemon.started")
        case "newer":
            assert home.run("sync").code == 0
            with home.db.open("r+b") as file:
                file.seek(60)
                file.write((9999).to_bytes(4))
        case "usage":
            words, code = ["run", "--db", "/"], 2
        case "publish":
            assert home.run("sync").code == 0
            words, code = ["publish", "--follow"], 2
    ended = home.run(*words)
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert (ended.code, lines[-1]["level"], lines[-1]["exit_code"]) == (code, "error", code)
    assert lines[-1]["error"]
    assert ended.out == ""
