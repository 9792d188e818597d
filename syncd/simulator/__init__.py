"""A local OpenTrain with made-up data and faults on demand; it imports nothing else of syncd."""

from syncd.simulator.faults import Fault, Faults
from syncd.simulator.openats import Team
from syncd.simulator.quirks import Quirks
from syncd.simulator.requests import RequestLog, RequestRecord
from syncd.simulator.scenario import Scenario
from syncd.simulator.server import Simulator, serve
from syncd.simulator.world import World

__all__ = [
    "Fault",
    "Faults",
    "Quirks",
    "RequestLog",
    "RequestRecord",
    "Scenario",
    "Simulator",
    "Team",
    "World",
    "serve",
]
