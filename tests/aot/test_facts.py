"""The published configurations on three TPU slices: what their programs need and send stays so.

The stored facts are looked at always; that they still hold is the slow part (marker `aot`), which
compiles for TPUs with libtpu.
"""

import importlib.util

import pytest

from tests.aot.cases import CASES, CONFIGS, experiment, stored
from trm_jax import topology
from trm_jax.plan_facts import EVALUATION, TRAIN
from trm_jax.plan_remedies import plan

NEAR = 0.1
"""Share by which memory may move without a word."""


def test_every_case_is_stored():
    assert list(stored()) == CASES


@pytest.mark.parametrize("case", CASES)
def test_each_program_fits_or_has_a_setting_that_makes_it_fit(case):
    facts = stored()[case]
    for which, program in facts["programs"].items():
        made = program if program["fits"] else facts["remedies"][which]["facts"]
        assert made is not None and made["memory"]["peak"] <= made["available"], which
        assert made["bound"]["seconds"] > 0 and made["collectives"]


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


@pytest.mark.aot
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu (extra plan)")
@pytest.mark.parametrize("case", CASES)
def test_the_facts_still_hold(case):
    config, name = case.split()
    before = stored()[case]
    now = plan(experiment(config), topology.find(name), remedies=False)
    for which, program in before["programs"].items():
        check_program(now["programs"][which], program)
    for which, remedy in before["remedies"].items():
        changed = plan(experiment(config, remedy["changes"]), topology.find(name), remedies=False)
        check_program(changed["programs"][which], remedy["facts"])
