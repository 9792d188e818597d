import time

import pytest

from syncd.cli.terminal import render_distance, render_length, render_local, render_size

NOW = "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_lengths_take_the_largest_unit(seconds: float, shown: str) -> None:
    """A length is told in the largest unit that fits, rounded down."""
    assert render_length(seconds) == shown


def test_distances_look_both_ways() -> None:
    """What lies ahead is `in …`, what lies behind is `… ago`."""
    assert render_distance("2026-03-01T11:58:00.000Z", NOW) == "2 min ago"
    assert render_distance("2026-03-01T12:05:00.000Z", NOW) == "in 5 min"


def test_local_times_follow_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are shown in TZ, and even the ends of the calendar are."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    assert render_local(NOW) == "2026-03-01 17:30"
    assert render_local("0001-01-01T00:00:00.000Z")
    assert render_local("9999-12-31T23:59:59.999Z")
    monkeypatch.setenv("TZ", "America/Lima")
    time.tzset()
    assert render_local("0001-01-01T00:00:00.000Z")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(("size", "shown"), [(0, "0 B"), (999, "999 B"), (4123, "4.1 kB"), (5e15, "5000.0 TB")])
def test_sizes_take_the_largest_unit(size: float, shown: str) -> None:
    """A size is told in the largest unit that fits."""
    assert render_size(size) == shown
