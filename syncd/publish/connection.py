"""A connection to the target: short of patience, and cut off in an instant."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from syncd.errors import PublishError
from syncd.publish.troubles import explain, explain_connecting

_CONNECT_SECONDS = 10
_SETTINGS = b"""
SET LOCAL statement_timeout = '110s';
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = '60s'
"""
"""Of each transaction, as behind a pooler the session may be anybody's. The server's own word that something was too
slow comes before our patience ends; and if we vanish, what we have locked is free again for whoever comes next."""


class Line:
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


def connect(url: str, password: str | None, target: str, schema: str) -> Line:
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
    return Line(connection, target, schema)
