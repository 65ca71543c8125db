"""Every model, component by component, against the published code's numbers: see `parity`.

TRM's two main models always; the others are marked slow. Files given
with --goldens are all tested.
"""

import functools

import pytest

from tests.golden import reference
from tests.golden.parity import BOUNDS, Parity, components, precision

QUICK = ("trm_att", "trm_mlp")


def pytest_generate_tests(metafunc):
    given = metafunc.config.getoption("--goldens")
    cases = [
        pytest.param(
            *(path, dtype, component),
            id=f"{path.stem}-{dtype}-{component.__name__}",
            marks=() if given or path.stem in QUICK else pytest.mark.slow,
        )
        for path in reference.files(given)
        for dtype in BOUNDS
        for component in components(reference.load(path), dtype)
    ]
    metafunc.parametrize(("path", "dtype", "component"), cases)


@functools.lru_cache(maxsize=1)
def computed(path, dtype):
    """The last one only: the tests come file by file, and dtype by dtype."""
    return Parity(reference.load(path), dtype)


def test_parity(path, dtype, component, record_property):
    with precision(dtype):
        parity = computed(path, dtype)
        component(parity)
        record_property("reached", (dtype, dict(parity.reached)))
