"""TPU slices by name."""

import importlib.util

import pytest

from trm_jax.core.errors import UserError
from trm_jax.plan import topology


@pytest.mark.parametrize(
    ("name", "compiler", "devices"),
    [
        ("v5e-16", "v5e:4x4", 16),
        ("v5e:4x4", "v5e:4x4", 16),
        ("v5litepod-16", "v5e:4x4", 16),
        ("V6E-8", "v6e:2x4", 8),
        ("v6e-1", "v6e:1x1", 1),
        ("v4-8", "v4:2x2x1", 4),  # TensorCores, two to a chip
        ("v4-32", "v4:2x2x4", 16),
        ("v5p-8", "v5p:2x2x1", 4),
        ("v5p-512", "v5p:4x8x8", 256),
        ("v5e-256", "v5e:16x16", 256),
    ],
)
def test_both_names_are_known(name, compiler, devices):
    found = topology.find(name)
    assert (found.name, found.devices) == (compiler, devices)
    assert topology.find(found.name) == topology.find(found.accelerator) == found
    assert found.chip in topology.CHIPS


@pytest.mark.parametrize("name", ["v5e-5", "v4-4", "v5e:4x4x1", "h100", ""])
def test_other_names_are_refused_with_the_known_ones(name):
    with pytest.raises(UserError, match=r"--topology .* is not known; .*v5e:4x4 \(v5e-16\), ") as e:
        topology.find(name)
    assert repr(name) in str(e.value) and "\n" not in str(e.value)


def test_no_name_stands_for_two():
    names = [name for known in topology.KNOWN for name in (known.name, known.accelerator)]
    assert len(names) == len(set(names))


def test_without_the_compiler_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"libtpu, which is not installed; `pip install .*\[plan\]"):
        topology.devices(topology.find("v5e-4"))
