from pathlib import Path

import pytest

from people import Run, World, isolate, make_run, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two people on one account."""
    isolate(tmp_path, monkeypatch)
    return make_world(tmp_path)


@pytest.fixture
def run(world: World, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the world's database."""
    return make_run(world, capfd)
