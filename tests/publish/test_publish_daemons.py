"""Many daemons, one target."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from publish.pair import TABLES
from publish.station import Station, build_home
from syncd.simulator import Simulator, World

NAMES = ("acme", "beta", "gamma", "delta")


@pytest.fixture
def stations(tmp_path: Path, target: str) -> Iterator[list[Station]]:
    """Four machines, each with an inbox of its own, that publish into the same database; nothing is mirrored yet."""
    with ExitStack() as stack:
        made = []
        for number, name in enumerate(NAMES):
            sim = stack.enter_context(Simulator(World.generate(20 + number, conversations=5, messages=60)))
            station = Station(build_home(tmp_path / name), sim, target, name=name)
            station.configure(publish={"url": target})
            made.append(station)
        yield made
        for station in made:
            station.home.close()
            station.home.check_silence(station.sim.world)


def say_one_more(station: Station) -> str:
    """A new message on the server, in each conversation; the id of one."""
    world = station.sim.world
    with world.lock:
        for conversation_id in list(world.truth()["conversations"]):
            world.add_message(conversation_id, "One more.")
        return str(world.truth()["messages"][conversation_id][-1]["id"])


def test_four_daemons_make_the_sum_of_their_mirrors(stations: list[Station]) -> None:
    """Four daemons that begin at once and go on at once make one schema, which is the sum of their mirrors, exactly."""
    daemons = [station.home.start("run") for station in stations]
    for daemon in daemons:
        daemon.wait_for("publish.caught_up")
    news = [say_one_more(station) for station in stations]
    for station, id in zip(stations, news, strict=True):
        found = f"SELECT 1 FROM messages WHERE account = '{station.name}' AND id = '{id}'"  # noqa: S608 - our own words
        station.home.wait_until(partial(station.ask, found))
    assert [daemon.stop()[0] for daemon in daemons] == [0, 0, 0, 0]
    for station in stations:
        station.publish_well()
    for table in TABLES:
        count = f"SELECT count(*) FROM {table}"  # noqa: S608 - the same
        assert stations[0].ask(count) == [(sum(station.home.value(count) for station in stations),)], table
    for station in stations:
        with station.pair() as pair:
            assert [one for one in pair.differences() if one.startswith("lost")] == []
