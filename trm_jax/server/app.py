"""The HTTP interface: routes, limits, and errors as one sentence of JSON."""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trm_jax.core.errors import UserError
from trm_jax.server import page_files
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import ClosedError, Engine, FullError, Order
from trm_jax.server.headers import SecureHeaders
from trm_jax.server.local_hosts import LocalHosts
from trm_jax.server.received import Asked, read_body, read_one
from trm_jax.server.refusals import CLOSE, closing, refusal
from trm_jax.server.replies import end_of, replies, trace_records
from trm_jax.tasks.task import Shape, Tokens, task_of

MAX_WORDS = 500
"""Characters of an error that may quote what was sent."""
TEXT_TYPES = ("text/", "application/x-www-form-urlencoded", "application/octet-stream")

Handler = Callable[[Request], Awaitable[Response]]


@dataclasses.dataclass(frozen=True)
class Service:
    """The routes and what they need.

    Attributes:
      engine: runs the program.
      shape: form of the model's puzzles.
      facts: content of `/api/info`.
      samples: questions uint8 [m, S] for `/api/random`; None if there are none.
    """

    engine: Engine
    shape: Shape
    facts: Mapping[str, Any]
    samples: Tokens | None

    @property
    def bounds(self) -> Bounds:
        """The limits of the engine."""
        return self.engine.bounds

    async def solve(self, request: Request) -> Response:
        """`POST /api/solve`."""
        asked = await self._asked(request)
        if isinstance(asked, Response):
            return asked
        order = await self._answered(request, asked)
        if isinstance(order, Response):
            return order
        answers = replies(self.shape, order)
        for outcome, reply in zip(order.outcomes, answers, strict=True):
            assert outcome is not None
            self.engine.meters.puzzle(end_of(reply), outcome.queue_seconds, outcome.compute_seconds)
        if all(reply["timed_out"] for reply in answers):
            return refusal(504, f"no answer within {self.bounds.seconds:g} s.")
        content: dict[str, Any] = {"model": self.facts["model"], "answers": answers}
        if asked.trace:
            content["traces"] = trace_records(self.shape, order)
        return JSONResponse(content)

    async def _asked(self, request: Request) -> Asked | Response:
        """The puzzles of a request, or a response with the error."""
        body = await self._sent(request)
        if isinstance(body, Response):
            return body
        is_json = "json" in _kind(request) or body.lstrip()[:1] == b"{"
        trace = request.query_params.get("trace", "").lower() in ("1", "true")
        try:
            return read_body(self.shape, body, is_json, trace, self.bounds)
        except UserError as error:
            return refusal(400, _bounded(str(error)))

    async def _sent(self, request: Request) -> bytes | Response:
        """The body of a request, or a response with the error."""
        kind = _kind(request)
        if "json" not in kind and not kind.startswith(TEXT_TYPES):
            return refusal(415, "send application/json, or text/plain.", CLOSE)
        try:
            async with asyncio.timeout(self.bounds.body_seconds):
                body = await _body(request, self.bounds.body_kib * 1024)
        except TimeoutError:
            words = f"the body did not arrive within {self.bounds.body_seconds:g} s."
            return refusal(408, words, CLOSE)
        except ClientDisconnect:
            return refusal(400, "the connection was closed before the body had arrived.", CLOSE)
        if body is None:
            words = f"the body is larger than {self.bounds.body_kib} KiB; send fewer puzzles."
            return refusal(413, words, CLOSE)
        return body

    async def _answered(self, request: Request, asked: Asked) -> Order | Response:
        """The order after it is answered, or a response with the error."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def deliver(_: Order) -> None:
            loop.call_soon_threadsafe(finish)

        order = Order(asked.questions, asked.trace, deliver)
        try:
            self.engine.submit(order)
        except FullError as full:
            words = f"{self.bounds.queue} puzzles are waiting; try again in {full.seconds} s."
            return refusal(429, words, {"Retry-After": str(full.seconds)})
        except ClosedError:
            return closing()
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not done.done():
                self.engine.cancel(order)
        if not done.done():
            return Response(status_code=499)
        if order.failed:
            return refusal(500, "the program failed; see the log of the server.", CLOSE)
        return order

    async def health(self, _: Request) -> Response:
        """`GET /api/health`."""
        if self.engine.closed:
            return JSONResponse({"status": "shutting down"}, 503)
        return JSONResponse({"status": "ok"})

    async def info(self, _: Request) -> Response:
        """`GET /api/info`."""
        return JSONResponse(self.facts)

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics`."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self.engine.meters.text(), media_type=kind)

    async def random(self, _: Request) -> Response:
        """`GET /api/random`."""
        if self.samples is None:
            return refusal(404, "there are no puzzles to draw from.")
        return self._question(random.choice(self.samples))

    async def read(self, request: Request) -> Response:
        """`POST /api/read`: the puzzle of a text, which may contradict the rules."""
        body = await self._sent(request)
        if isinstance(body, Response):
            return body
        try:
            return self._question(read_one(self.shape, body))
        except UserError as error:
            return refusal(400, _bounded(str(error)))

    def _question(self, question: Tokens) -> Response:
        task = task_of(self.shape)
        grid = task.write_array(self.shape, question).tolist()
        content = {"text": task.write(self.shape, question), "grid": grid}
        return JSONResponse(content | {"tokens": question.tolist()})


def make_app(service: Service, *, local: bool) -> Any:
    """The ASGI application.

    Args:
      service: the routes.
      local: whether only this machine can connect, so that other names for it are refused.
    """

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {404: "there is nothing at this address.", 405: "this method is not allowed here."}
        said = words.get(error.status_code, f"{error.detail}.")
        return refusal(error.status_code, said, error.headers)

    async def broken(_: Request, error: Exception) -> Response:
        return refusal(500, "internal error; see the log of the server.", CLOSE)

    routes = [
        Route("/api/solve", service.solve, methods=["POST"]),
        Route("/api/read", service.read, methods=["POST"]),
        Route("/api/health", service.health),
        Route("/api/info", service.info),
        Route("/api/random", service.random),
        Route("/metrics", service.metrics),
    ]
    routes += [Route(path, send, name=path) for path, send in page_files.endpoints().items()]
    handlers: Any = {HTTPException: refused, Exception: broken}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False  # they repeat the Host header of the client
    return SecureHeaders(
        LocalHosts(app) if local else app, service.engine.meters, {route.path for route in routes}
    )


def _kind(request: Request) -> str:
    """The content type of a request."""
    return request.headers.get("content-type", "text/plain").lower()


async def _body(request: Request, limit: int) -> bytes | None:
    """The body of a request; None if it is larger than the limit, in bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


async def _gone(request: Request) -> None:
    """Returns when the client closes its connection; call it after the body is read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _bounded(words: str) -> str:
    """A sentence about what was sent, without most of it if it is long."""
    return words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]}..."
