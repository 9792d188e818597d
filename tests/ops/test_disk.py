from pathlib import Path

import pytest

from syncd.errors import StoreTroubleError
from syncd.ops.disk import check_room, measure_free


def test_room_is_measured_where_the_file_will_lie(tmp_path: Path) -> None:
    """A path that does not exist yet is measured by the nearest folder that does."""
    assert measure_free(tmp_path / "not" / "yet" / "syncd.db") > 0


def test_too_little_room_is_refused_with_the_figures(tmp_path: Path) -> None:
    """Below the floor the error says how much is free and how much is needed."""
    with pytest.raises(StoreTroubleError, match=r"MiB are free .* are needed; free disk space"):
        check_room(tmp_path / "syncd.db", floor=1 << 60)
    check_room(tmp_path / "syncd.db", floor=1)
