"""A server that has too much to do says so; one whose program breaks down ends."""

import contextlib
import socket
import threading
import time

import pytest

from tests.server.fakes import FakeProgram
from tests.server.served import Served
from tests.server.test_engine import until
from trm_jax.server import connection, listen
from trm_jax.server.app import Service
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import Engine
from trm_jax.server.meters import Meters

SHAPE = {"task": "sudoku", "box": [2, 2]}
PUZZLE = "1.....2..3....4."


@pytest.fixture
def serve():
    """Starts a server of a fake program of one row; its answers are wrong."""
    made = []

    def start(pause=0.0, **bounds):
        program = FakeProgram(rows=1, cells=16, seconds=pause)
        engine = Engine(program, Bounds(**bounds), Meters(1))
        made.append(Served(Service(engine, SHAPE, {"model": "fake"}, None)))
        return made[-1], program

    yield start
    for each in made:
        each.service.engine.program.gate.set()
        each.stop()


def test_beyond_the_queue_one_is_told_when_to_come_again(serve):
    served, program = serve(queue=2)
    program.gate.clear()
    threads = [threading.Thread(target=served.solve, args=([PUZZLE],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(served.service.engine._waiting) == 2)
    status, headers, content = served.ask("POST", "/api/solve", PUZZLE, None)
    assert status == 429 and int(headers["retry-after"]) >= 1
    assert content["error"].startswith("2 puzzles are waiting")
    assert served.ask("GET", "/api/health")[0] == 200
    program.gate.set()
    for thread in threads:
        thread.join(120)
    assert served.solve([PUZZLE])[0] == 200


def test_answers_are_checked_whoever_gives_them(serve):
    served, _ = serve()
    (answer,) = served.solve([PUZZLE])[1]["answers"]
    assert answer["solved"] is False and answer["broken"]


def test_what_is_too_slow_gets_504_or_its_part_of_an_answer(serve):
    served, _ = serve(pause=0.15, seconds=0.2)
    assert served.solve([PUZZLE.replace("1", ".")])[0] == 200
    status, content = served.solve(["." * 15 + "1", PUZZLE, PUZZLE, PUZZLE])
    assert status == 200
    assert content["answers"][0]["timed_out"] is False
    late = content["answers"][-1]
    assert late["timed_out"] and late["grid"] is None and late["solved"] is False
    slow, _ = serve(pause=0.15, seconds=0.1)
    status, content = slow.solve([PUZZLE])
    assert status == 504 and content == {"error": "no answer within 0.1 s."}


def test_who_hangs_up_takes_no_more_time(serve):
    served, program = serve(pause=0.02)
    engine = served.service.engine
    body = "\n".join([PUZZLE] * 100).encode()
    with contextlib.closing(socket.create_connection(("127.0.0.1", served.port))) as client:
        head = f"POST /api/solve HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        until(lambda: program.calls > 2)
    until(lambda: engine.idle, seconds=1.5)
    assert program.calls < 60


def test_connections_that_say_nothing_are_closed(serve, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    served, _ = serve()
    ready = b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n"
    for before, said in (
        (b"", b""),
        (b"", b"POST /api/solve HTTP/1.1\r\nHost:"),
        (ready, b"GET /"),
    ):
        with contextlib.closing(socket.create_connection(("127.0.0.1", served.port), 20)) as silent:
            silent.sendall(before)
            if before:
                assert b"200" in silent.recv(4096)
            silent.sendall(said)
            start = time.monotonic()
            while silent.recv(4096):
                pass
            assert time.monotonic() - start < 10
    assert served.solve([PUZZLE])[0] == 200


def test_a_program_that_breaks_down_ends_the_server(serve):
    served, program = serve()
    program.error = RuntimeError("out of order")
    status, content = served.solve([PUZZLE])
    assert status == 500 and "the program failed" in content["error"]
    served.thread.join(120)
    assert not served.thread.is_alive() and served.failure is program.error


PAGE = b"GET /assets/trace.js HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = PAGE.replace(b"Host", b"Connection: close\r\nHost")


def opened(served):
    """A connection with little room for what is not read."""
    served._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", served.port))
    return client


def received(client, pause=0.0):
    """The number of responses until the server closes."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 12):
            answer += part
            time.sleep(pause)
    return answer.count(b"HTTP/1.1 200 OK")


def test_a_client_may_send_few_requests_before_it_reads(serve):
    served, _ = serve()
    with contextlib.closing(opened(served)) as client:
        client.sendall(PAGE * 10 + LAST)
        assert received(client) == 11
    with contextlib.closing(opened(served)) as client:
        client.sendall(PAGE * 4000)
        assert received(client) <= connection.MAX_PIPELINED
    assert served.ask("GET", "/api/health")[0] == 200


def test_who_does_not_read_is_dropped_and_who_reads_slowly_is_not(serve, monkeypatch):
    monkeypatch.setattr(connection, "WRITE_SECONDS", 0.4)
    served, _ = serve()
    with contextlib.closing(opened(served)) as client:
        client.sendall(PAGE * 10 + LAST)
        time.sleep(1.2)
        assert received(client) < 11
    with contextlib.closing(opened(served)) as client:
        client.sendall(PAGE * 10 + LAST)
        assert received(client, pause=0.02) == 11


def test_who_does_not_read_does_not_delay_the_end(serve, monkeypatch, caplog):
    monkeypatch.setattr(listen, "CLOSING_SECONDS", 0.3)
    served, _ = serve()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(contextlib.closing(opened(served))).sendall(PAGE * 10)
        time.sleep(0.3)
        start = time.monotonic()
        served.stop()
        assert time.monotonic() - start < 5
    assert not caplog.records
