"""The server's page: a fixed set of files, read once."""

import functools
from collections.abc import Awaitable, Callable
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

FILES = {
    "/": ("server", "serve.html", "text/html"),
}
"""By address: the package and the name of the asset, and its type."""


def endpoint(path: str) -> Callable[[Request], Awaitable[Response]]:
    """The route of one of `FILES`."""
    content, kind = _content(path), FILES[path][2]

    async def send(_: Request) -> Response:
        return Response(content, media_type=kind)

    return send


@functools.cache
def _content(path: str) -> str:
    package, name, _ = FILES[path]
    return (resources.files("trm_jax") / package / "assets" / name).read_text(encoding="utf-8")
