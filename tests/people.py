"""A database of a few people, written as the daemon writes it, and commands run on it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from indexed import note_texts
from syncd.cli.main import run_command
from syncd.store.migrate import open_writer

WHEN = "2026-03-0{day}T10:00:00.000Z"
STAMPS = {"first_seen_at": WHEN.format(day=1), "changed_at": WHEN.format(day=1), "change_id": 1}


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

    @property
    def lines(self) -> list[Any]:
        """The standard output, read as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class World:
    """A database, and what is put into it row by row."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "syncd.db"
        open_writer(self.path).close()

    def insert(self, table: str, **values: Any) -> None:
        """Add a row, or replace the one with its key."""
        with open_writer(self.path) as writer, writer.transaction() as connection:
            note_texts(connection)
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            row = {name: value for name, value in STAMPS.items() if name in columns} | {"account": "ot"} | values
            marks = ", ".join("?" for _ in row)
            sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - names of our own
            connection.execute(sql, tuple(row.values()))

    def execute(self, sql: str, *values: Any) -> None:
        """Change something, in a transaction of its own."""
        with open_writer(self.path) as writer, writer.transaction() as connection:
            connection.execute(sql, values)

    def fetch(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with open_writer(self.path) as writer:
            return [tuple(row) for row in writer.connection.execute(sql, values)]

    def say(self, id: str, content: str | None, *, day: int = 1, conversation: str = "c1", **values: Any) -> None:
        """A message from the person with whom the conversation is, unless told otherwise."""
        usual = {"sender_user_id": f"user-{conversation}", "is_from_viewer": 0, "is_system": 0}
        at = WHEN.format(day=day)
        row = usual | {"created_at": at, "content": content} | values
        self.insert("messages", id=id, conversation_id=conversation, **row)

    def add_person(self, number: int, name: str) -> None:
        """A candidate k1 with a proposal p1, its conversation c1 and its job j1."""
        self.insert("candidates", id=f"k{number}", name=name, slug=f"slug of {name}", extra=f'{{"bio": "{name} bio"}}')
        self.insert("proposals", id=f"p{number}", candidate_id=f"k{number}", job_id="j1", job_title="Labeller")
        self.insert("conversations", id=f"c{number}", proposal_id=f"p{number}", unread_count=0, needs_reply_count=0)

    def add_event(self, kind: str, **values: Any) -> None:
        """An event."""
        self.insert("events", kind=kind, recorded_at=WHEN.format(day=2), occurred_at=WHEN.format(day=2), **values)


def make_world(folder: Path) -> World:
    """Two people on one account."""
    world = World(folder)
    world.insert("accounts", account="ot", source="opentrain", base_url="http://127.0.0.1:1", state="ok")
    world.add_person(1, "Ana Álvarez")
    world.add_person(2, "Bo Lindqvist")
    return world


Run = Callable[..., Ended]


def make_run(world: World, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the world's database, in this process."""

    def run(*words: str | Path) -> Ended:
        capfd.readouterr()
        code = run_command(["--db", str(world.path), *map(str, words)])
        return Ended(code, *capfd.readouterr())

    return run


def isolate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration, pager, colour or width of whoever runs the tests has a say."""
    for name in ("SYNCD_CONFIG", "CONFIGURATION_DIRECTORY", "STATE_DIRECTORY", "XDG_CONFIG_HOME", "SYNCD_PAGER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(folder), "COLUMNS": "80", "TZ": "UTC", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
