"""What every test may use."""

import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import settings

from tally import AddRow, adder, read_tables, render_table

# A shell has what it starts in the background ignore SIGINT, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A test that is slow on a busy machine is not wrong. The usual run tries the same examples each time.
settings.register_profile("usual", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("whole", deadline=None, max_examples=1000, derandomize=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--whole`: what takes too long for every run; `--one-in N`: of that, fewer kills, other ones each time."""
    parser.addoption(
        "--whole", action="store_true", help="kill at every boundary, try ten times the examples, run the large tests"
    )
    parser.addoption("--one-in", type=int, default=1, metavar="N", help="with --whole: kill at one boundary in N")


def pytest_configure(config: pytest.Config) -> None:
    """Decide how many examples are tried, before the tests are loaded."""
    settings.load_profile("whole" if config.getoption("--whole") else "usual")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a whole run has time for."""
    if not config.getoption("--whole"):
        left_out = [item for item in items if item.get_closest_marker("whole")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """With `-n auto`: two processes a core, as much of a test is waiting for another process or for the disk."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables that tests have added to."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    for title, rows in read_tables(reports).items():
        terminalreporter.section(title)
        for line in render_table(rows):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def stride(pytestconfig: pytest.Config) -> int | None:
    """How far apart the boundaries are at which a whole run kills; None in a usual run."""
    return int(pytestconfig.getoption("--one-in")) if pytestconfig.getoption("--whole") else None


@pytest.fixture
def add_row(record_property: Callable[[str, object], None]) -> AddRow:
    """Adds a row to a table at the end of the run."""
    return adder(record_property)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the daemon does."""
    return "asyncio"
