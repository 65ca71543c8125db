"""Security headers of every response, and the count of responses."""

import asyncio
from collections.abc import Collection
from typing import Any

from starlette.datastructures import MutableHeaders

from trm_jax.server.meters import Meters
from trm_jax.server.refusals import closing

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SecureHeaders:
    """ASGI middleware that adds `HEADERS` and counts responses by path and status.

    Requests that are cancelled get status 503.
    """

    def __init__(self, app: Any, meters: Meters, paths: Collection[str]) -> None:
        """Wraps an application with these paths; all others are counted as "other"."""
        self._app, self._meters, self._paths = app, meters, frozenset(paths)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"

        begun = False

        async def add(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                self._meters.request(path, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, add)
        except asyncio.CancelledError:  # a second signal ends the loop, and with it all requests
            if not begun:
                await closing()(scope, receive, add)
