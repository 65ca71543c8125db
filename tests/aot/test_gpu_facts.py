"""The published Sudoku configurations on GPUs: memory, traffic and exchanges of their programs.

Compiled for GPUs that are not there, with JAX's CUDA plugin. Limits from above may be lowered when
a program moves less; those from below only catch a count that has lost something.
"""

import functools

import pytest

from tests.aot.cases import experiment
from trm_jax.core.mesh import make_mesh
from trm_jax.plan import topology
from trm_jax.plan.estimate import EVALUATION, TRAIN, plan_program, stand_in
from trm_jax.plan.gpus import has_plugin

pytestmark = [
    pytest.mark.aot,
    pytest.mark.skipif(not has_plugin(), reason="needs jax[cuda12]"),
]
GB, GIB = 10**9, 2**30
LIMITS = {
    # configuration, GPUs: GB an update at least and at most, GiB of temporary memory at most
    ("sudoku:extreme", "h100-1"): (150, 415, 31),
    ("sudoku:extreme_attention", "h100-1"): (120, 290, 20),
    ("sudoku:extreme", "h100-8"): (15, 60, 5),
    ("sudoku:extreme", "a100-8"): (15, 60, 5),
    ("sudoku:extreme fused", "h100-1"): (60, 115, 5),
    ("sudoku:extreme_attention fused", "h100-1"): (90, 185, 10),
}
"""JAX 0.10.2, 2026-11-26."""


@functools.cache
def compiled(config, name, which=TRAIN):
    where = topology.find(name)
    config, *kernels = config.split()
    changes = [("model.kernels", each) for each in kernels]
    wanted, dataset = stand_in(experiment(config, changes))
    mesh = make_mesh(devices=topology.devices(where))
    return plan_program(which, wanted, dataset, mesh, where.chip)


@pytest.mark.parametrize(("config", "name"), LIMITS)
def test_traffic_and_memory_stay_below_their_limits(config, name):
    least, most, temporary = LIMITS[config, name]
    facts = compiled(config, name)
    assert facts["fits"] and facts["traffic"]["unknown_loops"] == 0
    assert least * GB < facts["traffic"]["bytes"] < most * GB
    assert facts["memory"]["temporary"] < temporary * GIB


@pytest.mark.parametrize("config", ["sudoku:extreme", "sudoku:extreme_attention"])
def test_one_gpu_is_bounded_by_traffic_and_exchanges_nothing(config):
    facts = compiled(config, "h100-1")
    assert facts["slowest"] == "traffic" and facts["collectives"] == {}
    # its parameters and their three companions are read or written, and every activation
    assert facts["rates"]["traffic"] > facts["rates"]["products"] > facts["bound"]["compute"]


@pytest.mark.parametrize("name", ["h100-8", "a100-8"])
def test_eight_gpus_exchange_the_gradient_once(name):
    facts = compiled("sudoku:extreme", name)
    ratio = facts["collectives"]["all-reduce"]["bytes"] / facts["memory"]["parameters"]
    assert 0.95 < ratio < 1.15
    assert 0 < facts["rates"]["exchanges"] < facts["rates"]["products"]


def test_an_evaluation_moves_what_its_steps_move():
    facts = compiled("sudoku:extreme", "h100-1", EVALUATION)
    assert facts["fits"] and facts["traffic"]["unknown_loops"] == 0
    assert 800 * GB < facts["traffic"]["bytes"] < 3400 * GB
    assert facts["memory"]["temporary"] < 2 * GIB
