"""Whose token it is: a token that is renewed in the middle of everything may be another user's."""

from pathlib import Path

import pytest

from rig import Rig, SteeredClock
from syncd.simulator import Simulator, World


@pytest.mark.anyio
@pytest.mark.parametrize("other", [True, False], ids=["another user's", "the same user's"])
async def test_token_renewed_after_401(other: bool, clock: SteeredClock, tmp_path: Path) -> None:  # noqa: FBT001 - pytest's way
    """After a 401 a renewed token goes on if it is the same user's; of another user's answers nothing is applied."""
    world = World(clock)
    world.add_message(world.new_conversation(), "Hello")
    with Simulator(world) as sim:
        rig = Rig(sim, tmp_path / "syncd.db", clock)
        await rig.start()
        await rig.poll()
        before = rig.rows("SELECT * FROM conversations")
        rig.token = world.add_token(scopes=["messages:read"], user_id="u-other" if other else None)
        world.revoke_token(sim.token)
        outcome = await rig.poll()
        assert outcome.account_state.state == ("wrong_account" if other else "ok")
        assert rig.rows("SELECT * FROM conversations") == before
        await rig.stop()
