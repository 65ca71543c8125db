"""What can be refused is refused before anything is written; it leaves no trace."""

import shutil

import jax
import pytest

from tests import runs
from trm_jax.core.errors import DOES_NOT_FIT, UserError
from trm_jax.core.memory import enough_memory, out_of_memory
from trm_jax.models.layers import inner_width
from trm_jax.train.bulk import amount
from trm_jax.train.loop import train


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"init_from": "/typo"}, "/typo"),
        ({"table": {"rows": 2**31 - 1}}, "the puzzle table (config.table.rows), which takes"),
        ({"model": {"width": 32_768}}, "reduce the largest part"),
        (
            {"model": {"width": 16_384, "N": 2}, "batch_size": 2**20},
            "(config.batch_size), which takes",
        ),
        ({"accumulate": 3}, "config.accumulate is 3, which does not divide"),
        ({"mesh": {"data": 1000}}, "config.mesh.data is 1000"),
        ({"mesh": {"table": 3}}, "config.mesh.table is 3"),
        ({"data": {"path": "nowhere.csv"}}, "no such file or directory"),
    ],
)
def test_a_refused_start_leaves_no_trace(tmp_path, changes, named):
    with pytest.raises(UserError) as error:
        train(runs.experiment(**changes), tmp_path / "outer" / "run")
    assert named in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_corrected_command_goes_on_in_the_same_place(tmp_path):
    with pytest.raises(UserError):
        train(runs.experiment(init_from=str(tmp_path / "typo"), steps=4), tmp_path / "run")
    assert train(runs.experiment(steps=4, eval_every=0), tmp_path / "run") == 0


@pytest.mark.parametrize("broken", ["model", "checkpoint"])
def test_weights_to_start_from_are_read_before_the_claim(tmp_path, broken):
    first = tmp_path / "first"
    assert train(runs.experiment(steps=4, eval_every=0), first) == 0
    if broken == "checkpoint":
        shutil.rmtree(first / "checkpoints/4/state")
    changes = {"model": {"width": 32}} if broken == "model" else {}
    with pytest.raises(UserError):
        train(runs.experiment(init_from=str(first), **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_table_too_small_for_the_data_is_refused_before_these_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("trm_jax.train.run.padded_rows", lambda *_: _too_small())
    with pytest.raises(UserError, match="too few"):
        train(runs.experiment(table={"rows": 1}), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def _too_small():
    raise UserError("too few rows.")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("std::bad_alloc"),
        RuntimeError("std::bad_alloc"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
        ValueError("RESOURCE_EXHAUSTED: ..."),
    ],
)
def test_memory_that_runs_out_is_one_sentence_on_every_backend(error):
    assert out_of_memory(error)
    with pytest.raises(UserError, match=rf"^it {DOES_NOT_FIT} \(.*\); lower config\.batch_size\."):  # noqa: SIM117
        with enough_memory("it", "config.batch_size"):
            raise error


def test_other_errors_pass():
    with pytest.raises(ValueError, match="^x$"), enough_memory("it", "that"):
        raise ValueError("x")


def test_training_names_what_to_lower(tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr("trm_jax.train.loop._loop", full)
    with pytest.raises(UserError, match=r"lower config\.batch_size, or raise config\.accumulate"):
        train(runs.experiment(), tmp_path / "run")


def test_amounts_are_for_people():
    assert [amount(n) for n in (0, 999, 3_200_000_000, 10**15)] == [
        "0 B",
        "999 B",
        "3.2 GB",
        "1 PB",
    ]


def test_programs_that_take_hours_to_compile_are_refused():
    with pytest.raises(UserError, match=r"config\.model\.unroll to False"):
        runs.experiment(model={"n": 1000, "layers": 2, "unroll": True})
    with pytest.raises(UserError, match=r"config\.model\.n is 65"):
        runs.experiment(model={"n": 65, "kind": "trm_multi_z"})


def test_a_swiglu_is_never_empty():
    assert inner_width(2, 0.01) == inner_width(16, 1.0) == 256
