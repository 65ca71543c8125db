"""The connection of a client, with limits on its time and its size."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""Time limit of a connection for the head of its first request, and for each later request."""
MAX_HEAD = 1 << 16
"""Approximate maximum size in bytes of a request's head, and of the trailers after its body: data
that arrives together is counted together."""
WRITE_SECONDS = 10.0
"""Time limit of a connection for reading some more of a response."""
MAX_PIPELINED = 16
"""Maximum number of requests that a connection may send before the response to an earlier one."""


class Connection(HttpToolsProtocol):
    """Closes connections of clients that are slow or send too much; uvicorn has no limits for it.

    These are: heads that are late or too large, too many requests before their responses, and
    responses that are not read.
    """

    _timer: asyncio.TimerHandle | None = None
    _size = 0  # bytes since the last part of a body, or since the last request was complete

    _write_timer: asyncio.TimerHandle | None = None
    _unread = 0  # bytes that waited to be written when the timer started

    @property
    def stuck(self) -> bool:
        """Whether the client has not read all of what was written."""
        return self._write_timer is not None

    def connection_made(self, transport: Any) -> None:
        """Starts the timer."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # to be told whenever something is not yet written
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
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
        if not self.transport.is_closing():  # the rest of the data still arrives here
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Resets the counter."""
        self._size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Resets the counter."""
        self._size = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Starts the timer of a response that is not read."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Stops this timer."""
        super().resume_writing()
        self._stop_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timers."""
        self._stop()
        self._stop_writing()
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

    def _await_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._check_reading)

    def _check_reading(self) -> None:
        if self.transport.get_write_buffer_size() < self._unread:
            self._await_reading()
        else:
            self.transport.abort()

    def _stop_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
        self._write_timer = None
