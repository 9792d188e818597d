"""The simulator as a running server: a thread of its own, a real socket, a clean stop."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from syncd.simulator.app import PREFIX, make_app
from syncd.simulator.control import Control, make_control
from syncd.simulator.faults import Faults
from syncd.simulator.listener import Listener
from syncd.simulator.openats import Team
from syncd.simulator.openats_app import make_openats, side_by_side
from syncd.simulator.quirks import Quirks
from syncd.simulator.requests import RequestLog
from syncd.simulator.scenario import Scenario
from syncd.simulator.wire import Hook, Wire
from syncd.simulator.world import World


class Simulator:
    """An OpenTrain server on loopback: `with Simulator() as sim: …sim.url, sim.token…`.

    It serves OpenATS too, at `sim.openats_url`, from `sim.team`.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        team: Team | None = None,
        quirks: Quirks | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        **size: Any,
    ) -> None:
        self.world = world or World.generate(**size)
        self.team = team or Team.generate(size.get("seed", 1), clock=self.world.clock)
        self.quirks = quirks or Quirks()
        self.faults = Faults()
        self.requests = RequestLog()
        self.host = host
        self.port = port
        control = Control(self.world, self.team, self.quirks, self.faults, self.requests, lambda: self.url)
        api = side_by_side(make_app(self.world, self.quirks), PREFIX, make_openats(self.team))
        self._wire = Wire(api, make_control(control), self.world, self.faults, self.requests)
        self._listener: Listener | None = None
        self._scenario: Scenario | None = None

    @property
    def url(self) -> str:
        """The origin to put in a configuration."""
        return f"http://{self.host}:{self.port}"

    @property
    def openats_url(self) -> str:
        """The base_url of an OpenATS account."""
        return f"{self.url}/api"

    @property
    def token(self) -> str:
        """The owner's token with every scope."""
        return self.world.token

    @property
    def on_request(self) -> Hook | None:
        """Called (and awaited) in the server's thread before each answer."""
        return self._wire.hook

    @on_request.setter
    def on_request(self, hook: Hook | None) -> None:
        self._wire.hook = hook

    def start(self) -> Self:
        """Listen; returns when connections are accepted."""
        listener = Listener(self._wire, self.host, self.port)
        self.port = listener.port
        self._listener = listener
        listener.start()
        return self

    def stop(self) -> None:
        """Break every connection, stop listening and end the scenario."""
        if self._scenario:
            self._scenario.stop()
            self._scenario = None
        self.pause()

    def pause(self) -> None:
        """Stop listening: connections are refused until `resume`."""
        if self._listener:
            self._listener.stop()
            self._listener = None

    def resume(self) -> None:
        """Listen again on the same port."""
        self.start()

    def play(self, *, every: float = 1.0, seed: int = 1) -> Scenario:
        """Let seeded happenings occur, one every so many seconds on average, until the simulator stops."""
        self._scenario = Scenario(self.world, seed=seed, team=self.team)
        self._scenario.start(every)
        return self._scenario

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    *,
    announce: Callable[[str], None],
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    live: bool = True,
    **size: Any,
) -> None:
    """Run a simulator until SIGINT or SIGTERM; `announce` gets the text to print once it listens."""
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Simulator(host=host, port=port, seed=seed, **size) as simulator:
            if live:
                simulator.play(seed=seed)
            announce(render_welcome(simulator))
            ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def render_welcome(simulator: Simulator) -> str:
    """What a person needs to use the simulator from another terminal."""
    return "\n".join(
        (
            f"OpenTrain simulator at {simulator.url} with {len(simulator.world.conversations)} conversations.",
            "In another terminal:",
            f"  export OT_API_BASE_URL={simulator.url}",
            f"  export OT_API_TOKEN={simulator.token}",
            f"It serves OpenATS too, at {simulator.openats_url} (no token).",
            "Ctrl-C ends it.",
        )
    )
