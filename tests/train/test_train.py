"""The training loop as a whole, on the tiny experiment."""

import json
import math
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import runs
from trm_jax.core.errors import EXIT_DONE, NonFiniteLossError, UserError
from trm_jax.tasks.sources import open_training_data
from trm_jax.train import loop, step
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.trained import load
from trm_jax.train.workdir import WorkDir

HOLDS = """
import sys
from trm_jax.train.workdir import WorkDir
with WorkDir(sys.argv[1]).held():
    print("holding", flush=True)
    input()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, and the run's programs."""
    workdir = tmp_path_factory.mktemp("run")
    kept = []
    prepare = loop.prepare

    def remember(*args):
        kept.append(prepare(*args))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "prepare", remember)
        assert loop.train(runs.experiment(), workdir) == EXIT_DONE
    return workdir, kept[0]


def test_step_compiles_exactly_once(finished):
    assert finished[1].step._cache_size() == 1


def test_metrics_have_both_kinds_of_accuracy_at_every_log_point(finished):
    lines = runs.metrics(finished[0])
    training = [e for e in lines if "train/loss" in e]
    assert [e["step"] for e in training] == [2, 4, 6, 8, 10, 12]
    for entry in training:
        assert entry["train/all/count"] == 16  # two updates of eight slots
        assert entry["train/halted/count"] <= entry["train/all/count"]
        assert math.isfinite(entry["train/loss"])
    assert training[0]["train/lr"] == pytest.approx(5e-4)
    held_out = [e for e in lines if "heldout/exact_accuracy" in e]
    assert [e["step"] for e in held_out] == [8, 12]


def test_tensorboard_has_the_same_numbers(finished):
    events = EventAccumulator(str(finished[0]), size_guidance={"scalars": 0})
    events.Reload()
    scalars = {e.step: e.value for e in events.Scalars("train/loss")}
    training = [e for e in runs.metrics(finished[0]) if "train/loss" in e]
    assert scalars == {e["step"]: np.float32(e["train/loss"]) for e in training}


def test_newest_and_best_checkpoints_are_kept(finished):
    with Checkpoints(WorkDir(finished[0]).checkpoints) as checkpoints:
        assert {8, 12} <= set(checkpoints.steps())
        assert checkpoints.latest_step() == 12
        assert checkpoints.best_step() in (8, 12)


def test_evaluation_sees_the_averaged_weights(finished):
    workdir, run = finished
    with Checkpoints(WorkDir(workdir).checkpoints) as checkpoints:
        state = checkpoints.restore(12, run.shapes, run.shardings)
    trained = load(workdir, 12)
    average, loaded, current = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (state.ema["params"], trained.weights.params, state.weights.params)
    )
    np.testing.assert_array_equal(loaded, average)
    assert (loaded != current).any()
    np.testing.assert_array_equal(trained.weights.table, state.weights.table)


def test_same_command_again_does_nothing(finished):
    before = runs.metrics(finished[0])
    assert loop.train(runs.experiment(), finished[0]) == EXIT_DONE
    assert runs.metrics(finished[0]) == before


def test_a_work_directory_is_trained_by_one_process_at_a_time(finished):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(finished[0])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(UserError, match=f"Another process is training in {finished[0]}"):
            loop.train(runs.experiment(), finished[0])
        holder.kill()
    assert loop.train(runs.experiment(), finished[0]) == EXIT_DONE, "a killed one keeps nothing"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"optimizer": {"lr": 0.5}}, r"config\.optimizer\.lr"),
        ({"seed": 1}, r"config\.seed"),
        ({"model": {"mixer": "attention"}}, r"config\.model\.mixer"),  # was left at its default
        ({"data": {"extra_givens": 3}}, r"config\.data"),
        ({"table": {"rows": 9}}, r"config\.table\.rows"),
    ],
)
def test_another_experiment_is_refused(finished, change, named):
    with pytest.raises(UserError, match=named):
        loop.train(runs.experiment(**change), finished[0])


def test_more_steps_are_the_same_experiment_unless_the_rate_falls_over_them(tmp_path):
    falling = {"lr_min_ratio": 0.1}
    short = runs.experiment(steps=4, eval_every=4, optimizer=falling)
    assert loop.train(short, tmp_path) == EXIT_DONE
    with pytest.raises(UserError, match=r"config\.steps"):
        loop.train(runs.experiment(steps=8, eval_every=4, optimizer=falling), tmp_path)


def test_data_left_by_another_config_are_not_taken(tmp_path):
    place = WorkDir(tmp_path)
    open_training_data(runs.experiment().data, place.data)  # and then the run was killed
    with pytest.raises(UserError, match=r"config\.data"):
        open_training_data(runs.experiment(data={"seed": 5}).data, place.data)


