"""Serves on a port until a signal arrives, and then finishes the accepted requests."""

import asyncio
import contextlib
import ipaddress
import socket
import types
from typing import Any

import uvicorn

from trm_jax.core.errors import UserError
from trm_jax.server.bounds import Bounds
from trm_jax.server.connection import Connection
from trm_jax.server.engine import Engine

KEEP_ALIVE_SECONDS = 30
CLOSING_SECONDS = 5.0
"""Time limit at the end for responses to puzzles that are answered."""
BACKLOG = 512


class _Server(uvicorn.Server):
    """Stops in two stages: it refuses new puzzles, then exits when the others are answered."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        """Called by signals; the second one exits at once."""
        if self._engine.closed:
            self.should_exit = self.force_exit = True
        self._engine.close()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times per second."""
        if self._engine.closed and self._engine.idle:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for the last responses, and then drops connections that are still open."""
        timer = asyncio.get_running_loop().call_later(CLOSING_SECONDS, self._drop)
        await super().shutdown(sockets)
        timer.cancel()
        self._drop(stuck=True)  # a second signal may have ended the wait
        await asyncio.sleep(0.05)  # for tasks that were waiting for these connections

    def _drop(self, *, stuck: bool = False) -> None:
        """Drops all connections, or only those whose clients do not read."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection) and (connection.stuck or not stuck):
                connection.transport.abort()


def bind(host: str, port: int) -> socket.socket:
    """Opens a listening socket.

    Args:
      host: name or address; IPv6 addresses may have brackets.
      port: port number; 0 for a free port.

    Raises:
      UserError: there is no such host, or the port is in use, not allowed or out of range.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"--port is {port}; give a number in [0, {2**16 - 1}].")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--host {host} --port {port} cannot be listened on ({reason}); give others, or "
            "--port 0 for a free port."
        ) from error


def address(listening: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine can connect to a listening socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def run(app: Any, listening: socket.socket, engine: Engine, bounds: Bounds) -> None:
    """Serves until SIGTERM or SIGINT, and until all accepted puzzles are answered.

    Raises:
      Exception: the error that ended the program.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        loop="asyncio",
        # a logging configuration would close the stream of absl's handler
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(2 * CLOSING_SECONDS) + 1,
        limit_concurrency=bounds.connections,
    )
    engine.start()
    try:
        with contextlib.closing(listening):
            _Server(config, engine).run(sockets=[listening])
    finally:
        engine.stop()
    if engine.failure:
        raise engine.failure
