"""What the tests of the configuration share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.config.load import load
from syncd.config.models import Settings
from syncd.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory of its own."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def settings(config: Callable[[str], Path], home: Path) -> Callable[[str], Settings]:
    """Loads a configuration from its text, with an empty environment."""
    return lambda text: load(config(text), {}, home)


@pytest.fixture
def mistakes(settings: Callable[[str], Settings]) -> Callable[[str], str]:
    """Loads a configuration that is refused and returns the message."""

    def refused(text: str) -> str:
        with pytest.raises(ConfigError) as refusal:
            settings(text)
        return str(refusal.value)

    return refused
