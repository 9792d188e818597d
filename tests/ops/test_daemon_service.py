import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rig import Rig, SteeredClock
from syncd.core.watchdog import Progress
from syncd.ops.disk import check_room
from syncd.ops.service import Supervisor, Watchdog
from syncd.simulator import Simulator, World


class Beats(BaseHTTPRequestHandler):
    """Takes note of each heartbeat."""

    heard: list[str]

    def do_GET(self) -> None:
        """Answer, and remember what was asked for."""
        self.heard.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def beats() -> Iterator[tuple[str, list[str]]]:
    """A service that hears heartbeats: its address, and what it has heard."""
    listening = type("Listening", (Beats,), {"heard": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), listening) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ping/secret", listening.heard  # type: ignore[attr-defined]  # set just above
        server.shutdown()
        thread.join()


def await_true(condition: Callable[[], object], what: str) -> None:
    """Wait up to ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_daemon_tells_its_supervisor_prometheus_and_the_heartbeat(
    place: Any, tmp_path: Path, beats: tuple[str, list[str]]
) -> None:
    """READY, a status, pings, RELOADING and STOPPING reach systemd; metrics are served; one heartbeat is sent."""
    address, port = tmp_path / "notify", free_port()
    url, heard = beats
    extra = f'poll_seconds = 1\nidle_seconds = 1\n[metrics]\nlisten = "127.0.0.1:{port}"\n[heartbeat]\nurl = "{url}"\n'
    place.config.write_text(place.config.read_text(encoding="utf-8") + extra, encoding="utf-8")
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(0)

        def has_told(line: str) -> bool:
            while True:
                try:
                    told.extend(listener.recv(4096).decode().split("\n"))
                except BlockingIOError:
                    return any(one.startswith(line) for one in told)

        words = [sys.executable, "-m", "syncd.cli.main", "--config", place.config, "--db", place.database, "run"]
        environ = os.environ | {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "3000000"}
        with subprocess.Popen(words, env=environ, stderr=subprocess.PIPE) as daemon:  # noqa: S603 - our own words
            await_true(lambda: has_told("READY=1"), "it is ready")
            await_true(lambda: has_told("STATUS=1 account, "), "it says how it goes")
            await_true(lambda: has_told("WATCHDOG=1") and told.count("WATCHDOG=1") > 2, "it pings")
            await_true(lambda: heard, "the heartbeat is sent")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as scrape:
                assert b'syncd_account_state{account="acme",state="ok"} 1.0' in scrape.read()
            daemon.send_signal(signal.SIGHUP)
            await_true(lambda: has_told("RELOADING=1"), "it reloads")
            daemon.send_signal(signal.SIGTERM)
            _, log = daemon.communicate(timeout=10)
        assert (daemon.returncode, has_told("STOPPING=1"), heard) == (0, True, ["/ping/secret"])
        assert b"ping/secret" not in log


class Watched:
    """Takes note of what a vigil tells it; its one account never gets on."""

    def __init__(self) -> None:
        self.jumps: list[float] = []
        self.stuck: list[tuple[str, ...]] = []

    def read_progress(self) -> list[Progress]:
        """One account that stands still."""
        return [Progress(account="acme")]

    def describe(self) -> str:
        """How it goes."""
        return "1 account"

    def note_jump(self, seconds: float) -> None:
        """Remember it."""
        self.jumps.append(seconds)

    def note_stuck(self, accounts: tuple[str, ...]) -> None:
        """Remember it."""
        self.stuck.append(accounts)


class SleepingClock(SteeredClock):
    """A clock of a machine that can be suspended: the wall goes on then, and what only grows stands still."""

    suspended = 0.0

    def monotonic(self) -> float:
        """Seconds that only grow, less those that were slept through."""
        return super().monotonic() - self.suspended

    def suspend(self, seconds: float) -> None:
        """Sleep through so many seconds."""
        self.suspended += seconds
        self.advance(seconds)


def test_a_suspend_is_noticed_at_the_next_look() -> None:
    """An hour that only the wall clock counted is told once; ordinary time is not."""
    clock, watched = SleepingClock(), Watched()
    watchdog = Watchdog(Supervisor({}), clock, watched)
    clock.advance(5)
    watchdog.look()
    clock.suspend(3600)
    clock.advance(5)
    watchdog.look()
    clock.advance(5)
    watchdog.look()
    assert watched.jumps == [3600.0]


def test_an_account_that_stands_still_is_named_once_before_the_end() -> None:
    """Halfway to the watchdog's end the log says who keeps it from being fed, and not again and again."""
    clock, watched = SleepingClock(), Watched()
    watchdog = Watchdog(Supervisor({}), clock, watched)
    for _ in range(60):
        watchdog.look()
        clock.advance(5)
    assert watched.stuck == [("acme",)]


def test_a_full_disk_pauses_the_polls_and_room_resumes_them(tmp_path: Path) -> None:
    """Below the floor nothing is asked for and the account is `paused` with advice; with room it is `ok` again."""

    async def story() -> None:
        clock = SteeredClock()
        with Simulator(World(clock, seed=5)) as sim:
            sim.world.add_message(sim.world.new_conversation(), "hello")
            rig = Rig(sim, tmp_path / "syncd.db", clock)
            await rig.start()
            rig.mirror.check_room = lambda: check_room(rig.path, floor=1 << 60)
            await rig.poll()
            assert (rig.account()["state"], len(sim.requests)) == ("paused", 0)
            assert "free disk space" in rig.account()["last_error"]
            rig.mirror.check_room = lambda: check_room(rig.path)
            await rig.poll()
            assert (rig.account()["state"], rig.differences()) == ("ok", [])
            await rig.stop()

    asyncio.run(story())
