"""Errors as responses: a status, and one sentence of JSON."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

CLOSE = {"Connection": "close"}


def refusal(status: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response with an error."""
    return JSONResponse({"error": words}, status, headers=dict(headers or {}))


def closing() -> Response:
    """The response to requests that come too late."""
    return refusal(503, "the server is shutting down.", CLOSE)
