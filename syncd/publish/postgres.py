"""A connection to PostgreSQL: its time-outs, its end, and what its errors mean."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread, Timer
from types import FrameType
from typing import Any

import psycopg

from syncd.errors import PublishError

_CONNECT_SECONDS = 10
_SETTINGS = b"""
SET LOCAL statement_timeout = '110s';
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = '60s'
"""
"""Of each transaction, as behind a pooler the session may be anybody's. The server's own word that something was too
slow comes before our patience ends; and if we vanish, what we have locked is free again for whoever comes next."""


class TargetConnection:
    """One session; `target` is what messages call it, `schema` where the tables are."""

    def __init__(self, connection: "psycopg.Connection", target: str, schema: str) -> None:
        self._connection = connection
        self.target = target
        self.schema = schema
        self._cut_because: str | None = None

    @contextmanager
    def transaction(self) -> Iterator["psycopg.Cursor"]:
        """Commit what is done inside, all or nothing; raises PublishError. The line is of no use after an error."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(_SETTINGS)
                yield cursor
            self._connection.commit()
        except psycopg.Error as error:
            self.close()
            if self._cut_because is not None:
                raise PublishError(f"{self.target} {self._cut_because}; see what keeps it busy") from None
            raise explain(error, self.target) from None
        except BaseException:
            self.close()
            raise

    def cut(self, because: str | None = None) -> None:
        """Break whatever waits for the server, from a signal's handler: it fails at once, and says `because`."""
        self._cut_because = self._cut_because or because
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go without waiting for the server; what is not committed is undone there."""
        self.cut()
        self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether nothing more can be asked."""
        return bool(self._connection.closed)


def connect(url: str, password: str | None, target: str, schema: str) -> TargetConnection:
    """Raises PublishError; libpq's own ways to a password work where `password` is None."""
    given: dict[str, Any] = {} if password is None else {"password": password}
    try:
        # No prepared statements: a pooler may hand each transaction to another session.
        connection = psycopg.connect(
            url,
            connect_timeout=_CONNECT_SECONDS,
            # A connection that a firewall has forgotten is found out in half a minute.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=30_000,
            application_name="syncd",
            client_encoding="utf8",
            prepare_threshold=None,
            **given,
        )
    except psycopg.Error as error:
        raise explain_connecting(error, target) from None
    return TargetConnection(connection, target, schema)


# How long the target is waited for: not beyond a stall, and not beyond a signal to stop.


STALL_SECONDS = 120.0
"""How long the target may neither answer nor take anything."""
_LET_GO = "was let go of"
_AT_ONCE_BYTES = 4096
_LAST_SECONDS = 3.0
"""How long a stop may take; what is not committed by then is as if it had never begun."""


class Timeouts:
    """Cuts the line that it watches; for the main thread, where signals arrive.

    `stopping`: it is time to stop; `news`: it is, or whoever started us has written something.
    """

    def __init__(self) -> None:
        self.stopping = Event()
        self.news = Event()
        self.interrupted = False
        self._line: TargetConnection | None = None
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

    def connect(self, connect: Callable[[], TargetConnection]) -> TargetConnection:
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


# PostgreSQL's errors → one line that says what to do, and the exit code that goes with it.


_AWAY, _REFUSED, _FOREIGN = 69, 77, 78

_KNOWN = {
    "28000": (_REFUSED, "check the user of [publish] and its right to connect"),
    "28P01": (_REFUSED, "check the password of [publish]"),
    "3D000": (_FOREIGN, "create the database, or name another in the URL"),
    "42501": (_REFUSED, "GRANT CREATE on the database, or USAGE and CREATE on the schema, to the user of [publish]"),
    "42P01": (_FOREIGN, "its tables were changed by hand; drop the schema, and syncd publishes it anew"),
    "42703": (_FOREIGN, "its tables were changed by hand; drop the schema, and syncd publishes it anew"),
    "42P10": (_FOREIGN, "its tables were changed by hand; drop the schema, and syncd publishes it anew"),
    "25006": (_AWAY, "it only takes reads now; name the primary server in the URL, or wait until it takes writes"),
    "53100": (_AWAY, "free disk space there"),
    "53200": (_AWAY, "it is out of memory"),
    "53300": (_AWAY, "it has too many connections; raise max_connections there, or use a pooler"),
    "55P03": (_AWAY, "another session keeps the rows locked; end it, or wait"),
    "57014": (_AWAY, "it was too slow; see what keeps it busy"),
    "25P03": (_AWAY, "it was too slow; see what keeps it busy"),
    "57P01": (_AWAY, "it is stopping; start it again"),
    "57P02": (_AWAY, "it has crashed; see its log"),
    "57P03": (_AWAY, "it is starting or stopping; wait"),
}
_CLASSES = {"08": _AWAY, "40": _AWAY, "53": _AWAY, "57": _AWAY, "58": _AWAY, "28": _REFUSED}
_OF_VALUES = frozenset({"22", "23"})
"""Classes whose words may repeat a value, which may be somebody's message."""


def explain(error: psycopg.Error, target: str) -> PublishError:
    """What a statement came to that failed."""
    state = error.sqlstate or ""
    if error.sqlstate is None:
        return PublishError(f"the connection to {target} broke: {_words(error)}; check that it runs", exit_code=_AWAY)
    code, advice = _KNOWN.get(state, (_CLASSES.get(state[:2], 1), "see the server's log"))
    what = f"a value of {_place(error)} can't be stored" if state[:2] in _OF_VALUES else _words(error)
    return PublishError(f"{target}: {what} ({state}); {advice}", exit_code=code)


def explain_connecting(error: psycopg.Error, target: str) -> PublishError:
    """What a connection came to that could not be made; the server's codes do not come through here."""
    attempt = error.pgconn
    if attempt is not None and attempt.needs_password:
        ways = "password_env, _file, _command or _credential in [publish], PGPASSWORD or ~/.pgpass"
        return PublishError(f"{target} asks for a password; give it by {ways}", exit_code=_REFUSED)
    if attempt is not None and attempt.used_password:
        advice = "check user, password and database"
        return PublishError(f"{target} refuses: {_words(error)}; {advice}", exit_code=_REFUSED)
    return PublishError(f"{target} can't be reached: {_words(error)}; check that it runs, and the URL", exit_code=_AWAY)


def _place(error: psycopg.Error) -> str:
    names = (error.diag.table_name, error.diag.column_name)
    return ".".join(name for name in names if name) or "some table"


def _words(error: psycopg.Error) -> str:
    """The first line, without what the server adds about the statement and its values."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0].rstrip(".;")
