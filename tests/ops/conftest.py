"""A small inbox, mirrored as a user does it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd.cli.main import run_command
from syncd.simulator import Simulator, World


@dataclass
class Place:
    """A configuration, the database it leads to, and the server it mirrors."""

    config: Path
    database: Path
    sim: Simulator

    def run(self, *words: str) -> int:
        """Run a command on it; the answer is its exit code."""
        return run_command(["--config", str(self.config), "--db", str(self.database), *words])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Mirrored once, with nothing wrong."""
    with Simulator(World.generate(3, conversations=4, messages=40)) as sim:
        monkeypatch.setenv("SYNCD_TEST_TOKEN", sim.token)
        config = tmp_path / "config.toml"
        config.write_text(
            f'[accounts.acme]\nsource = "opentrain"\nbase_url = "{sim.url}"\ntoken_env = "SYNCD_TEST_TOKEN"\n',
            encoding="utf-8",
        )
        made = Place(config, tmp_path / "state" / "syncd.db", sim)
        assert made.run("sync") == 0
        yield made
