"""Serves on a port until a signal arrives, and then finishes the accepted requests."""

import asyncio
import contextlib
import socket
import types
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trm_jax.core.errors import UserError
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import Engine

KEEP_ALIVE_SECONDS = 30
HEAD_SECONDS = 10.0
"""Time limit of a connection for the head of its first request, and for each later request."""
MAX_HEAD = 1 << 16
"""Approximate maximum size in bytes of a request's head, and of the trailers after its body: data
that arrives together is counted together."""
BACKLOG = 512


class _Impatient(HttpToolsProtocol):
    """Closes connections whose heads are late or too large; uvicorn has no limit for either."""

    _timer: asyncio.TimerHandle | None = None
    _size = 0  # bytes since the last part of a body, or since the last request was complete

    def connection_made(self, transport: Any) -> None:
        """Starts the timer."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Starts the timer at the beginning of a head."""
        between = self.cycle is None or self.cycle.response_complete
        if between and self._timer is None:
            self._start()
        self._size += len(data)
        super().data_received(data)
        if self._size > MAX_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """Stops the timer."""
        self._stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Resets the counter."""
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Resets the counter."""
        self._size = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timer."""
        self._stop()
        super().connection_lost(exc)

    def _refuse(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.send_400_response(f"The head is larger than {MAX_HEAD >> 10} KiB.")
        else:  # a response may have begun
            self.transport.close()

    def _start(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None


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


def bind(host: str, port: int) -> socket.socket:
    """Opens a listening socket.

    Args:
      host: name or address.
      port: port number; 0 for a free port.

    Raises:
      UserError: there is no such host, or the port is in use or not allowed.
    """
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


def run(app: Any, listening: socket.socket, engine: Engine, bounds: Bounds) -> None:
    """Serves until SIGTERM or SIGINT, and until all accepted puzzles are answered.

    Raises:
      Exception: the error that ended the program.
    """
    config = uvicorn.Config(
        app,
        http=_Impatient,
        loop="asyncio",
        # a logging configuration would close the stream of absl's handler
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(bounds.seconds) + 1,
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
