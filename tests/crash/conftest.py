"""What all crash tests of a process share."""

from collections.abc import Iterator

import pytest

from crash.lane import Lane
from crash.matrix import SHARES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One short share a scenario, or as many shares as make the whole."""
    if "share" in metafunc.fixturenames:
        metafunc.parametrize("share", range(SHARES if metafunc.config.getoption("--whole") else 1))


@pytest.fixture(scope="session")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """Where the trials of this process run, one after the other."""
    with Lane(tmp_path_factory.mktemp("m")) as running:
        yield running
