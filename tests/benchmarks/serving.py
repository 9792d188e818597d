"""Start the benchmarks' server, and ask it what it was asked."""

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks.inbox import count_pages, plan_lengths
from benchmarks.processes import module
from benchmarks.server import CONTROL, PREFIX

TOKEN: Final = "ot_pat_bench_0123456789abcdef"
IN_FLIGHT: Final = 16


@dataclass(frozen=True)
class Figures:
    """What the server has seen so far: requests, bytes of bodies sent, polls begun, its own CPU seconds."""

    requests: int
    bytes: int
    polls: int
    cpu: float

    def __sub__(self, before: "Figures") -> "Figures":
        """What came after `before`."""
        return Figures(
            requests=self.requests - before.requests,
            bytes=self.bytes - before.bytes,
            polls=self.polls - before.polls,
            cpu=self.cpu - before.cpu,
        )


@dataclass(frozen=True)
class Server:
    """A running server; `url` is its origin, `lengths` how many messages each conversation has."""

    url: str
    port: int
    lengths: list[int]

    @property
    def messages(self) -> int:
        """How many messages there are."""
        return sum(self.lengths)

    @property
    def least_requests(self) -> int:
        """The fewest that fetch everything once."""
        return count_pages(self.lengths)

    def figures(self) -> Figures:
        """What it has seen so far."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", CONTROL)
            return Figures(**json.loads(connection.getresponse().read()))

    def measure_round_trip(self, times: int = 41) -> float:
        """Seconds from a small request to the end of its answer, on an open connection; the median."""
        taken = []
        with closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            for _ in range(times):
                began = perf_counter()
                connection.request("GET", f"{PREFIX}/messages?limit=1")
                connection.getresponse().read()
                taken.append(perf_counter() - began)
        return median(taken)


@contextmanager
def serving(conversations: int, messages: int, *, latency: float = 0.0, lean: bool = False) -> Iterator[Server]:
    """A server of such an inbox in a process of its own, ready to answer."""
    words = [str(conversations), str(messages), "--latency", str(latency), *(["--lean"] if lean else [])]
    command, environ = module("benchmarks.server", *words)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Server(f"http://127.0.0.1:{port}", port, plan_lengths(conversations, messages))
        finally:
            process.kill()
