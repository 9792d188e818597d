"""The commented configuration that `syncd init` writes."""

from pathlib import Path

_NAME = "config.example.toml"


def example_text() -> str:
    """Return the example: beside this module in an installed syncd, at the top of the tree in a checkout."""
    here = Path(__file__).parent
    installed = here / _NAME
    return (installed if installed.exists() else here.parent.parent / _NAME).read_text(encoding="utf-8")
