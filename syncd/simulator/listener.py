"""uvicorn in a thread: starts at once, stops at once, and lets faults reach the connection."""

import asyncio
import socket
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncd.simulator.exchange import App

_SECONDS = 5.0


class ReachableProtocol(H11Protocol):
    """HTTP/1.1 that tells the application its connection, as `scope["state"]["transport"]`."""

    def connection_made(self, transport: Any) -> None:
        """Note the connection for every request on it."""
        super().connection_made(transport)
        # asyncio sets this only where the socket names its protocol; without it each answer waits 40 ms for an ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "transport": transport}


class PromptServer(uvicorn.Server):
    """A server that says when it listens and stops without waiting for its clients."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.listening.set()

    async def main_loop(self) -> None:
        """Wait to be stopped, instead of looking ten times a second."""
        await self._stopping.wait()

    def stop(self) -> None:
        """Ask from another thread for the end."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Break every connection, which ends every request, stalled ones too."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=1)


class Listener:
    """One bound address served by one thread."""

    def __init__(self, app: App, host: str, port: int) -> None:
        self._socket = socket.create_server((host, port), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self._server = PromptServer(_config(app))
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> None:
        """Serve in the background; returns when connections are accepted."""
        self._thread.start()
        if not self._server.listening.wait(_SECONDS):
            raise TimeoutError("the simulator did not start")

    def stop(self) -> None:
        """End the thread and close the socket."""
        self._server.stop()
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._socket]))


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ReachableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=600,
    )
