"""The machine that all tests here share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import Machine, booted, install, make_tree, why_not


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with syncd installed as its own instructions say."""
    if (reason := why_not()) is not None:
        pytest.skip(f"NO REAL SYSTEMD WAS TESTED: {reason}")
    kept = os.environ.get("SYNCD_TEST_MACHINE")
    scratch = tmp_path_factory.mktemp("machine")
    tree = (Path(kept) if kept else scratch) / "debian"
    if not (tree / "usr/bin/jq").exists():
        make_tree(tree)
    install(tree, scratch / "wheels")
    with booted(tree, scratch / "console") as running:
        yield running
