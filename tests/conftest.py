"""Stricter than users: eight fake devices, no silent dtype or rank promotion.

Compiled with most of XLA's optimisations off, which is quicker; see `compiled_as_for_users`. Loops
are compiled by an older part of XLA too, in a quarter of the time; set XLA_FLAGS, if only to
nothing, to test with the default one. What is compiled once in a test run is kept in a folder for
as long as the run lasts, for all of its processes: many tests run the same small programs. With
JAX_COMPILATION_CACHE_DIR it is kept there, for later runs too.

The environment is set before JAX starts. PJRT_NPROC: with the default thread pool, many fake
devices on few cores lock up silently once steps are dispatched without waiting.
"""

import os
import shutil
import sys
import tempfile
from importlib.metadata import version

os.environ.setdefault("PJRT_NPROC", "32")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):  # another version may not know these and abort
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ.setdefault("XLA_FLAGS", quick)

CACHE = "JAX_COMPILATION_CACHE_DIR"
_OWN = "" if CACHE in os.environ else tempfile.mkdtemp(prefix="trm-tests-")
"""The folder, where this process made it: the first one, as the others inherit its name."""
if _OWN:
    os.environ[CACHE] = _OWN
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402, the environment comes first
import pytest  # noqa: E402

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --goldens, golden files to use in place of the project's own, and --reached."""
    parser.addoption("--goldens", default=None, help="folder of golden .npz files")
    parser.addoption("--reached", action="store_true", help="print how close each component came")


def pytest_unconfigure() -> None:
    """Removes the folder of compiled programs."""
    if _OWN:
        shutil.rmtree(_OWN, ignore_errors=True)


@pytest.fixture(scope="module")
def compiled_as_for_users():
    """All of XLA's optimisations, for a module that needs the real numbers or the real speed."""
    less = "jax_disable_most_optimizations"
    before = jax.config.read(less)
    jax.config.update(less, False)
    yield
    jax.config.update(less, before)


@pytest.fixture(scope="module", autouse=True)
def forgotten_plugins():
    """Forgets the plugin files that a module of tests loaded, so the next can load them too."""
    yield
    loaded = [name for name in sys.modules if name.startswith("trm_plugin_")]
    if loaded:
        from trm_jax.models.mixers import MIXERS
        from trm_jax.tasks.task import TASKS

        for registry in (TASKS, MIXERS):
            for name, item in list(registry._found.items()):
                if type(item).__module__ in loaded:
                    del registry._found[name]
        for name in loaded:
            del sys.modules[name]
