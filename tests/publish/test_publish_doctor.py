from typing import Any

import psycopg

from postgres import _free_port
from publish.pair import CATALOGUE
from publish.station import Station


def examine(station: Station, url: str) -> dict[str, Any]:
    """What the doctor finds of that target."""
    station.configure(publish={"url": url})
    findings = station.home.run("doctor", "--json").data["findings"]
    (found,) = [finding for finding in findings if finding["check"] == "publish"]
    return dict(found)


def test_the_doctor_says_how_far_a_target_is(station: Station) -> None:
    """Before a publish nothing is there yet, after one nothing is behind, after a change that is; it writes nothing."""
    found = examine(station, station.url)
    assert (found["verdict"], "nothing is there yet" in found["text"]) == ("warning", True)
    assert station.ask("SELECT 1 FROM information_schema.schemata WHERE schema_name = 'syncd'") == []
    station.publish_well()
    station.publish_well()
    marks = station.marks()
    found = examine(station, station.url)
    assert (found["verdict"], found["advice"]) == ("ok", None)
    assert f"schema version {CATALOGUE.version}, 0 changes behind" in found["text"]
    station.sync()
    behind = (
        station.home.value("SELECT value FROM _counters WHERE name = 'change_id'")
        - station.ask("SELECT place FROM _publish")[0][0]
    )
    assert behind > 0
    assert f" {behind} changes behind" in examine(station, station.url)["text"]
    assert station.marks() == marks


def test_the_doctor_says_why_a_target_takes_nothing(station: Station) -> None:
    """An account of another database, a newer schema and a server that is away are problems, each with what to do."""
    station.publish_well()
    with psycopg.connect(station.url, autocommit=True) as target:
        target.execute("UPDATE syncd._publish SET identity = 'another'")
        found = examine(station, station.url)
        assert (found["verdict"], "--take-over" in found["text"]) == ("problem", True)
        target.execute("INSERT INTO syncd._schema_version (version) VALUES (99)")
        found = examine(station, station.url)
        assert (found["verdict"], "update syncd" in found["text"]) == ("problem", True)
    found = examine(station, f"postgresql://postgres@127.0.0.1:{_free_port()}/reports")
    assert (found["verdict"], "check that it runs" in found["text"]) == ("problem", True)
