import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from people import Run, World


@pytest.fixture
def daemon(world: World, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A daemon that holds the world's database, whose server can't be reached and which keeps messages for 30 days."""
    world.say("m", "zanzibar", day=1)
    world.say("n", "yesterday's words", created_at=time.strftime("%Y-%m-%dT00:00:00.000Z", time.gmtime()))
    world.add_event("message.new", conversation_id="c2", message_id="x")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[store]\npath = "{world.path}"\nretention_days = 30\n'
        '[accounts.ot]\nsource = "opentrain"\nbase_url = "http://127.0.0.1:1"\ntoken_env = "NO_TOKEN"\n'
    )
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
