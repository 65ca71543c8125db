"""A server of this machine is reached by this machine's names alone."""

import socket

import pytest

from tests.server.fakes import FakeProgram
from tests.server.served import Served
from trm_jax.server import listen
from trm_jax.server.app import Service
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import Engine
from trm_jax.server.local_hosts import is_local_host
from trm_jax.server.meters import Meters

LOCAL = [
    "localhost",
    "LOCALHOST:8000",
    "127.0.0.1",
    "127.0.0.1:80",
    "127.5.6.7",
    "[::1]:9",
    "[::1]",
]
FOREIGN = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"]
FOREIGN += ["", "192.168.0.1", "[::2]", "a@localhost", "localhost:80:80", "0.0.0.0", "127.1/x"]


@pytest.mark.parametrize(("hosts", "local"), [(LOCAL, True), (FOREIGN, False)])
def test_names_of_this_machine(hosts, local):
    assert [host for host in hosts if is_local_host(host) != local] == []


def status(served, host):
    head = b"GET /api/health HTTP/1.1\r\nConnection: close\r\n"
    head += f"Host: {host}\r\n".encode() if host else b""
    with socket.create_connection(("127.0.0.1", served.port), 30) as client:
        client.sendall(head + b"\r\n")
        return client.recv(100).split()[1]


@pytest.mark.parametrize("local", [True, False])
def test_other_names_are_refused_where_the_server_is_local(local):
    engine = Engine(FakeProgram(cells=16), Bounds(), Meters(1))
    shape = {"task": "sudoku", "box": [2, 2]}
    served = Served(Service(engine, shape, {"model": "fake"}, None), local)
    try:
        for host in ("localhost:1", "127.0.0.1:8000", "[::1]", ""):
            assert status(served, host) == b"200"
        assert status(served, "evil.example") == (b"421" if local else b"200")
        got, headers, content = served.ask("GET", "/api/nothing")
        assert got == 404 and headers["X-Frame-Options"] == "DENY" and list(content) == ["error"]
    finally:
        served.stop()


@pytest.mark.parametrize(
    ("host", "url", "local"),
    [
        ("[::1]", "http://[::1]:", True),
        ("::1", "http://[::1]:", True),
        ("127.1", "http://127.0.0.1:", True),
        ("localhost", "http://", True),
        ("0.0.0.0", "http://0.0.0.0:", False),
        ("::", "http://[::]:", False),
    ],
)
def test_addresses_are_told_apart(host, url, local):
    if ":" in host and not socket.has_ipv6:
        pytest.skip("there is no IPv6")
    with listen.bind(host, 0) as listening:
        assert listen.address(listening).startswith(url) and listen.is_local(listening) is local
