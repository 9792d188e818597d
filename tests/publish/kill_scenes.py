"""What is published in the crash matrix: one mirror at two times, and targets in several states."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from publish.pair import TARGET_0_1
from rig import Rig, SteeredClock
from syncd.cli.main import run_command
from syncd.simulator import Scenario, Simulator, World

EARLY, LATE = "early.db", "late.db"

Publish = Callable[[str], None]
"""Publishes the mirror of that name, whole."""


@dataclass(frozen=True)
class KillScene:
    """What the publisher begins with; the mirror that it publishes is the later one.

    `stage`: makes the target's state, given a connection of its owner and a way to publish; `in_step`: whether what
    is in the target at any instant must be what its place says.
    """

    name: str
    stage: Callable[[psycopg.Connection, Publish], None]
    words: tuple[str, ...] = ()
    in_step: bool = True


def make_mirrors(folder: Path) -> None:
    """An inbox as it was, and as it is after everything has happened in it, an erasure too."""
    asyncio.run(_mirror(folder))


async def _mirror(folder: Path) -> None:
    clock = SteeredClock()
    world = World.generate(conversations=9, messages=160, clock=clock, seed=3)
    with Simulator(world) as sim:
        rig = Rig(sim, folder / "syncd.db", clock)
        await rig.start()
        await rig.quiet()
        await rig.stop()
        shutil.copyfile(rig.path, folder / EARLY)
        await rig.start()
        scenario = Scenario(world, seed=4)
        for _ in range(30):
            scenario.step()
            clock.advance(600)
            await rig.poll()
        await rig.quiet(full=True)
        candidate = rig.scalar(
            "SELECT candidate_id FROM proposals JOIN conversations ON proposal_id = proposals.id LIMIT 1"
        )
        await rig.stop()
    assert run_command(["--db", str(rig.path), "purge", "--candidate", candidate, "--yes"]) == 0
    shutil.copyfile(rig.path, folder / LATE)


def _leave_empty(_: psycopg.Connection, __: Publish) -> None:
    """Nobody has published anything."""


def _publish_early(_: psycopg.Connection, publish: Publish) -> None:
    publish(EARLY)


def _claim_otherwise(connection: psycopg.Connection, publish: Publish) -> None:
    """Another database has published the account, with a message that this one does not know."""
    publish(EARLY)
    connection.execute("UPDATE syncd._publish SET identity = 'another'")
    connection.execute("UPDATE syncd.messages SET id = 'stray' WHERE id = (SELECT max(id) FROM syncd.messages)")


def _leave_old_schema(connection: psycopg.Connection, _: Publish) -> None:
    """What version 0.1 of the program made."""
    connection.execute("CREATE SCHEMA syncd")
    connection.execute("SET search_path TO syncd")
    connection.execute(TARGET_0_1.read_bytes())


SCENES = (
    KillScene("first publish", _leave_empty),
    KillScene("increment", _publish_early),
    KillScene("take-over", _claim_otherwise, ("--take-over",), in_step=False),
    KillScene("older schema", _leave_old_schema),
)
