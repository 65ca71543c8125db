"""The files of the web page. They are read once; no request is looked up on the disk."""

from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from trm_jax.show.trace_page import asset, fill

SCRIPT, STYLE, HTML = "text/javascript", "text/css", "text/html"

Endpoint = Callable[[Request], Awaitable[Response]]


def endpoints() -> Mapping[str, Endpoint]:
    """The routes of the page and its files, by path; traces share the code that draws and plays."""
    own = {name: _own(name) for name in ("serve.html", "serve.js", "serve.css")}
    return {
        "/": _endpoint(fill(own["serve.html"], {"player": asset("player.html")}), HTML),
        "/assets/serve.js": _endpoint(own["serve.js"], SCRIPT),
        "/assets/serve.css": _endpoint(own["serve.css"], STYLE),
        "/assets/trace.js": _endpoint(asset("trace.js"), SCRIPT),
        "/assets/candidates.js": _endpoint(asset("candidates.js"), SCRIPT),
        "/assets/trace.css": _endpoint(asset("trace.css"), STYLE),
    }


def _endpoint(content: str, kind: str) -> Endpoint:
    async def send(_: Request) -> Response:
        return Response(content, media_type=kind)

    return send


def _own(name: str) -> str:
    return (resources.files("trm_jax") / "server" / "assets" / name).read_text(encoding="utf-8")
