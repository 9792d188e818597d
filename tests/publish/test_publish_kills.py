"""A SIGKILL of the publisher, or of PostgreSQL, at any boundary loses nothing and doubles nothing.

PostgreSQL's processes are killed, not the machine: what a power cut takes is for its own `fsync` to prevent.
"""

from typing import get_args

import pytest

from publish.kill_scenes import SCENES, KillScene
from publish.kills import KillLane, Side, run_share
from tally import AddRow

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("side", get_args(Side))
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_kill_at_every_boundary(
    kill_lane: KillLane, scene: KillScene, side: Side, stride: int | None, add_row: AddRow
) -> None:
    """After a kill and another publish the target is the mirror, row by row, and its views give the same."""
    tally = run_share(kill_lane, scene, side, stride)
    add_row("crash matrix of publishing", f"{scene.name}, {side} killed", tally.counts)
    assert not tally.describe_harm()
    assert tally.boundaries >= 50
