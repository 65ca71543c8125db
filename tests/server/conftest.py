"""One server for all tests of a process: compiling is what takes time."""

import pytest

from tests.server.served import Served, lattice_service


@pytest.fixture(scope="session")
def served():
    made = Served(lattice_service(puzzles=16, body_kib=8, body_seconds=0.5))
    yield made
    made.stop()
