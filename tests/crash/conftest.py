"""The matrix that all crash tests share, and its table at the end of the run."""

import os
from collections.abc import Iterator

import pytest

from crash.matrix import Matrix, Tally, render_table

_TALLIES = pytest.StashKey[list[Tally]]()


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, *, whole: bool) -> Iterator[Matrix]:
    """Lanes enough to keep every core busy while others wait."""
    lanes = 2 * (os.cpu_count() or 1) if whole else 2
    with Matrix(tmp_path_factory.mktemp("m"), lanes) as running:
        pytestconfig.stash[_TALLIES] = running.tallies
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    tallies = config.stash.get(_TALLIES, [])
    if tallies:
        terminalreporter.section("crash matrix")
        for line in render_table(tallies):
            terminalreporter.write_line(line)
