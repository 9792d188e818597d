import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from people import Run, World
from syncd.app import hold
from syncd.config.load import load
from syncd.config.models import Settings
from syncd.core.watchdog import find_stuck
from syncd.daemon import Daemon
from syncd.ops.service import Supervisor
from syncd.store.database import transact
from syncd.store.erase import erase_rows, find_scope
from syncd.store.migrate import open_writer


def configure(world: World, *, retention_days: int = 0) -> Path:
    """A configuration for the world's database, whose server can't be reached."""
    config = world.path.with_name("config.toml")
    config.write_text(
        f'[store]\npath = "{world.path}"\nretention_days = {retention_days}\n'
        '[accounts.ot]\nsource = "opentrain"\nbase_url = "http://127.0.0.1:1"\ntoken_env = "NO_TOKEN"\n',
        encoding="utf-8",
    )
    return config


@pytest.fixture
def daemon(world: World) -> Iterator["subprocess.Popen[bytes]"]:
    """A daemon that holds the world's database, whose server can't be reached and which keeps messages for 30 days."""
    world.say("m", "zanzibar", day=1)
    world.say("n", "yesterday's words", created_at=time.strftime("%Y-%m-%dT00:00:00.000Z", time.gmtime()))
    world.add_event("message.new", conversation_id="c2", message_id="x")
    config = configure(world, retention_days=30)
    command = [sys.executable, "-m", "syncd.cli.main", "--config", str(config), "run"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"NO_TOKEN": "made-up"}) as process:  # noqa: S603 - our own words
        door = world.path.with_name("syncd.db.sock")
        deadline = time.monotonic() + 60
        while not door.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield process
        process.terminate()


@pytest.mark.usefixtures("daemon")
def test_the_daemon_erases_for_others_and_by_age(run: Run, world: World) -> None:
    """While it holds the database, a purge and a consumer's place go through it; what is too old goes by itself."""
    assert run("events", "--consumer", "crm", "--kind", "message.new").code == 0
    assert run("status", "--json").data["consumers"][0]["name"] == "crm"
    ended = run("purge", "--candidate", "k2", "--yes", "--json")
    assert (ended.code, ended.data["rows"]["candidates"]) == (0, 1)
    deadline = time.monotonic() + 60
    while b"zanzibar" in _bytes(world.path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert b"zanzibar" not in _bytes(world.path)
    assert [row["message_id"] for row in run("thread", "c1", "--json").data] == ["n"]


def _bytes(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in (path, path.with_name(f"{path.name}-wal")) if file.exists())


def test_while_the_database_is_written_anew_nobody_is_stuck(world: World) -> None:
    """A purge that lasts is a declared wait of every account, also amid a poll; when it is over, they must get on."""
    asyncio.run(_purge_slowly(world, load(configure(world), {"NO_TOKEN": "made-up"})))


async def _purge_slowly(world: World, settings: Settings) -> None:
    async with hold(settings, {"NO_TOKEN": "made-up"}) as holder:
        daemon = Daemon(holder, lambda: settings, Supervisor({}))
        daemon.service.poll_stats.begin("ot")
        before = {progress.account: progress for progress in daemon.service.read_progress()}
        with closing(sqlite3.connect(world.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # which keeps the purge from its end
            purge = asyncio.create_task(holder.serve("purge", {"account": "ot", "candidate": "k2"}, lambda _: None))
            await asyncio.sleep(0)
            assert find_stuck(before, daemon.service.read_progress(), holder.clock.monotonic()) == ()
            other.execute("ROLLBACK")
            assert (await purge)["clean"]
        assert find_stuck(before, daemon.service.read_progress(), holder.clock.monotonic()) == ("ot",)


@pytest.mark.parametrize("command", [["sync"], ["events", "--consumer", "crm"]])
def test_whoever_writes_next_finishes_an_erasure(run: Run, world: World, command: list[str]) -> None:
    """What a crash has left of an erasure is done at the next start of a writer, be it for one command."""
    world.say("m", "zanzibar", day=1)
    world.add_event("message.new", conversation_id="c2", message_id="x")
    with open_writer(world.path) as writer:
        scope = find_scope(writer.connection, "ot", "k1", None)
        transact(writer.connection, lambda: erase_rows(writer.connection, scope, "2026-11-01T00:00:00.000Z"))
    assert b"zanzibar" in _bytes(world.path)
    run("--config", configure(world), *command)
    assert b"zanzibar" not in _bytes(world.path)
