"""The published configurations on three TPU slices: what their programs need and send stays so.

The stored facts are looked at always; that they still hold is the slow part (marker `aot`), which
compiles for TPUs with libtpu.
"""

import importlib.util

import jax
import jax.numpy as jnp
import pytest

from tests import runs
from tests.aot import plan_table
from tests.aot.cases import CASES, CONFIGS, experiment, stored
from trm_jax.core.mesh import make_mesh
from trm_jax.plan import topology
from trm_jax.plan.chips import TPUS
from trm_jax.plan.estimate import EVALUATION, TRAIN, plan_program, stand_in

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs libtpu (extra plan)"
)
SLICES = [known for known in topology.KNOWN if known.chip in TPUS]
NEAR = 0.1
"""Share by which memory may move without a word."""


def test_every_case_is_stored():
    assert list(stored()) == CASES


def test_the_table_of_the_log_has_these_facts():
    written = (runs.ROOT / "experiments/plan.md").read_text()
    assert "\n".join(plan_table.lines()) in written


@pytest.mark.parametrize("case", CASES)
def test_each_program_fits_or_has_a_setting_that_makes_it_fit(case):
    facts = stored()[case]
    for which, program in facts["programs"].items():
        made = program if program["fits"] else facts["remedies"][which]["facts"]
        assert made is not None and made["memory"]["peak"] <= made["available"], which
        assert made["bound"]["seconds"] > 0 and made["collectives"]


def test_arc1_at_its_published_batch_fits_sixteen_v5e_chips_as_configured():
    """Attention stores no scores there, so the published batch needs no other setting."""
    programs = stored()["arc:arc1 v5e-16"]["programs"]
    assert programs[TRAIN]["fits"] and programs[EVALUATION]["fits"]
    assert programs[TRAIN]["batch"] == 768


@pytest.mark.parametrize("accelerator", ["v5e-16", "v4-8", "v6e-8"])
def test_no_exchange_has_the_size_of_the_table(accelerator):
    facts = stored()[f"arc:arc1 {accelerator}"]
    for which in (TRAIN, EVALUATION):
        program = facts["programs"][which]
        made = program if program["fits"] else facts["remedies"][which]["facts"]
        share = program["memory"]["puzzle table"]
        assert share > 876_405 * 512 * 4 / facts["devices"]
        assert sum(kind["bytes"] for kind in made["collectives"].values()) < share


@pytest.mark.parametrize("config", CONFIGS)
def test_the_gradient_is_exchanged_once(config):
    """About 4 bytes a parameter, whatever the slice."""
    for case in (case for case in CASES if case.startswith(f"{config} ")):
        facts = stored()[case]
        program = facts["programs"][TRAIN]
        made = program if program["fits"] else facts["remedies"][TRAIN]["facts"]
        ratio = made["collectives"]["all-reduce"]["bytes"] / program["memory"]["parameters"]
        assert 0.95 < ratio < 1.15, case


def check_program(now, before):
    assert now["fits"] == before["fits"]
    for kind, size in before["memory"].items():
        near = pytest.approx(size, rel=NEAR, abs=2**20)
        assert now["memory"][kind] == near, kind
    assert now["collectives"] == before["collectives"]
    assert now["flops"] == before["flops"]


def compiled(case, which, changes=()):
    config, name = case.split()
    where = topology.find(name)
    wanted, dataset = stand_in(experiment(config, changes))
    mesh = make_mesh(devices=topology.devices(where))
    return plan_program(which, wanted, dataset, mesh, where.chip)


@pytest.mark.aot
@needs_libtpu
@pytest.mark.parametrize("which", [TRAIN, EVALUATION])
@pytest.mark.parametrize("case", CASES)
def test_the_facts_still_hold(case, which):
    before = stored()[case]
    check_program(compiled(case, which), before["programs"][which])
    if which in before["remedies"]:
        remedy = before["remedies"][which]
        check_program(compiled(case, which, remedy["changes"]), remedy["facts"])


@pytest.mark.aot
@needs_libtpu
def test_a_doubled_memory_is_caught():
    case = "sudoku:extreme v5e-16"
    before = stored()[case]["programs"][TRAIN]
    now = compiled(case, TRAIN, {"batch_size": 2 * 768}) | {"flops": before["flops"]}
    with pytest.raises(AssertionError, match="temporary|carry"):
        check_program(now, before)


@pytest.mark.aot
@needs_libtpu
@pytest.mark.parametrize("known", SLICES, ids=lambda known: known.name)
def test_every_topology_has_its_devices(known):
    assert len(topology.devices(known)) == known.devices


@pytest.mark.aot
@needs_libtpu
@pytest.mark.parametrize("chip", TPUS)
def test_the_memory_of_a_chip_is_what_the_compiler_says(chip):
    where = next(known for known in topology.KNOWN if known.chip == chip)
    device = jax.sharding.SingleDeviceSharding(topology.devices(where)[0])
    huge = jax.ShapeDtypeStruct((2**20, 2**16), jnp.float32, sharding=device)
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        jax.jit(lambda x: jnp.sort(x, 0).sum(1)).lower(huge).compile()
    said = f"({TPUS[chip].memory / 2**30:.2f}G)"
    assert f"exceeds available HBM {said}" in str(error.value)
