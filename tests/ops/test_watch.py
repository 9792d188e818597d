import pytest

from syncd.core.watchdog import Clocks, Progress, find_stuck, is_heartbeat_due, measure_jump

AT = 1000.0


def progress(account: str = "acme", **values: float) -> Progress:
    """An account that has done a little."""
    return Progress(account=account, **({"requests": 5, "rows": 7, "polls": 2} | values))  # type: ignore[arg-type]  # whole numbers


@pytest.mark.parametrize(
    ("later", "pings"),
    [
        (progress(requests=6), True),
        (progress(rows=8), True),
        (progress(polls=3), True),
        (progress(), False),
        (progress(waits_until=AT + 1), True),
        (progress(waits_until=AT - 4), True),
        (progress(waits_until=AT - 6), False),
        (progress(waits_until=AT - 6, requests=6), True),
        (progress(requests=0, rows=0, polls=0), True),
    ],
)
def test_a_ping_means_that_the_account_got_on_or_waits(later: Progress, *, pings: bool) -> None:
    """Any step since the last ping, or a declared wait whose time has not passed, deserves a ping; nothing else."""
    assert (find_stuck({"acme": progress()}, [later], AT) == ()) is pings


def test_one_stuck_account_spoils_the_ping_for_all() -> None:
    """An account that stands still is named, however well the others do."""
    before = {name: progress(name) for name in ("acme", "beta", "gamma")}
    now = [progress("acme", requests=9), progress("beta"), progress("gamma", waits_until=AT + 60)]
    assert find_stuck(before, now, AT) == ("beta",)


def test_an_account_that_has_just_come_is_not_stuck() -> None:
    """What was not there at the last ping has had no time to get on."""
    assert find_stuck({}, [progress()], AT) == ()


@pytest.mark.parametrize(
    ("wall", "monotonic", "jump"),
    [(5.0, 5.0, 0.0), (14.9, 5.0, 0.0), (3605.0, 5.0, 3600.0), (-3595.0, 5.0, -3600.0), (15.0, 5.0, 10.0)],
)
def test_a_jump_is_told_from_the_passing_of_time(wall: float, monotonic: float, jump: float) -> None:
    """Only a wall clock that left the growing one by ten seconds or more has jumped, in either direction."""
    before = Clocks(wall=50.0, monotonic=9.0)
    assert measure_jump(before, Clocks(wall=50.0 + wall, monotonic=9.0 + monotonic)) == jump


@pytest.mark.parametrize(
    ("states", "last", "due"),
    [
        ({"a": "ok", "b": "starting"}, None, True),
        ({"a": "ok"}, AT - 60, True),
        ({"a": "ok"}, AT - 59, False),
        ({"a": "ok", "b": "unreachable"}, None, False),
        ({"a": "ok", "b": None}, None, False),
        ({}, None, False),
    ],
)
def test_a_heartbeat_is_sent_while_all_is_well(states: dict[str, str | None], last: float | None, *, due: bool) -> None:
    """At most once a minute, and only while every account's last poll succeeded."""
    assert is_heartbeat_due(states, last, AT) is due
