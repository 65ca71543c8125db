"""Refuses requests that reach a local server under a foreign name.

Browsers let a page send requests to its own host name, and whoever owns a name can point it to
127.0.0.1 (DNS rebinding). The Host header still has the name.
"""

import ipaddress
import re
from typing import Any

from starlette.datastructures import Headers

from trm_jax.server.refusals import CLOSE, refusal

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::[0-9]*)?")


class LocalHosts:
    """ASGI middleware that answers requests for other hosts than loopback ones with status 421."""

    def __init__(self, app: Any) -> None:
        """Wraps an application."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        # programs may leave the header out, and browsers do not
        hosts = Headers(scope=scope).getlist("host") if scope["type"] == "http" else []
        if all(map(is_local_host, hosts)):
            await self._app(scope, receive, send)
            return
        words = "this server is for its own machine: use localhost or 127.0.0.1 as its name."
        await refusal(421, words, CLOSE)(scope, receive, send)


def is_local_host(host: str) -> bool:
    """Whether the value of a Host header is localhost or a loopback address, with any port."""
    found = _HOST.fullmatch(host.strip())
    if not found:
        return False
    name = found[1] or found[2]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
