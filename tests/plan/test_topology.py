"""TPU slices and GPUs by name."""

import importlib.util

import pytest

from trm_jax.core.errors import UserError
from trm_jax.plan import gpus, topology
from trm_jax.plan.chips import CHIPS, GPUS


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
        ("h100-1", "h100:1", 1),
        ("H100-8", "h100:8", 8),
        ("a100:8", "a100:8", 8),
        ("a100_40gb-4", "a100_40gb:4", 4),
        ("h100-16", "h100:2x8", 16),
    ],
)
def test_both_names_are_known(name, compiler, devices):
    found = topology.find(name)
    assert (found.name, found.devices) == (compiler, devices)
    assert topology.find(found.name) == topology.find(found.accelerator) == found
    assert found.chip in CHIPS


@pytest.mark.parametrize("name", ["v5e-5", "v4-4", "v5e:4x4x1", "h100-3", "h900", "l4-16", ""])
def test_other_names_are_refused_with_the_known_ones(name):
    with pytest.raises(UserError, match=r"--topology .* is unknown; .*v5e:4x4 \(v5e-16\), ") as e:
        topology.find(name)
    assert repr(name) in str(e.value) and "\n" not in str(e.value)


def test_no_name_stands_for_two():
    names = [name for known in topology.KNOWN for name in (known.name, known.accelerator)]
    assert len(names) == len(set(names))


def test_without_the_compiler_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"libtpu, which is not installed; `pip install .*\[plan\]"):
        topology.devices(topology.find("v5e-4"))


def test_the_name_of_a_gpu_alone_is_one_of_it():
    assert topology.find("h100") == topology.find("h100-1")
    assert topology.find("h100-16").machines == 2 and topology.find("h100-8").machines == 1


def test_every_gpu_has_a_description():
    assert set(gpus.TARGETS) == set(GPUS)
    text = gpus.target_config("h100")
    assert "device_memory_size: 84942979072" in text and "core_count: 132" in text
    assert "cuda_compute_capability { major: 9 minor: 0 }" in text
    assert text.count("{") == text.count("}")


def test_without_the_cuda_plugin_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"which is not installed; `pip install 'jax\[cuda12\]'`"):
        topology.devices(topology.find("h100-1"))


@pytest.mark.aot
@pytest.mark.skipif(not gpus.has_plugin(), reason="needs jax[cuda12]")
@pytest.mark.parametrize("name", GPUS)
def test_the_plugin_knows_each_gpu(name):
    (device,) = topology.devices(topology.find(name))
    assert device.device_kind == gpus.TARGETS[name].title
    if GPUS[name].network:
        made = topology.devices(topology.find(f"{name}-16"))
        assert len({device.process_index for device in made}) == 2 and len(made) == 16
