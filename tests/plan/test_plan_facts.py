"""What a plan says of a program, with this machine's CPUs in place of a TPU slice."""

import dataclasses

import jax
import pytest

from tests import arc_tasks, runs
from trm_jax.core.mesh import make_mesh
from trm_jax.data.format import save
from trm_jax.models.flops import step_flops
from trm_jax.plan import estimate as plan_facts
from trm_jax.plan.chips import CHIPS, Chip
from trm_jax.plan.compiled import Collective
from trm_jax.plan.estimate import EVALUATION, TRAIN, bound, out_of_memory, plan_program, stand_in
from trm_jax.plan.rates import advice
from trm_jax.tasks.random_puzzles import random_puzzles

GIB = 2**30


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (20.38G) exceeds available HBM (15.75G).",
            int(20.38 * GIB),
        ),
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
            "space hbm. Used 31.50G of 15.75G hbm. Exceeded hbm capacity by 15.75G.",
            int(31.5 * GIB),
        ),
        ("RESOURCE_EXHAUSTED: Out of quota", 0),
        ("INTERNAL: HLO temporaries (20.38G)", 0),
    ],
)
def test_what_the_compiler_says_that_it_needs(message, needed):
    assert out_of_memory(message) == needed


@pytest.mark.parametrize("which", [TRAIN, EVALUATION])
def test_the_facts_of_a_program(which):
    experiment, dataset = stand_in(runs.experiment(eval_batch_size=20))
    facts = plan_program(which, experiment, dataset, make_mesh(8), "v5e")
    batch = 8 if which == TRAIN else 24  # rounded up to what eight devices can split
    model = experiment.model_config(dataset.manifest)
    calls = 1 if which == TRAIN else model.N
    assert facts["fits"] and facts["batch"] == batch
    assert facts["flops"] == calls * step_flops(model, batch, which == TRAIN)
    assert facts["available"] == CHIPS["v5e"].memory
    sizes = dict(facts["memory"])
    assert sizes.pop("peak") == sum(sizes.values()) and min(sizes.values()) >= 0
    kinds = set(sizes) - {"batch and padding", "output", "temporary", "program"}
    state = {"parameters", "puzzle table"}
    if which == TRAIN:
        assert kinds == state | {"optimizer moments", "averages", "carry", "counters"}
        assert facts["collectives"]["all-reduce"]["bytes"] >= sizes["parameters"]
    else:
        assert kinds == state | {"rest of the train state"}
    seconds = facts["bound"].pop("seconds")
    assert seconds == max(facts["bound"].values())
    assert facts["bound"]["compute"] == pytest.approx(facts["flops"] / 8 / 197e12)


def test_a_program_that_fits_into_no_chip_is_said_not_to(monkeypatch):
    experiment, dataset = stand_in(runs.experiment())
    tiny = CHIPS["v5e"]._replace(memory=1000)
    monkeypatch.setitem(CHIPS, "tiny", tiny)
    facts = plan_program(TRAIN, experiment, dataset, make_mesh(8), "tiny")
    assert not facts["fits"] and facts["memory"]["program"] >= 0


def test_where_the_compiler_gives_up_its_own_figure_counts(monkeypatch):
    def gives_up(run):
        raise jax.errors.JaxRuntimeError(
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (2.00K) exceeds available HBM (1.00K)."
        )

    monkeypatch.setattr(plan_facts, "compile_step", gives_up)
    experiment, dataset = stand_in(runs.experiment())
    facts = plan_program(TRAIN, experiment, dataset, make_mesh(8), "v5e")
    assert not facts["fits"] and facts["memory"]["temporary"] == 2048
    assert "program" not in facts["memory"] and facts["collectives"] == {}


def test_other_failures_of_the_compiler_are_not_hidden(monkeypatch):
    def breaks(run):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(plan_facts, "compile_step", breaks)
    experiment, dataset = stand_in(runs.experiment())
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        plan_program(TRAIN, experiment, dataset, make_mesh(8), "v5e")


