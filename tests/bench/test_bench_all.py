"""`trm bench --what all`: every part is measured, and a record says all about it."""

import json

import jax
import pytest

from tests import runs
from tests.bench.test_bench import TINY
from trm_jax.bench import record
from trm_jax.bench import tables as page
from trm_jax.cli import MALLOC, main
from trm_jax.models.flops import step_flops
from trm_jax.models.settings import ModelConfig, ModelSettings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The record of `--what all`, and the folder with the file that it was appended to."""
    folder = tmp_path_factory.mktemp("bench")
    done = runs.trm(
        *("bench", *TINY, "--what=all", "--json"),
        *(f"--out={folder}/results/all.jsonl", f"--workdir={folder}/scratch"),
        *(f"--lock={folder}/turns", "--compile-limit=300"),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_all_is_the_train_step_and_the_rest_under_their_names(everything):
    found, folder = everything
    assert found["what"] == "all" and found["peer"] == "trm_jax"
    assert set(record.PARTS[1:]) <= found.keys()
    assert json.loads((folder / "results/all.jsonl").read_text()) == found
    assert not list((folder / "scratch").iterdir()), "something was left behind"


@pytest.mark.parametrize("part", record.PROGRAMS)
def test_programs_have_rate_ceiling_and_memory(everything, part):
    found = everything[0] if part == "train" else everything[0][part]
    model = ModelConfig.of(
        ModelSettings.read(everything[0]["model"]), found["vocab"], found["cells"]
    )
    calls = 1 if part == "train" else model.N
    tflop = calls * step_flops(model, 8, part == "train") / 1e12
    low, high = found["spread"]
    assert 0 < low <= found["seconds"] <= high
    assert found["examples_per_s"] == pytest.approx(8 / found["seconds"], rel=0.01)
    rate = tflop / found["seconds"]
    assert found["share_of_ceiling"] == pytest.approx(
        rate / found["ceiling_tflops_per_s"], rel=0.1, abs=1e-3
    )
    assert 0 < found["program_peak_gib"] < found["process_peak_gib"]
    assert "device_peak_gib" not in found, "a CPU does not tell"


def test_the_input_is_the_configs_own(everything):
    found = everything[0]["input"]
    assert found["data"] == "generate" and found["puzzles"] == 30
    rates = found["examples_per_s"] / everything[0]["examples_per_s"]
    assert found["times_the_train_step"] == pytest.approx(rates, rel=0.01, abs=0.01)


def test_a_checkpoint_holds_the_whole_state_and_does_not_shrink(everything):
    found = everything[0]["checkpoint"]
    numbers = 4 * everything[0]["params"] * 4  # weights, average and two moments, in float32
    assert found["bytes_written"] > numbers
    assert found["seconds"] > 0 and found["restore_seconds"] > 0


def test_startup_is_split_and_cached(everything):
    found = everything[0]["startup"]
    for each in (found, found["with_cache"]):
        phases = [each[f"{name}_seconds"] for name in ("import", "build", "compile", "step")]
        assert all(phase > 0 for phase in phases)
        assert each["seconds"] == pytest.approx(sum(phases), abs=0.01)
    assert found["with_cache"]["compile_seconds"] < found["compile_seconds"]


def test_a_record_says_what_it_takes_to_repeat_it(everything):
    found = everything[0]
    assert found["config"]["batch_size"] == found["batch"] == 8
    assert found["versions"]["jax"] == found["jax"] == jax.__version__
    assert found["device"] == "1 x cpu" and found["cores"] >= 1 and found["date"][:2] == "20"
    assert found["glibc_tunables"] == MALLOC


def test_records_pile_up_in_a_table(everything, capsys):
    path = str(everything[1] / "results/all.jsonl")
    assert main(["bench", "--table", path, path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 * len(record.PARTS)
    assert len({line.count("|") for line in lines}) == 1
    header, _, train, rollout, inputs, *_ = ([c.strip() for c in x.split("|")] for x in lines)
    assert [row[header.index("what")] for row in (train, rollout, inputs)] == [*record.PARTS[:3]]
    assert train[header.index("of ceiling")].endswith("%")
    assert not inputs[header.index("peak GiB")], "only the programs' is known"


def test_text_shows_every_number(everything):
    shown = page.text(everything[0])
    assert "with_cache.compile_seconds" in shown and "share_of_ceiling" in shown
    assert all(f"\n{part}:" in shown for part in record.PARTS[1:])
