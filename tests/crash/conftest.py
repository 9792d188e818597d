"""The matrix that all crash tests share, and its table at the end of the run."""

import os
from collections.abc import Iterator

import pytest

from crash.matrix import Matrix, Tally, render_table

_TALLIES = pytest.StashKey[list[Tally]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--whole`: every boundary instead of a few, which takes a while."""
    parser.addoption("--whole", action="store_true", help="crash matrix: kill at every boundary")


@pytest.fixture(scope="session")
def whole(pytestconfig: pytest.Config) -> bool:
    """Whether every boundary is wanted; the option is unknown where this folder was not named on the command line."""
    return bool(pytestconfig.getoption("--whole", default=False))


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
