"""A run that is killed and started again equals one that was left alone, bit for bit."""

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time

import jax
import pytest

from tests import runs
from trm_jax.config.experiment import MeshConfig
from trm_jax.core.errors import EXIT_DONE, EXIT_RESTART_ME
from trm_jax.tasks.sources import open_training_data
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.loop import train
from trm_jax.train.run import prepare
from trm_jax.train.workdir import WorkDir

# Runs the tiny experiment, kindly slowed down so that a kill can hit any moment of it.
SCRIPT = """
import json, sys, time
import jax
jax.config.update("jax_compilation_cache_dir", sys.argv[3])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
from trm_jax.train import loop as train
from trm_jax.config.experiment import from_dict
stream = train.training_batches
def slow(*args):
    for batch in stream(*args):
        time.sleep(float(sys.argv[4]))
        yield batch
train.training_batches = slow
sys.exit(train.train(from_dict(json.loads(sys.argv[2])), sys.argv[1]))
"""


def start(workdir, experiment, cache, pause):
    """The tiny experiment in a process of its own."""
    config = json.dumps(experiment.to_dict())
    command = [sys.executable, "-c", SCRIPT, workdir, config, cache, pause]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=runs.ROOT,
        env=runs.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def final_state(workdir, experiment):
    """The newest checkpoint, every array of it."""
    place = WorkDir(workdir)
    run = prepare(experiment, open_training_data(experiment.data, place.data))
    with Checkpoints(place.checkpoints) as checkpoints:
        latest = checkpoints.latest_step()
        state = checkpoints.restore(latest, run.shapes, run.shardings)
    assert int(state.step) == experiment.steps
    return runs.arrays(state)


def killed_until_done(workdir, experiment, cache, rng, kills):
    """Kills with SIGKILL at random moments after the first update; returns how often."""
    for count in range(kills + 1):
        process = start(workdir, experiment, cache, 0.2)
        metrics = workdir / "metrics.jsonl"
        before = metrics.read_text() if metrics.exists() else ""
        while process.poll() is None and count < kills:
            if metrics.exists() and metrics.read_text() != before:
                time.sleep(rng.uniform(0, 1.5))
                process.kill()
                break
            time.sleep(0.02)
        _, errors = process.communicate(timeout=120)
        if process.returncode == 0:
            return count
        assert process.returncode == -signal.SIGKILL, errors.decode()
    raise AssertionError("the last run was not to be killed")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    cache = tmp_path_factory.mktemp("compiled")
    experiment = runs.experiment()
    process = start(workdir, experiment, cache, 0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == EXIT_DONE, errors.decode()
    return workdir, cache, experiment


def check_kills(undisturbed, tmp_path, seed, kills):
    workdir, cache, experiment = undisturbed
    times = killed_until_done(tmp_path, experiment, cache, random.Random(seed), kills)
    assert times, "no kill hit the run"
    runs.assert_same(final_state(tmp_path, experiment), final_state(workdir, experiment))
    assert runs.metrics(tmp_path) == runs.metrics(workdir)


def test_killed_twice(undisturbed, tmp_path):
    check_kills(undisturbed, tmp_path, seed=0, kills=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_often(undisturbed, tmp_path, seed):
    check_kills(undisturbed, tmp_path, seed, kills=6)


def kill_once(workdir, experiment, cache, rng, in_a_save):
    """Kills a run after its first update, or in the middle of a save; gives what it printed."""
    process = start(workdir, experiment, cache, 0.15)
    metrics, checkpoints = workdir / "metrics.jsonl", workdir / "checkpoints"
    before = metrics.read_text() if metrics.exists() else ""
    left = {path.name for path in checkpoints.glob("*tmp*")}
    while process.poll() is None and not (metrics.exists() and metrics.read_text() != before):
        time.sleep(0.01)
    if in_a_save:
        while process.poll() is None:
            if {path.name for path in checkpoints.glob("*tmp*")} - left:
                break
    else:
        time.sleep(rng.uniform(0, 1))
    process.kill()
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    return printed.decode()


@pytest.mark.slow
def test_soak(tmp_path):
    """Twenty kills, every second one while a checkpoint is being written."""
    experiment = runs.experiment(steps=400, log_every=1, eval_every=0, checkpoint_every=3)
    cache, rng, printed = tmp_path / "compiled", random.Random(0), ""
    workdir = tmp_path / "killed"
    workdir.mkdir()
    for number in range(20):
        printed += kill_once(workdir, experiment, cache, rng, in_a_save=number % 2 == 1)
    assert printed.count("skipping") >= 5, "hardly any kill hit a save"
    alone = tmp_path / "alone"
    for place in (workdir, alone):
        process = start(place, experiment, cache, 0)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == EXIT_DONE, errors.decode()
    runs.assert_same(final_state(workdir, experiment), final_state(alone, experiment))
    assert runs.metrics(workdir) == runs.metrics(alone)


def test_sigterm_checkpoints_and_asks_for_a_restart(undisturbed, tmp_path):
    workdir, cache, experiment = undisturbed
    process = start(tmp_path, experiment, cache, 0.3)
    metrics = tmp_path / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text()):
        time.sleep(0.02)
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == EXIT_RESTART_ME
    process = start(tmp_path, experiment, cache, 0)
    process.communicate(timeout=120)
    assert process.returncode == EXIT_DONE
    runs.assert_same(final_state(tmp_path, experiment), final_state(workdir, experiment))
    assert runs.metrics(tmp_path) == runs.metrics(workdir)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 8])
def test_a_run_goes_on_on_another_number_of_devices(undisturbed, tmp_path, devices):
    """The same data and random numbers; equal but for rounding."""
    whole, _, experiment = undisturbed
    first = dataclasses.replace(experiment, steps=4)
    assert train(first, tmp_path) == EXIT_DONE
    wider = dataclasses.replace(experiment, mesh=MeshConfig(data=devices))
    assert train(wider, tmp_path) == EXIT_DONE
    mine, yours = final_state(tmp_path, wider), final_state(whole, experiment)
    runs.assert_near(yours, mine)


def test_checkpoint_goes_to_another_number_of_devices(tmp_path):
    one, eight = (runs.experiment(mesh={"data": n}) for n in (1, 8))
    assert train(one, tmp_path / "one") == EXIT_DONE
    state = final_state(tmp_path / "one", one)
    dataset = open_training_data(eight.data, WorkDir(tmp_path / "one").data)
    run = prepare(eight, dataset)
    with Checkpoints(WorkDir(tmp_path / "one").checkpoints) as checkpoints:
        moved = checkpoints.restore(12, run.shapes, run.shardings)
    assert len(moved.carry.steps.sharding.device_set) == 8
    assert len(jax.tree.leaves(moved.weights.params)[0].sharding.device_set) == 8
    runs.assert_same(runs.arrays(moved), state)
