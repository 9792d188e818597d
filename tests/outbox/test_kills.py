"""A real `syncd send`, killed with SIGKILL at its boundaries: nothing is lost, nothing is sent twice."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crash.lane import Victims
from syncd.simulator import Simulator, World

pytestmark = pytest.mark.slow

_CONFIG = """\
[store]
path = "{database}"
[accounts.acme]
source = "opentrain"
base_url = "{url}"
token_env = "CRASH_TOKEN"
[log]
level = "info"
format = "json"
"""
_KILLED = -9
_STATEMENTS = 24  # every so many of them; requests, commits, files and log lines all
_SETTLING = (1, 70, 140)  # seconds after the death at which another process looks


class Deaths:
    """One inbox, mirrored; each trial begins with a copy of its database and dies in a folder of its own."""

    def __init__(self, folder: Path, sim: Simulator, fault: str | None) -> None:
        self._folder, self._sim, self._fault = folder, sim, fault
        self._victims = Victims()
        self.conversation_id = next(iter(sim.world.conversations))
        self.base = folder / "base"
        self.base.mkdir()
        assert self.run(self.base, "sync") == 0

    def close(self) -> None:
        """Let go of the processes."""
        self._victims.close()

    def copy(self, name: str) -> Path:
        """A folder with the mirrored inbox."""
        shutil.copytree(self.base, self._folder / name, ignore=shutil.ignore_patterns("*.sock"))
        return self._folder / name

    def run(self, folder: Path, *words: str, later: float = 0, **kill: Any) -> int:
        """Run a command, `later` seconds from now."""
        config = folder / "config.toml"
        config.write_text(_CONFIG.format(database=folder / "syncd.db", url=self._sim.url), encoding="utf-8")
        order = {
            "command": [*words, "--config", str(config)],
            "environ": {"CRASH_TOKEN": self._sim.token},
            "database": str(folder / "syncd.db"),
            "now": (datetime.now(UTC) + timedelta(seconds=later)).isoformat(),
            "log": str(folder / "log"),
            "trail": str(folder / "trail"),
        }
        return self._victims.run(order | kill)

    def send(self, folder: Path, text: str, **kill: Any) -> int:
        """Run `syncd send`, while the server loses the reply, if that is the story."""
        self._sim.faults.clear()
        if self._fault is not None:
            getattr(self._sim.faults, self._fault)(method="POST")
        return self.run(folder, "send", self.conversation_id, text, **kill)

    def boundaries(self) -> list[tuple[int, str]]:
        """The boundaries that a send passes, with their numbers from 1: all that count, and some of the statements."""
        folder = self.copy("whole")
        assert self.send(folder, "whole") == 0
        names = list(enumerate((folder / "trail").read_text(encoding="utf-8").split("\n"), 1))
        plain = [(number, name) for number, name in names if not name.startswith("statement")]
        return sorted({*plain, *names[::_STATEMENTS]})

    def arrived(self, text: str) -> int:
        """How often the server has the text."""
        with self._sim.world.lock:
            messages = self._sim.world.conversations[self.conversation_id].messages
            return sum(message.content == text for message in messages)


@pytest.fixture(params=[None, "lose_reply"])
def deaths(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Deaths]:
    """A server, and the processes that die."""
    world = World(seed=11)
    world.add_message(world.new_conversation(), "Are you there?")
    with Simulator(world) as sim:
        trials = Deaths(tmp_path, sim, request.param)
        yield trials
        trials.close()


def ask(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a reader of the database sees."""
    with closing(sqlite3.connect(f"file:{folder / 'syncd.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def test_kill_at_every_boundary(deaths: Deaths) -> None:
    """A send killed anywhere is, once settled: sent and there once, unconfirmed and not there, or was never queued."""
    points = deaths.boundaries()
    assert {"request after", "commit after"} <= {name for _, name in points}
    endings = {point: die_and_settle(deaths, *point) for point in points}
    assert {ending for ending, _ in endings.values()} == {"never queued", "sent", "unconfirmed"}
    assert [point for point, (_, broken) in endings.items() if broken] == []


def die_and_settle(deaths: Deaths, number: int, name: str) -> tuple[str, list[str]]:
    """How it ended, and what was not as promised."""
    folder, text = deaths.copy(str(number)), f"killed at {number}"
    if deaths.send(folder, text, kill_at=number) != _KILLED:
        return "sent", []  # it passed fewer boundaries than the one that was watched
    for seconds in _SETTLING:
        assert deaths.run(folder, "sync", later=seconds) == 0, (name, (folder / "log").read_text(encoding="utf-8"))
        if not ask(folder, "SELECT 1 FROM outbox WHERE state IN ('queued', 'sending')"):
            break
    count = deaths.arrived(text)
    states = [state for (state,) in ask(folder, "SELECT state FROM outbox")]
    ending = states[0] if states else "never queued"
    broken = []
    if (ending, count) not in {("never queued", 0), ("sent", 1), ("unconfirmed", 0)}:
        broken.append(f"{ending}, and the server has it {count} times")
    told = ask(folder, f"SELECT COUNT(*) FROM events JOIN messages m ON m.id = message_id WHERE content = '{text}'")  # noqa: S608 - ours
    if told != [(count,)]:
        broken.append(f"{told} events for {count} messages")
    if states and ask(folder, "SELECT content IS NULL FROM outbox") != [(count,)]:
        broken.append("its text is kept or lost")
    shutil.rmtree(folder)
    return ending, broken
