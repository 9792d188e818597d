"""OpenATS: an entry that can't be read is set aside, and the rest is mirrored."""

import pytest

from team_rig import TeamRig

pytestmark = pytest.mark.anyio

LISTS = {
    "job": "^/api/jobs$|/jobs$",
    "candidate": "/candidates/jobs/1$",
    "message": "/chat/job/1$",
}
ENTRIES = [
    "null",
    "{}",
    "7",
    '{"id":""}',
    '{"id":5.5}',
    '{"id":18446744073709551616}',
    r'{"id":"5\u0000"}',
    '{"id":77,"x":NaN}',
    '{"id":77,"x":1e400}',
]


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("entry", ENTRIES)
async def test_an_entry_that_is_none(rig: TeamRig, kind: str, entry: str) -> None:
    """All others are mirrored, it is one failure that says what is wrong, and it is over when the list is good."""
    rig.sim.faults.rewrite(r'"data":\[(?=\{)', f'"data":[{entry},', 1, path=LISTS[kind], times=None)
    for _ in range(2):
        outcome = await rig.poll(after=601)
        assert outcome.account_state.state == "ok"
        assert rig.differences() == []
        ((found, _),) = rig.failures()
        assert found == kind
    assert rig.account()["complete_since"] is not None
    rig.sim.faults.clear()
    await rig.poll(after=601)
    assert (rig.failures(), rig.differences()) == ({}, [])


@pytest.mark.parametrize("number", ["NaN", "1e400"])
@pytest.mark.parametrize(("kind", "field"), [("job", "title"), ("candidate", "appliedAt"), ("message", "message")])
async def test_a_number_that_is_none(rig: TeamRig, kind: str, field: str, number: str) -> None:
    """What was held of an entry that becomes unreadable stays, and is not taken for deleted."""
    await rig.poll()
    before = rig.rows("SELECT id, gone_at FROM messages ORDER BY id")
    rig.sim.faults.rewrite(rf'"{field}":"[^"]*"', f'"{field}":{number}', 1, path=LISTS[kind], times=None)
    for _ in range(3):
        assert (await rig.poll(after=601, full=True)).account_state.state == "ok"
    assert rig.rows("SELECT id, gone_at FROM messages ORDER BY id") == before
    assert rig.scalar("SELECT COUNT(*) FROM conversations WHERE gone_at IS NOT NULL") == 0
    assert {found for found, _ in rig.failures()} == {kind}
    rig.sim.faults.clear()
    await rig.poll(after=601)
    assert (rig.failures(), rig.differences()) == ({}, [])
