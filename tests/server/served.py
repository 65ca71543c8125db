"""A server of this process, on a free port, with a real model."""

import contextlib
import http.client
import json
import threading

from trm_jax.infer.chain_search import Limits
from trm_jax.infer.halting import Halt
from trm_jax.released.stored import load_released
from trm_jax.server import listen
from trm_jax.server.app import make_app
from trm_jax.server.bounds import Bounds
from trm_jax.server.start import Method, make_service

MODEL = "sudoku-4x4-lattice"


class Served:
    """A service that listens.

    Attributes:
      url: its address.
      service: what answers.
      failure: with which it ended.
    """

    def __init__(self, service, local=False):
        self.service = service
        self._socket = listen.bind("127.0.0.1", 0)
        self.url = listen.address(self._socket)
        self.port = self._socket.getsockname()[1]
        arguments = (make_app(service, local=local), self._socket, service.engine, service.bounds)
        self.failure = None
        self.thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self.thread.start()

    def _run(self, *arguments):
        try:
            listen.run(*arguments)
        except RuntimeError as error:
            self.failure = error

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method, path, body=None, kind="application/json"):
        """Status, headers, and the body, read as JSON where it is."""
        with contextlib.closing(self.connect()) as connection:
            headers = {"Content-Type": kind} if kind else {}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        if response.headers["content-type"] == "application/json":
            return response.status, response.headers, json.loads(content)
        return response.status, response.headers, content.decode()

    def solve(self, puzzles, **more):
        status, _, content = self.ask("POST", "/api/solve", json.dumps({"puzzles": puzzles} | more))
        return status, content

    def stop(self):
        self.service.engine.close()
        self.thread.join(60)
        assert not self.thread.is_alive()


def lattice_service(**bounds):
    """Of a released model, in few slots."""
    method = Method(4, 2, Halt(1), Limits(passes=64))
    return make_service(load_released(MODEL), MODEL, method, Bounds(**bounds))
