from collections.abc import Callable
from typing import Any

import pytest

from documents import read_query
from people import World


@pytest.fixture
def ask(world: World) -> Callable[[str], list[tuple[Any, ...]]]:
    """Run the query of the documents whose heading begins so."""
    return lambda heading: world.fetch(read_query(heading))


def turn(world: World, number: int, asked: str, answered: str | None, *, conversation: str = "c1") -> None:
    """An inbound message, and our answer to it."""
    world.say(f"in{number}", "?", created_at=asked, conversation=conversation)
    if answered is not None:
        world.say(f"out{number}", "!", created_at=answered, is_from_viewer=1, conversation=conversation)


def test_who_waits_longest(world: World, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Of two who need a reply, the one who asked first comes first."""
    turn(world, 1, "2026-01-02T00:00:00.000Z", None)
    turn(world, 2, "2026-01-01T00:00:00.000Z", None, conversation="c2")
    world.execute("UPDATE conversations SET needs_reply_count = 1")
    found = ask("Who waits longest?")
    assert [name for name, _, _ in found] == ["Bo Lindqvist", "Ana Álvarez"]
    assert found[0][2] - found[1][2] == pytest.approx(24)


def test_how_fast_we_answer(world: World, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Ten answers of 1 to 10 minutes in a week: the median is 5 minutes, the 90th percentile 9."""
    for minutes in range(1, 11):
        turn(world, minutes, f"2026-03-03T{minutes:02}:00:00.000Z", f"2026-03-03T{minutes:02}:{minutes:02}:00.000Z")
    turn(world, 11, "2026-03-10T00:00:00.000Z", "2026-03-10T00:30:00.000Z")
    found = [
        (week, job, n, round(median, 3), round(p90, 3))
        for week, job, n, median, p90 in ask("How fast do we answer: median")
    ]
    assert found == [("2026-09", "j1", 10, 5.0, 9.0), ("2026-10", "j1", 1, 30.0, 30.0)]


def test_who_interviewed_best(world: World, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """The candidates of a job by score, best first, without those who have none."""
    world.add_person(3, "Cy")
    for number, score in ((1, 7.5), (2, 9.0), (3, None)):
        world.insert("interviews", proposal_id=f"p{number}", score=score)
    assert ask("Who interviewed best") == [("Labeller", "Bo Lindqvist", 9.0), ("Labeller", "Ana Álvarez", 7.5)]


def test_what_a_day_looks_like(world: World, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Each day's messages in and out, newest day first."""
    turn(world, 1, "2026-03-03T00:00:00.000Z", "2026-03-03T01:00:00.000Z")
    turn(world, 2, "2026-03-04T00:00:00.000Z", None)
    assert ask("What does a day look like?") == [("2026-03-04", 1, 0, 1), ("2026-03-03", 1, 1, 1)]
