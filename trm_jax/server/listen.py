"""Listens on a port until it is asked to stop, and then finishes what is in flight."""

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
"""In which a connection has to send the head of its first request, and all of each later one."""
MAX_HEAD = 1 << 16
"""Max bytes of a request's head, and of the trailers behind its body; about, since what arrives
together is counted together."""
BACKLOG = 512


class _Impatient(HttpToolsProtocol):
    """Closes connections whose heads are late or too large, both of which uvicorn allows."""

    _timer: asyncio.TimerHandle | None = None
    _size = 0  # bytes since the last part of a body, or since the last request was complete

    def connection_made(self, transport: Any) -> None:
        """Starts the clock."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Starts the clock where a head begins."""
        between = self.cycle is None or self.cycle.response_complete
        if between and self._timer is None:
            self._start()
        self._size += len(data)
        super().data_received(data)
        if self._size > MAX_HEAD and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """Stops the clock."""
        self._stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Counts anew."""
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Counts anew."""
        self._size = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
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
    """Stops in two stages: it refuses new puzzles, and closes once the others are answered."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        """Is called by signals; the second one closes at once."""
        if self._engine.closed:
            self.should_exit = self.force_exit = True
        self._engine.close()

    async def on_tick(self, counter: int) -> bool:
        """Is called ten times a second."""
        if self._engine.closed and self._engine.idle:
            self.should_exit = True
        return await super().on_tick(counter)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
      host: name or address.
      port: 0 takes a free one.

    Raises:
      UserError: there is no such host, or the port is taken or not allowed.
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
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(app: Any, listening: socket.socket, engine: Engine, bounds: Bounds) -> None:
    """Serves until SIGTERM or SIGINT, and until all that was accepted is answered.

    Raises:
      Exception: what broke the program down.
    """
    config = uvicorn.Config(
        app,
        http=_Impatient,
        loop="asyncio",
        # a logging configuration would close what absl's handler writes to
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
