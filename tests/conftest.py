"""What every test may use."""

import pytest
from hypothesis import settings

# A test that is slow on a busy machine is not wrong.
settings.register_profile("syncd", deadline=None)
settings.load_profile("syncd")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the daemon does."""
    return "asyncio"
