"""A machine that has mirrored a small inbox, for the commands that the documents show."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from homes import Home
from people import World as People
from people import isolate, make_world
from publish.conftest import server, target
from syncd.simulator import Simulator, World

__all__ = ["server", "target"]
"""Fixtures of the tests of publishing."""


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    """A server with a small inbox, which has a history."""
    with Simulator(World.generate(3, conversations=12, messages=150)) as running:
        yield running


@pytest.fixture(scope="module")
def mirrored(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose inbox was mirrored once."""
    home = Home(tmp_path_factory.mktemp("mirrored"))
    home.environ |= {"OT_API_BASE_URL": sim.url, "OT_API_TOKEN": sim.token}
    assert home.run("sync").code == 0
    return home


@pytest.fixture
def home(mirrored: Home, tmp_path: Path) -> Iterator[Home]:
    """A copy of that home, for one command to change."""
    path = tmp_path / "home"
    shutil.copytree(mirrored.path, path)
    found = Home(path)
    found.environ |= {name: mirrored.environ[name] for name in ("OT_API_BASE_URL", "OT_API_TOKEN")}
    yield found
    found.close()


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> People:
    """Two people on one account, written by hand."""
    isolate(tmp_path, monkeypatch)
    return make_world(tmp_path)
