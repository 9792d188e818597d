import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syncd.errors import SyncdError
from syncd.store.feed import claiming, make_claim
from syncd.store.migrate import open_writer


def test_who_may_only_read_there_has_the_claim_made(shared_folder: Path, as_nobody: Callable[[], None]) -> None:
    """Where no file can be made, the database's holder is asked for it once; then it is locked like any other."""
    path = shared_folder / "syncd.db"
    open_writer(path).close()
    asked: list[str] = []

    def have_made() -> None:
        reader = os.geteuid()
        os.seteuid(os.getuid())
        shared_folder.chmod(0o755)
        with open_writer(path) as writer:
            make_claim(writer.connection, {"name": "crm"}, "")
        shared_folder.chmod(0o555)
        os.seteuid(reader)
        asked.append("crm")

    shared_folder.chmod(0o555)
    as_nobody()
    with claiming(path, "crm", have_made):
        assert asked == ["crm"]
        with pytest.raises(SyncdError, match="crm"), claiming(path, "crm", have_made):
            pass
    with claiming(path, "crm", have_made):
        assert asked == ["crm"]