def test_without_tiles_for_triton_it_is_compiled_without_triton(monkeypatch):
    compile_step, asked = plan_facts.compile_step, []

    def breaks_at_first(run, options=None):
        asked.append(options)
        if options is None:
            raise jax.errors.JaxRuntimeError("INTERNAL: Couldn't find output tile sizes that ...")
        return compile_step(run)  # a CPU's compiler does not know the option

    monkeypatch.setattr(plan_facts, "compile_step", breaks_at_first)
    experiment, dataset = stand_in(runs.experiment())
    facts = plan_program(TRAIN, experiment, dataset, make_mesh(8), "h100")
    assert asked == [None, {"xla_gpu_enable_triton_gemm": False}]
    assert "XLA_FLAGS=--xla_gpu_enable_triton_gemm=false" in facts["advice"][0]


def test_traffic_and_rates_are_told_of_one_update():
    experiment, dataset = stand_in(runs.experiment())
    facts = plan_program(TRAIN, experiment, dataset, make_mesh(8), "h100")
    moved = facts["traffic"]
    assert 0 < sum(moved["kinds"].values()) <= moved["bytes"] and moved["kernels"] > 0
    assert facts["rates"]["traffic"] == pytest.approx(moved["bytes"] / 2.6e12)
    assert facts["rates"][facts["slowest"]] == max(facts["rates"].values())
    assert "H100" in facts["rates_of"] and facts["advice"] and facts["options"] == {}
    on_tpu = plan_program(TRAIN, experiment, dataset, make_mesh(8), "v5e")
    assert on_tpu["rates_of"] == "peak rates" and on_tpu["advice"] == []
    assert on_tpu["rates"]["traffic"] == pytest.approx(on_tpu["traffic"]["bytes"] / 819e9)
    twice = experiment.change({"steps_per_dispatch": 2, "steps": 2 * experiment.steps})
    both = plan_program(TRAIN, twice, dataset, make_mesh(8), "v5e")["traffic"]["bytes"]
    assert both == pytest.approx(on_tpu["traffic"]["bytes"], rel=0.2)


def test_what_to_set_and_to_change_is_said():
    gib = 2**30
    facts = {"fits": True, "memory": {"peak": 70 * gib}, "available": 78 * gib, "options": {}}
    said = advice(facts | {"slowest": "traffic"})
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION=0.98" in said[0] and "move less" in said[1]
    few = advice(facts | {"memory": {"peak": gib}, "slowest": "exchanges"})
    assert len(few) == 1 and "batch_size" in few[0]


def test_the_bound_is_the_slowest_of_three():
    chip = Chip(flops=1e3, memory=10**6, memory_bandwidth=100.0, interconnect=10.0)
    sizes = {"carry": 50, "output": 50, "temporary": 900, "puzzle table": 900, "program": 900}
    sent = [Collective("all-reduce", "", 40, 4)]
    found = bound(chip, 3e3, sizes, sent)
    assert found == {"compute": 3.0, "memory": 1.0, "interconnect": 6.0, "seconds": 6.0}


def test_rows_of_arc_are_counted_by_building(tmp_path):
    config = runs.config_file("arc").get_config("debug").to_dict()
    arc_tasks.source(tmp_path)
    config["data"] |= {"path": str(tmp_path), "base_examples": 0, "heldout_examples": 0}
    config["data"]["copies"] = 5
    wanted, dataset = stand_in(runs.from_dict(config))
    # seven tasks, each with five copies besides the original; the first row is nobody's
    assert wanted.table.rows == 1 + 7 * 6
    assert dataset.manifest["cells"] == 64
    config["table"]["rows"] = 99
    assert stand_in(runs.from_dict(config))[0].table.rows == 99


def test_puzzles_that_cannot_be_fetched_need_not_be():
    config = runs.config_file("sudoku").get_config("extreme").to_dict()
    wanted, dataset = stand_in(runs.from_dict(config))
    assert dataset.manifest["cells"] == 81 and dataset.manifest["table_rows"] == 1
    assert wanted.table.rows == 0


def test_a_data_set_directory_is_read(tmp_path):
    experiment = runs.experiment()
    save(random_puzzles(experiment.data, 3), tmp_path / "data")
    nine = dataclasses.replace(experiment.data.options, box=(3, 3))
    _, dataset = stand_in(
        experiment.change({"data.path": f"{tmp_path}/data", "data.options": nine})
    )
    assert dataset.manifest["cells"] == 16
