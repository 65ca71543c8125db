"""Every model, component by component, against the published code's numbers: see `parity`."""

import functools

from tests.golden import reference
from tests.golden.parity import BOUNDS, Parity, components, precision


def pytest_generate_tests(metafunc):
    cases = [
        (path, dtype, component)
        for path in reference.files(metafunc.config.getoption("--goldens"))
        for dtype in BOUNDS
        for component in components(reference.load(path), dtype)
    ]
    names = [f"{path.stem}-{dtype}-{component.__name__}" for path, dtype, component in cases]
    metafunc.parametrize(("path", "dtype", "component"), cases, ids=names)


@functools.lru_cache(maxsize=1)
def computed(path, dtype):
    """The last one only: the tests come file by file, and dtype by dtype."""
    return Parity(reference.load(path), dtype)


def test_parity(path, dtype, component, record_property):
    with precision(dtype):
        parity = computed(path, dtype)
        component(parity)
        record_property("reached", (dtype, dict(parity.reached)))
