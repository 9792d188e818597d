"""A machine with nothing but syncd: real processes with a home of their own, against a simulator on a real socket."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from syncd.simulator import World

Row = dict[str, Any]
PATIENCE = 60.0
"""Seconds for whatever must happen at some time; generous, as the machine may be busy."""
_TELLING_LENGTH = 20  # a shorter text may stand in a log by chance


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The standard output, read as JSON."""
        return json.loads(self.out)


class Running:
    """A process of ours, whose output is read as it comes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._out: list[str] = []
        self._err: list[str] = []
        self._came = threading.Condition()
        self._readers = [self._read(process.stdout, self._out), self._read(process.stderr, self._err)]

    def _read(self, stream: IO[str] | None, into: list[str]) -> threading.Thread:
        def read() -> None:
            assert stream is not None
            for line in stream:
                with self._came:
                    into.append(line)
                    self._came.notify_all()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    @property
    def out(self) -> str:
        """What it printed so far."""
        return "".join(self._out)

    @property
    def err(self) -> str:
        """What it told so far on standard error."""
        return "".join(self._err)

    def log(self, event: str | None = None, **fields: Any) -> list[Row]:
        """Its log lines so far, those of this event with these fields."""
        lines = [json.loads(line) for line in list(self._err) if line.startswith("{")]
        return [
            line
            for line in lines
            if event in (None, line["event"]) and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, event: str, *, count: int = 1, **fields: Any) -> Row:
        """The count-th log line of this event with these fields."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.log(event, **fields)) >= count, PATIENCE), (event, self.err)
        return self.log(event, **fields)[count - 1]

    def wait_for_out(self, pattern: str) -> "re.Match[str]":
        """Where the standard output matches."""
        with self._came:
            assert self._came.wait_for(lambda: re.search(pattern, self.out), PATIENCE), (pattern, self.out, self.err)
        found = re.search(pattern, self.out)
        assert found is not None
        return found

    def wait_for_any(self) -> None:
        """Wait for its first line, wherever it prints it."""
        with self._came:
            assert self._came.wait_for(lambda: self._out or self._err, PATIENCE)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(PATIENCE * 2)
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return Ended(code, self.out, self.err)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; the exit code, and how many seconds the end took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began


class Home:
    """A user's home, where nothing of the machine has a say; its processes end with the test and tell no secrets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = path / ".local" / "state" / "syncd" / "syncd.db"
        self.config = path / ".config" / "syncd" / "config.toml"
        self.environ = {"HOME": str(path), "PATH": os.environ["PATH"], "TZ": "UTC", "PYTHONWARNINGS": "error"}
        self.started: list[Running] = []

    def start(self, *words: str | Path, **environ: str) -> Running:
        """Start a command."""
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "syncd.cli.main", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.environ | environ,
        )
        self.started.append(Running(process))
        return self.started[-1]

    def run(self, *words: str | Path, **environ: str) -> Ended:
        """Run a command to its end."""
        return self.start(*words, **environ).end()

    def configure(self, accounts: dict[str, Row], **tables: Row) -> None:
        """Write the configuration; an account's settings stand beside the usual ones."""
        text = [_table(f"accounts.{name}", _account(settings)) for name, settings in accounts.items()]
        text += [_table(name, settings) for name, settings in tables.items()]
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text("\n".join(text), encoding="utf-8")

    def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """What a reader of the database sees."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def value(self, sql: str, *parameters: Any) -> Any:
        """The one value of a query."""
        (row,) = self.rows(sql, *parameters)
        (value,) = row.values()
        return value

    def states(self) -> dict[str, str]:
        """Each account's state."""
        return {row["account"]: row["state"] for row in self.rows("SELECT account, state FROM accounts")}

    def wait_until(self, condition: Callable[[], Any]) -> Any:
        """The first true answer; for what only a look at the database or the server can tell."""
        deadline = time.monotonic() + PATIENCE
        while not (answer := condition()):
            assert time.monotonic() < deadline, [running.err for running in self.started]
            time.sleep(0.02)
        return answer

    def close(self) -> None:
        """End every process."""
        for running in self.started:
            running.process.kill()
            running.end()

    def check_silence(self, world: World) -> None:
        """No output holds a token, no log line the text of a message, and no process warned or left a traceback."""
        with world.lock:
            secrets = [token for token in _tokens(world) if token]
            texts = [
                message["content"].strip()
                for messages in world.truth()["messages"].values()
                for message in messages
                if isinstance(message["content"], str) and len(message["content"].strip()) >= _TELLING_LENGTH
            ]
        told = "".join(running.err for running in self.started)
        everything = told + "".join(running.out for running in self.started)
        assert not [secret for secret in secrets if secret in everything]
        assert not [text for text in texts if text in told or json.dumps(text)[1:-1] in told]
        assert "Traceback" not in told, told[-6000:]
        assert "Warning" not in told


def _account(settings: Row) -> Row:
    """An account whose token is the environment's, unless its settings name another."""
    named = any(key.startswith("token_") for key in settings)
    return {"source": "opentrain"} | ({} if named else {"token_env": "OT_API_TOKEN"}) | settings


def _tokens(world: World) -> list[str]:
    return [world.token, *world.tokens]


def _table(name: str, settings: Row) -> str:
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())  # JSON's scalars and lists are TOML's
    return "\n".join((f"[{name}]", *lines, ""))
