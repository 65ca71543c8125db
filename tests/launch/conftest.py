"""Markers of this folder's tests."""


def pytest_configure(config):
    config.addinivalue_line("markers", "slurm: starts SLURM's daemons; skipped where they are not")
