"""One server for all tests of a process: compiling is what takes time."""

import pytest

from tests import chromium
from tests.server.served import Served, lattice_service


@pytest.fixture(scope="session")
def served():
    made = Served(lattice_service(puzzles=16, body_kib=8, body_seconds=0.5))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def browser():
    path = chromium.find()
    if path is None:
        pytest.skip("there is no Chromium on PATH")
    with chromium.Browser(path) as browser:
        yield browser
