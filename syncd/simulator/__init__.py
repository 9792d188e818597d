"""A local OpenTrain with made-up data and faults on demand; it imports nothing else of syncd."""

from syncd.simulator.faults import Fault, Faults, RequestLog, RequestRecord
from syncd.simulator.inbox import Scenario, World
from syncd.simulator.openats import Team
from syncd.simulator.paging import Quirks
from syncd.simulator.server import Simulator, serve

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
