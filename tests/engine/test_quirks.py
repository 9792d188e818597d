"""What no document says must not matter: every way the server may turn out gives the same mirror."""

from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rig import Rig, SteeredClock, settled_world
from syncd.simulator import Quirks, Simulator

LENGTHS = (0, 1, 99, 100, 101, 200, 340)
# Reading in the app and reacting leave no sign until everything is compared again.
SILENT = (("messages", "has_unread_flag"), ("messages", "reaction_count"))


def all_quirks() -> list[Any]:
    """Every combination of what is open about a thread's pages; the list's own two take turns.

    Half of them have each choice together with each other one; the other half is for whole runs.
    """
    names = ("newer_without_cursor", "page_order", "cursor_inclusive", "last_page_cursor")
    choices = (("oldest", "newest"), ("oldest", "newest", "walk"), (False, True), (False, True))
    found = []
    for number, places in enumerate(product(*(range(len(choice)) for choice in choices))):
        way = (choice[place] for choice, place in zip(choices, places, strict=True))
        quirks = dict(zip(names, way, strict=True)) | {
            "list_last_page_cursor": number % 2 == 0,
            "list_cursor": ("keyset", "offset")[number % 3 % 2],
        }
        marks = [pytest.mark.whole] if sum(places) % 2 else []
        found.append(pytest.param(quirks, marks=marks, id="-".join(map(str, quirks.values()))))
    return found


def longest_first(sim: Simulator) -> list[str]:
    """The ids of the conversations, from the longest."""
    conversations = sim.world.conversations.values()
    return [c.id for c in sorted(conversations, key=lambda c: len(c.messages), reverse=True)]


@pytest.mark.anyio
@pytest.mark.parametrize("quirks", all_quirks())
async def test_mirror_is_the_truth(quirks: dict[str, Any], clock: SteeredClock, tmp_path: Path) -> None:
    """First pass, tails, bursts, late arrivals, edits and a comparison of everything end in the truth."""
    world = settled_world(clock, LENGTHS)
    with Simulator(world, quirks=Quirks(**quirks)) as sim:
        rig = Rig(sim, tmp_path / "syncd.db", clock)
        await rig.start()
        await rig.poll()
        assert rig.differences() == []
        ids = longest_first(sim)
        for conversation_id, count in zip(ids, (1, 3, 101, 1, 250, 2, 1), strict=True):
            world.burst(conversation_id, count)
        await rig.poll()
        assert rig.differences() == []
        clock.advance(60)
        first, second, third = ids[0], ids[2], ids[4]
        world.add_message(first, "late", created_at=clock.time - timedelta(hours=30))
        world.add_message(second, "late", created_at=clock.time - timedelta(hours=26))
        newest = sim.world.truth()["messages"][third][-1]
        world.edit_message(third, newest["id"], "edited")
        await rig.quiet()
        assert rig.differences() == []
        oldest = sim.world.truth()["messages"][first][0]
        world.edit_message(first, oldest["id"], "edited silently", touch_updated=False)
        world.delete_message(second, sim.world.truth()["messages"][second][3]["id"])
        world.react(third, newest["id"])
        world.read_conversation(first)
        await rig.poll(full=True)
        assert rig.differences() == []
        assert rig.failures() == {}
        assert [row["kind"] for row in rig.new_events()].count("message.deleted") == 1
        await rig.stop()
