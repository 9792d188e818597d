"""A real database with what a command line has to cope with, and ways to run commands on it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncd.cli.main import run_command
from syncd.core.times import render_time
from syncd.store.migrate import open_writer

HOSTILE = "\x1b]0;title\x07\x1b[31mred\x9b2J \u202eevil\u2066 \ud83d"


def ago(seconds: float) -> str:
    """A time so many seconds before now."""
    return render_time(datetime.now(UTC) - timedelta(seconds=seconds))


class Mirror:
    """A database made by the real migration, and rows put into it by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        open_writer(path).close()

    def insert(self, table: str, **values: Any) -> None:
        """Add one row."""
        values = {"change_id": 1} | values if not table.startswith("_") else values
        names = ", ".join(values)
        with open_writer(self.path) as writer, writer.transaction() as connection:
            places = ", ".join(f":{name}" for name in values)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", values)  # noqa: S608 - our own names

    def add_account(self, account: str, **values: Any) -> None:
        """Add an account that is well and was polled just now."""
        usual = {"source": "opentrain", "base_url": "https://app.opentrain.ai", "state": "ok", "state_since": ago(9000)}
        usual |= {"first_started_at": ago(9000), "complete_since": ago(8000), "last_success_at": ago(5)}
        self.insert("accounts", account=account, **(usual | values))

    def add_conversation(self, account: str, id: str, **values: Any) -> None:
        """Add a conversation."""
        usual = {"type": "DIRECT_MESSAGE", "bucket": "job", "first_seen_at": ago(50), "changed_at": ago(50)}
        self.insert("conversations", account=account, id=id, **(usual | values))

    def add_message(self, account: str, conversation_id: str, id: str, content: str, **values: Any) -> None:
        """Add a message from someone else."""
        usual: dict[str, Any] = {"is_from_viewer": 0, "is_system": 0, "created_at": ago(60), "sender_name": "Ana"}
        usual |= {"first_seen_at": ago(50), "changed_at": ago(50)}
        self.insert(
            "messages", account=account, id=id, conversation_id=conversation_id, content=content, **(usual | values)
        )


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The standard output, read as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, database, colour or width of whoever runs the tests has a say."""
    for name in (
        "SYNCD_CONFIG",
        "SYNCD_DEBUG",
        "CONFIGURATION_DIRECTORY",
        "STATE_DIRECTORY",
        "NO_COLOR",
        "FORCE_COLOR",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path / "home"), "COLUMNS": "80", "TZ": "UTC", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """An empty database."""
    return Mirror(tmp_path / "syncd.db")


@pytest.fixture
def inbox(mirror: Mirror) -> Mirror:
    """Two accounts; a conversation that needs a reply, one that is read, one gone, one hostile, one that both hold."""
    mirror.add_account("acme")
    mirror.add_account("beta")
    mirror.add_conversation("acme", "c-old", title="Old talk", last_message_id="m1", last_message_at=ago(9000))
    mirror.add_message("acme", "c-old", "m1", "It was long ago", created_at=ago(9000), is_from_viewer=1)
    mirror.add_conversation(
        "acme",
        "c-new",
        title="New talk",
        last_message_id="m3",
        last_message_at=ago(60),
        unread_count=2,
        needs_reply_count=1,
    )
    mirror.add_message("acme", "c-new", "m2", "Are you\nthere?", created_at=ago(7200), edited_at=ago(30))
    mirror.add_message("acme", "c-new", "m3", "مرحبا 日本語 👩‍👩‍👧", created_at=ago(60))
    mirror.add_conversation("acme", "c-gone", title="Left", gone_at=ago(10))
    mirror.add_conversation("acme", "c-both", title="Of acme")
    mirror.add_conversation("beta", "c-both", title="Of beta")
    hostile = HOSTILE.encode("utf-8", "replace").decode()
    mirror.add_conversation("beta", "c-hostile", title=hostile, last_message_id="m4", last_message_at=ago(100))
    mirror.add_message("beta", "c-hostile", "m4", hostile, created_at=ago(100), sender_name=hostile)
    return mirror


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def run_here(*words: str | Path) -> Ended:
        capfd.readouterr()
        code = run_command([str(word) for word in words])
        return Ended(code, *capfd.readouterr())

    return run_here


@pytest.fixture
def launch() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a command line as a process of its own, its output in pipes; none outlives its test."""
    started = []

    def start(*words: str | Path, **environ: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "syncd.cli.main", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environ,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
