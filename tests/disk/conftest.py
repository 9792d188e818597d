"""A machine whose database lies on a disk that the test can fill, and a daemon that looks often."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from disk.mounts import Disk, small_disk
from disk.patient import Patient
from homes import Home
from syncd.simulator import Simulator, World


@pytest.fixture
def world() -> World:
    """A small inbox with a history."""
    return World.generate(3, conversations=12, messages=300)


@pytest.fixture
def sim(world: World) -> Iterator[Simulator]:
    """Its server."""
    with Simulator(world) as running:
        yield running


@pytest.fixture
def patient(tmp_path: Path, sim: Simulator) -> Iterator[Patient]:
    """A home with one account `acme`, polled each second."""
    path = tmp_path / "home"
    path.mkdir()
    home = Home(path)
    home.environ |= {"OT_API_TOKEN": sim.token}
    home.configure(
        {"acme": {"base_url": sim.url, "poll_seconds": 1, "idle_seconds": 1}}, log={"level": "debug", "format": "json"}
    )
    yield Patient(home, sim)
    home.close()
    home.check_silence(sim.world)


@pytest.fixture
def disk(tmp_path: Path, patient: Patient) -> Iterator[Disk]:
    """A disk of 96 MiB, where the database is to lie."""
    with small_disk(tmp_path / "disk", "96m") as found:
        patient.move_to(found.path / "syncd.db")
        yield found
        patient.home.close()
