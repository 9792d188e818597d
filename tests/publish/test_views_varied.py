"""The published views give what the mirror's own give, on made-up threads and on a mirror of a whole inbox."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import examples
from people import isolate
from publish.pair import Pair
from rig import Rig, SteeredClock
from store.conftest import insert_row
from syncd.cli.main import run_command
from syncd.simulator import Scenario, Simulator, Team, World
from team_rig import TeamRig

_NAMES = ["", "a", "B", "b", "Z", "é", "ä", "_", "10", "9", "candidate:7", "Candidate:7", "job:1"]
"""Texts whose order is one in bytes and another in a language."""
_MOMENTS = [
    None,
    "0001-01-01T00:00:00.000Z",
    "2026-03-01T23:59:59.999Z",
    "2026-03-02T00:00:00.000Z",
    "2026-03-02T18:20:00.001Z",
]

names = st.sampled_from(_NAMES)
moments = st.sampled_from(_MOMENTS)
flags = st.sampled_from([None, 0, 1])
counts = st.sampled_from([None, 0, 3])


def rows_of(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A few rows, no two with one account and one id."""
    row = st.fixed_dictionaries({"account": st.sampled_from(["ot", "ats", "unknown"]), "id": names, **columns})
    return st.lists(row, max_size=6, unique_by=lambda row: (row["account"], row["id"]))


MIRRORS = st.fixed_dictionaries(
    {
        "conversations": rows_of(
            bucket=st.none() | names,
            job_id=st.none() | names,
            proposal_id=st.none() | names,
            channel_name=st.sampled_from([None, "", "general"]),
            title=st.none() | names,
            last_message_id=st.none() | names,
            unread_count=counts,
            needs_reply_count=counts,
            gone_at=moments,
        ),
        "messages": rows_of(
            conversation_id=st.sampled_from(["a", "B", "candidate:7"]),
            sender_user_id=st.none() | names,
            sender_name=st.none() | names,
            is_from_viewer=flags,
            is_system=st.sampled_from([None, 0, 0, 1]),
            created_at=moments,
            edited_at=moments,
            gone_at=st.sampled_from([None, None, "2026-03-02T00:00:00.000Z"]),
        ),
        "proposals": rows_of(job_id=st.none() | names, job_title=st.none() | names, candidate_id=st.none() | names),
        "candidates": rows_of(name=st.none() | names),
        "jobs": rows_of(title=st.none() | names),
    }
)


THREAD = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from([*_NAMES, "A", "z", "É", "11", "2"]),
            "is_from_viewer": st.sampled_from([None, 0, 0, 1, 1]),
            "is_system": st.sampled_from([None, 0, 0, 0, 1]),
            "created_at": moments,
            "gone_at": st.sampled_from([None, None, None, "2026-03-02T00:00:00.000Z"]),
        }
    ),
    min_size=2,
    max_size=10,
    unique_by=lambda row: row["id"],
)


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=MIRRORS)
def test_made_up_mirrors(pair: Pair, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Whatever a mirror holds, accounts that it does not know included, each view has the same rows on both."""
    compare(pair, rows)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(thread=THREAD)
def test_made_up_threads(pair: Pair, thread: list[dict[str, Any]]) -> None:
    """Whoever speaks when in a thread, its turns and its wait are the same on both."""
    messages = [{"account": "ot", "conversation_id": "c"} | row for row in thread]
    compare(pair, {"conversations": [{"account": "ot", "id": "c"}], "messages": messages})


def compare(pair: Pair, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Put these rows, and no others of their tables, into the mirror; hold it and its copy against each other."""
    for table, some in rows.items():
        pair.mirror.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        for row in some:
            insert_row(pair.mirror, table, **row)
    pair.copy()
    pair.compare_tables()
    pair.compare_views()


async def mirror_inbox(path: Path) -> None:
    """A whole inbox after years, and then some days of everything that happens in one."""
    clock = SteeredClock()
    world = World.generate(conversations=60, messages=1500, clock=clock, seed=3)
    with Simulator(world) as sim:
        rig = Rig(sim, path, clock)
        await rig.start()
        await rig.quiet()
        scenario = Scenario(world, seed=4)
        for _ in range(120):
            scenario.step()
            clock.advance(600)
        await rig.quiet(full=True)
        assert not rig.differences()
        await rig.stop()


async def mirror_team(path: Path) -> None:
    """The chats of a hiring team, some messages of which were edited or deleted."""
    clock = SteeredClock()
    team = Team(clock, seed=5)
    scenario = Scenario(World(clock), seed=6, team=team)
    for title in ("Backend engineer", "Designer"):
        team.new_candidate(team.new_job(title), "Ada", "Lovelace")
    with Simulator(World(clock), team=team) as sim:
        rig = TeamRig(sim, path, clock)
        await rig.start()
        for _ in range(300):
            scenario.step()
            clock.advance(600)
        await rig.quiet(full=True)
        await rig.stop()


@pytest.mark.parametrize("mirror", [mirror_inbox, mirror_team])
def test_a_mirrored_inbox(
    mirror: Callable[[Path], Coroutine[None, None, None]],
    target: str,
    reader: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came from a server and was published gives the same rows on both, in every view."""
    isolate(tmp_path, monkeypatch)
    monkeypatch.setenv("OT_API_TOKEN", "ot_pat_unused_0123456789abcdef")
    asyncio.run(mirror(tmp_path / "syncd.db"))
    assert run_command(["--db", str(tmp_path / "syncd.db"), "publish", target]) == 0
    with closing(sqlite3.connect(tmp_path / "syncd.db")) as mirrored:
        pair = Pair(mirrored, reader)
        pair.compare_tables()
        pair.compare_views()
        assert len(pair.ask("SELECT * FROM thread")) > 20
