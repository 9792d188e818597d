import json
import os
import signal
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from syncd.config.load import load


def test_init_writes_a_configuration_for_its_owner_only(run: Any, tmp_path: Path) -> None:
    """`init` writes to the user's own place, 0600, what the loader takes, and says what comes next."""
    ended = run("init")
    target = tmp_path / "home/.config/syncd/config.toml"
    assert ended.code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert str(target) in ended.out
    assert "syncd sync" in ended.out
    assert load(target, {"HOME": str(tmp_path)}).accounts


def test_init_overwrites_only_when_told(run: Any, tmp_path: Path) -> None:
    """What is there stays unless --force is given; a link to it stays a link."""
    kept, link = tmp_path / "kept.toml", tmp_path / "config.toml"
    kept.write_text("mine")
    kept.chmod(0o644)
    link.symlink_to(kept)
    ended = run("init", "--config", link)
    assert (ended.code, kept.read_text()) == (1, "mine")
    assert "--force" in ended.err
    forced = run("--config", link, "init", "--force")
    assert forced.code == 0
    assert f"syncd --config {link} sync" in forced.out
    assert link.is_symlink()
    assert "[accounts" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_init_where_nothing_can_be_written(run: Any, tmp_path: Path) -> None:
    """A place that can't be written ends with 1 and one line."""
    (tmp_path / "file").touch()
    ended = run("init", "--config", tmp_path / "file/config.toml")
    assert (ended.code, ended.err.count("\n")) == (1, 1)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_simulate_serves_until_it_is_stopped(launch: Any, sign: signal.Signals) -> None:
    """`simulate` prints its address and token at once, answers there, and ends with 0 when stopped."""
    process = launch("simulate", "--conversations", "3", "--messages", "20", "--still")
    lines = iter(process.stdout.readline, "")
    url = next(
        word for line in lines for word in line.replace("=", " ").split() if word.startswith("http://127.0.0.1:")
    )
    with urllib.request.urlopen(f"{url.rstrip('/.,')}/_simulator/info", timeout=10) as answer:  # noqa: S310 - our own server
        assert json.load(answer)["token"].startswith("ot_pat_")
    os.kill(process.pid, sign)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
