"""What every test may use."""

import signal

import pytest
from hypothesis import settings

# A shell has what it starts in the background ignore SIGINT, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A test that is slow on a busy machine is not wrong.
settings.register_profile("syncd", deadline=None)
settings.load_profile("syncd")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--whole`: every boundary instead of a few, which takes a while."""
    parser.addoption("--whole", action="store_true", help="crash matrices: kill at every boundary")


@pytest.fixture(scope="session")
def whole(pytestconfig: pytest.Config) -> bool:
    """Whether every boundary is wanted."""
    return bool(pytestconfig.getoption("--whole"))


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the daemon does."""
    return "asyncio"
