"""How long the target is waited for: not beyond a stall, and not beyond a signal to stop."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer
from types import FrameType

from syncd.errors import PublishError
from syncd.publish.connection import Line

STALL_SECONDS = 120.0
"""How long the target may neither answer nor take anything."""
_LET_GO = "was let go of"
_AT_ONCE_BYTES = 4096
_LAST_SECONDS = 3.0
"""How long a stop may take; what is not committed by then is as if it had never begun."""


class Patience:
    """Cuts the line that it watches; for the main thread, where signals arrive.

    `stopping`: it is time to stop; `news`: it is, or whoever started us has written something.
    """

    def __init__(self) -> None:
        self.stopping = Event()
        self.news = Event()
        self.interrupted = False
        self._line: Line | None = None
        self._connecting = False

    @contextmanager
    def heeding(self, *, until_eof: bool = False) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT; with `until_eof` not at SIGINT, but when standard input ends.

        Whatever comes by standard input until then is news.
        """
        heeded = {signal.SIGTERM: self._stop, signal.SIGALRM: self._give_up}
        heeded[signal.SIGINT] = _ignore if until_eof else self._stop
        before = {number: signal.signal(number, heed) for number, heed in heeded.items()}
        if until_eof:
            Thread(target=self._listen, name="listening", daemon=True).start()
        try:
            yield
        finally:
            self.rest()
            for number, heed in before.items():
                signal.signal(number, heed)

    def connect(self, connect: Callable[[], Line]) -> Line:
        """Connect; from then on that is the line to cut. Raises PublishError."""
        self._connecting = True
        try:
            self._line = connect()
        finally:
            self._connecting = False
        if self.stopping.is_set():
            self._line.cut(_LET_GO)
        return self._line

    def expect(self) -> None:
        """Something is asked of the target, or it has just got on: from now on it may take so long again."""
        signal.setitimer(signal.ITIMER_REAL, STALL_SECONDS)

    def rest(self) -> None:
        """Nothing is asked of it."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.interrupted = number == signal.SIGINT
        self.stopping.set()
        self.news.set()
        last = Timer(_LAST_SECONDS, os._exit, (0,))  # a name server, say, keeps even a signal waiting
        last.daemon = True
        last.start()
        if self._connecting:
            raise PublishError(f"the target {_LET_GO}")  # out of the wait for its answer
        if self._line is not None:
            self._line.cut(_LET_GO)

    def _listen(self) -> None:
        while os.read(sys.stdin.fileno(), _AT_ONCE_BYTES):
            self.news.set()
        os.kill(os.getpid(), signal.SIGTERM)

    def _give_up(self, _: int, __: FrameType | None) -> None:
        if self._line is not None:
            self._line.cut(f"has not answered for {STALL_SECONDS:.0f} s")


def _ignore(_: int, __: FrameType | None) -> None:
    """Leave it to whoever started us."""
