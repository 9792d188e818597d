import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.ops.service import Supervisor


@pytest.fixture(params=["a file", "an abstract name"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A datagram socket as systemd opens it, and how it names it to a service."""
    name = str(tmp_path / "notify") if request.param == "a file" else f"@syncd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name.startswith("@") else name)
        listener.settimeout(5)
        yield listener, name


def test_a_supervisor_hears_every_turn(listening: tuple[socket.socket, str]) -> None:
    """Each message is one datagram of the protocol's lines, over a path and over an abstract name."""
    listener, name = listening
    supervisor = Supervisor({"NOTIFY_SOCKET": name})
    supervisor.say_ready("2 accounts")
    supervisor.say_reloading(12.5)
    supervisor.ping()
    supervisor.say_stopping()
    heard = [listener.recv(4096).decode().split("\n") for _ in range(4)]
    assert heard == [
        ["READY=1", "STATUS=2 accounts"],
        ["RELOADING=1", "MONOTONIC_USEC=12500000"],
        ["WATCHDOG=1"],
        ["STOPPING=1"],
    ]


def test_a_status_is_told_once_and_stays_one_line(listening: tuple[socket.socket, str]) -> None:
    """The same status is not repeated, and a line break in it can't forge another message."""
    listener, name = listening
    supervisor = Supervisor({"NOTIFY_SOCKET": name})
    supervisor.say_status("all\nREADY=1")
    supervisor.say_status("all\nREADY=1")
    supervisor.ping()
    assert [listener.recv(4096) for _ in range(2)] == [b"STATUS=all READY=1", b"WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "nonsense", "/nowhere/notify", "@nobody-listens-here"])
def test_without_a_supervisor_nothing_fails(address: str) -> None:
    """No socket, a wrong one or one that nobody listens on: the daemon goes on."""
    supervisor = Supervisor({"NOTIFY_SOCKET": address})
    supervisor.say_ready("fine")
    supervisor.ping()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": str(os.getpid())}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_or_none(environ: dict[str, str], seconds: float | None) -> None:
    """The time between pings is the one systemd set, unless it is meant for another process."""
    assert Supervisor({"NOTIFY_SOCKET": "/run/notify"} | environ).watchdog_seconds == seconds
