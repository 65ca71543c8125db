"""Stricter than users: eight fake devices, no silent dtype or rank promotion.

Compiled with most of XLA's optimisations off, which is quicker; see `compiled_as_for_users`.

The environment is set before JAX starts. PJRT_NPROC: with the default thread pool, many fake
devices on few cores lock up silently once steps are dispatched without waiting.
"""

import os

os.environ.setdefault("PJRT_NPROC", "32")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --goldens, golden files to use in place of the project's own, and --reached."""
    parser.addoption("--goldens", default=None, help="folder of golden .npz files")
    parser.addoption("--reached", action="store_true", help="print how close each component came")


@pytest.fixture(scope="module")
def compiled_as_for_users():
    """All of XLA's optimisations, for a module that needs the real numbers or the real speed."""
    less = "jax_disable_most_optimizations"
    before = jax.config.read(less)
    jax.config.update(less, False)
    yield
    jax.config.update(less, before)