def test_moved_data_are_the_same_data(finished, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(finished[0] / "data", copy)
    moved = runs.experiment(data={"path": str(copy)})
    assert loop.train(moved, finished[0]) == EXIT_DONE
    assert loop.train(runs.experiment(), finished[0]) == EXIT_DONE


@pytest.mark.parametrize(
    "model",
    [
        {"prefix_tokens": 0, "positions": "learned", "dtype": "bfloat16"},
        {"mixer": "attention", "positions": "rotary", "remat": "net"},
    ],
    ids=lambda model: "-".join(map(str, model.values())),
)
def test_other_models_train_and_come_back(model, tmp_path):
    experiment = runs.experiment(steps=4, eval_every=4, model=model, optimizer={"ema_scope": "all"})
    assert loop.train(experiment, tmp_path) == EXIT_DONE
    assert load(tmp_path).step == 4


@pytest.mark.slow
def test_eight_devices_give_the_losses_of_one(finished, tmp_path):
    assert loop.train(runs.experiment(mesh={"data": 8}), tmp_path) == EXIT_DONE
    for one, eight in zip(runs.metrics(finished[0]), runs.metrics(tmp_path), strict=True):
        assert one.keys() == eight.keys()
        for key, value in one.items():
            if value is not None and "halted" not in key:
                assert eight[key] == pytest.approx(value, rel=2e-5, abs=1e-6), key


def test_several_steps_per_dispatch_change_nothing(finished, tmp_path):
    changed = runs.experiment(steps_per_dispatch=2)
    assert loop.train(changed, tmp_path) == EXIT_DONE
    one = [e["train/loss"] for e in runs.metrics(finished[0]) if "train/loss" in e]
    two = [e["train/loss"] for e in runs.metrics(tmp_path) if "train/loss" in e]
    assert two == pytest.approx(one, rel=1e-5)


def test_a_gradient_that_is_not_finite_ends_the_run_before_the_save(tmp_path, monkeypatch):
    """The loss of the step itself is still finite then."""
    summarise = step.summarise

    def broken(sums, **more):
        return summarise(sums, **more) | {"gradient_norm": jax.numpy.float32("inf")}

    monkeypatch.setattr(step, "summarise", broken)
    with pytest.raises(NonFiniteLossError):
        loop.train(runs.experiment(checkpoint_every=1, eval_every=0), tmp_path)
    with Checkpoints(WorkDir(tmp_path).checkpoints) as checkpoints:
        assert not checkpoints.steps()


def test_non_finite_loss_ends_the_run_and_is_not_kept(tmp_path):
    broken = runs.experiment(optimizer={"lr": 1e9, "warmup": 0}, log_every=1)
    with pytest.raises(NonFiniteLossError) as error:
        loop.train(broken, tmp_path)
    assert error.value.exit_code == 3
    with Checkpoints(WorkDir(tmp_path).checkpoints) as checkpoints:
        assert all(step < 12 for step in checkpoints.steps())


def test_the_last_evaluation_is_kept_by_depth(finished):
    (path,) = (finished[0] / "eval").glob("*.json")
    assert path.name == "data-heldout-checkpoint12-depth3.json"
    kept = json.loads(path.read_text())
    logged = [e for e in runs.metrics(finished[0]) if "heldout/exact_accuracy" in e][-1]
    assert kept["checkpoint"] == logged["step"] == 12
    assert kept["exact_accuracy"] == logged["heldout/exact_accuracy"]
    assert kept["by_depth"][0]["exact_accuracy"] == logged["heldout/exact_accuracy_depth_1"]
    assert [row["depth"] for row in kept["by_depth"]] == [1, 2, 3]


def test_config_is_kept_and_read_back(finished):
    experiment, manifest = WorkDir(finished[0]).read()
    assert experiment == runs.experiment()
    assert manifest["counts"] == {"train": 30, "heldout": 10}
    record = json.loads((finished[0] / "config.json").read_text())
    assert record["config"]["model"]["width"] == 16


def test_data_of_a_resume_is_the_very_same(finished):
    cache = WorkDir(finished[0]).data
    dataset = open_training_data(runs.experiment().data, cache)
    _, manifest = WorkDir(finished[0]).read()
    assert dataset.manifest["fingerprint"] == manifest["fingerprint"]


def test_batch_must_fit_the_mesh(tmp_path):
    with pytest.raises(UserError, match="batch_size"):
        loop.train(runs.experiment(batch_size=6, mesh={"data": 4}), tmp_path)
    assert not list(tmp_path.iterdir())
