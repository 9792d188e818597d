"""Tell systemd how it goes: the few lines that the sd_notify protocol needs (sd_notify(3)).

Without `$NOTIFY_SOCKET`, so everywhere but under systemd, nothing is told and nothing fails.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

_MICROSECONDS = 1_000_000


class Supervisor:
    """What started us and watches over us, if it is one that wants to hear."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _parse_address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _parse_watchdog(environ) if self._address else None
        self._status: str | None = None

    def say_ready(self, status: str | None = None) -> None:
        """All that does not depend on the network is up, or up again after `say_reloading`."""
        self._tell("READY=1", *self._changed(status))

    def say_reloading(self, monotonic: float) -> None:
        """The configuration is read again, since so many seconds on the clock that only grows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={round(monotonic * _MICROSECONDS)}")

    def say_stopping(self) -> None:
        """The end has begun."""
        self._tell("STOPPING=1")

    def say_status(self, status: str) -> None:
        """One line for people, shown by `systemctl status`; told only when it changed."""
        self._tell(*self._changed(status))

    def ping(self) -> None:
        """We get on; without this for `watchdog_seconds` the service is started anew."""
        self._tell("WATCHDOG=1")

    def _changed(self, status: str | None) -> tuple[str, ...]:
        if status is None or status == self._status:
            return ()
        self._status = status
        return (f"STATUS={' '.join(status.split())}",)

    def _tell(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        with (
            suppress(OSError),  # a supervisor that does not listen must not stop what it supervises
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender,
        ):
            sender.sendto("\n".join(lines).encode(), self._address)


def _parse_address(text: str) -> str | None:
    """The socket's address; a leading "@" stands for the abstract namespace's null byte."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _parse_watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds within which a ping is wanted; None where none is, or where it is another process's."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / _MICROSECONDS if text.isascii() and text.isdigit() and int(text) else None
