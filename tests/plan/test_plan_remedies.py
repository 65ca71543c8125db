"""The search for what fits, the page and the command, with a formula in the compiler's place."""

import json

import jax
import pytest

from tests import runs
from trm_jax import cli
from trm_jax.plan import remedies as plan_remedies
from trm_jax.plan import topology
from trm_jax.plan.page import page
from trm_jax.plan.remedies import as_flags, plan

AVAILABLE = 1000


@pytest.fixture
def compiler(monkeypatch):
    """Temporary memory by formula; keeps a list of what was compiled."""
    compiled = []

    class Compiler:
        train, evaluation, state, remat = 900, 100, 50, 1.0

        def __call__(self, which, experiment, dataset, mesh, chip):
            settings = (experiment.accumulate, experiment.model.remat)
            if which == "train":
                temporary = self.train / experiment.accumulate
                temporary *= self.remat if experiment.model.remat != "none" else 1
            else:
                settings = (experiment.eval_batch_size,)
                temporary = self.evaluation * experiment.eval_batch_size / 64
            compiled.append((which, *settings))
            peak = self.state + int(temporary)
            memory = {"carry": self.state, "temporary": int(temporary), "program": 0, "peak": peak}
            return {
                "batch": experiment.batch_size,
                "fits": peak <= AVAILABLE,
                "memory": memory,
                "available": AVAILABLE,
                "flops": 3e12,
                "collectives": {"all-reduce": {"count": 2, "bytes": 2**21}},
                "bound": {"compute": 0.5, "memory": 0.1, "interconnect": 0.2, "seconds": 0.5},
                "compile_seconds": 1.0,
            }

    fake = Compiler()
    fake.compiled = compiled
    monkeypatch.setattr(plan_remedies, "plan_program", fake)
    monkeypatch.setattr(plan_remedies, "devices", jax_devices)
    return fake


def jax_devices(where):
    return jax.devices()[: where.devices]


def experiment(**changes):
    return runs.experiment(batch_size=96, eval_batch_size=64, mesh={"data": 0}, **changes)


def test_what_fits_is_compiled_once_and_needs_no_remedy(compiler):
    found = plan(experiment(), topology.find("v5e-8"))
    assert found["fits"] and found["remedies"] == {}
    assert compiler.compiled == [("train", 1, "none"), ("evaluation", 64)]
    assert found["devices"] == 8 and found["mesh"] == {"data": 1, "table": 8}
    assert page(found).endswith("It fits.")


def test_parts_are_tried_first_and_only_those_that_may_fit(compiler):
    compiler.train = 4200
    found = plan(experiment(), topology.find("v5e-8"))
    assert found["remedies"]["train"]["changes"] == {"accumulate": 6}
    # twelve slots a device: 2 and 3 parts cannot be enough; 4 leave 1,050, too near to leave out
    assert compiler.compiled[:3] == [("train", n, "none") for n in (1, 4, 6)]
    assert not found["fits"]
    text = page(found)
    assert text.endswith("It does not fit; it does with\n  --config.accumulate=6")
    assert "--config.accumulate=4 " in text


def test_rematerialising_is_for_where_one_slot_is_too_large(compiler):
    compiler.train, compiler.remat = 12 * 2000, 0.3
    found = plan(experiment(), topology.find("v5e-8"))
    changes = {"accumulate": 12, "model.remat": "block"}
    assert found["remedies"]["train"]["changes"] == changes
    assert as_flags(changes) == "--config.accumulate=12 --config.model.remat=block"


def test_a_remedy_may_not_exist(compiler):
    compiler.train = 10**6
    found = plan(experiment(), topology.find("v5e-8"))
    assert found["remedies"]["train"]["changes"] is None
    assert [tried["changes"]["model.remat"] for tried in found["remedies"]["train"]["tried"]] == [
        "block",
        "net",
    ]
    assert page(found).endswith("It does not fit.")
    compiler.compiled.clear()
    compiler.state = 2 * AVAILABLE  # then no setting helps, and none is tried
    plan(experiment(), topology.find("v5e-8"))
    assert len(compiler.compiled) == 2


def test_an_evaluation_is_halved_until_it_fits(compiler):
    compiler.train, compiler.evaluation = 2000, 3000
    found = plan(experiment(), topology.find("v5e-8"))
    assert found["remedies"]["evaluation"]["changes"] == {"eval_batch_size": 16}
    flags = "--config.accumulate=3 --config.eval_batch_size=16"
    assert page(found).endswith(f"it does with\n  {flags}")


def test_changes_are_settings():
    made = runs.experiment().change({"accumulate": 2, "model.remat": "net"})
    assert made.accumulate == 2 and made.model.remat == "net"
    assert made.model.width == 16 and runs.experiment().model.remat == "none"


def test_the_page_tells_traffic_and_what_bounds(compiler, monkeypatch):
    moved = {"bytes": 3 * 10**12, "kernels": 1234, "kinds": {"add": 10**12}, "unknown_loops": 1}
    more = {
        "traffic": moved,
        "rates": {"products": 0.1, "traffic": 1.2345, "exchanges": 0.0},
        "slowest": "traffic",
        "rates_of": "peak rates",
        "advice": ["Do this."],
    }
    monkeypatch.setattr(plan_remedies, "plan_program", lambda *a: compiler(*a) | more)
    text = page(plan(experiment(), topology.find("v5e-8")))
    line = "3,000.00 GB in 1,234 kernels; loops of unknown length counted once\n"
    assert line + "        1,000.00 GB  add\n" in text
    bounded = "  bounded by traffic: products 100, traffic 1,230, exchanges 0 ms, each by itself"
    assert f"{bounded} at peak rates\n  Do this." in text


def test_the_page_labels_the_bound(compiler):
    text = page(plan(experiment(), topology.find("v5e-8")))
    assert text.count("a lower bound from peak figures, not a forecast") == 2
    assert "takes at least 500 ms (compute 500, memory 100, interconnect 200)" in text
    assert "all-reduce                    2.00 MiB in 2" in text


@pytest.mark.parametrize(("train", "code"), [(900, 0), (2000, 1)])
def test_the_command_says_by_its_exit_code_whether_it_fits(compiler, capsys, train, code):
    compiler.train = train
    arguments = ["plan", "--config", f"{runs.ROOT}/experiments/sudoku.py:demo"]
    arguments += ["--config.data.path=generate", "--topology", "v5e-8"]
    assert cli.main(arguments) == code
    assert ("It fits." in capsys.readouterr().out) == (code == 0)
    assert cli.main([*arguments, "--json", "--noremedies"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] == (code == 0) and found["remedies"] == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--topology", "v5e-5"], "--topology 'v5e-5' is unknown"),
        ([], "--topology is missing"),
        (
            ["--topology", "v5e-8", "--config.batch_size=9"],
            "config.batch_size is 9, which is not a multiple",
        ),
    ],
)
def test_mistakes_get_one_sentence(monkeypatch, capsys, arguments, named):
    monkeypatch.setattr(plan_remedies, "devices", jax_devices)
    config = ["--config", f"{runs.ROOT}/experiments/sudoku.py:demo"]
    assert cli.main(["plan", *config, *arguments]) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1
