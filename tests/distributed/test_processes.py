"""One run in several processes: the same as in one; asked to stop, resumed, and left alone."""

import json
import os
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests import runs
from tests.arc_tasks import source
from tests.distributed.processes import Processes, config_file, together
from trm_jax.core.distributed import join
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.data import format as dataset_format
from trm_jax.train import pack
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.run import prepare
from trm_jax.train.trained import load
from trm_jax.train.workdir import WorkDir

STEPS = runs.CONFIG["steps"]
LONG = 400
"""Updates of a run that is stopped before its end."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("processes")
    (root / "files").mkdir()
    source(root / "files", training=4, evaluation=3, most=4)
    return root


def train(root, name, count, devices, *more):
    command = ["train", "--config", config_file(root), "--workdir", root / name, *more]
    together(root / "logs", count, devices, *command)
    return root / name


@pytest.fixture(scope="module")
def two(root):
    """Two processes of two devices."""
    return train(root, "two", 2, 2)


@pytest.fixture(scope="module")
def alone(root):
    """One process, four devices."""
    done = runs.trm(
        "train", "--config", config_file(root), "--workdir", root / "alone", JAX_NUM_CPU_DEVICES="4"
    )
    assert done.returncode == 0, done.stderr
    return root / "alone"


def assert_same_metrics(one, other):
    mine, yours = runs.metrics(one), runs.metrics(other)
    assert [e["step"] for e in mine] == [e["step"] for e in yours]
    for a, b in zip(mine, yours, strict=True):
        assert a.keys() == b.keys()
        for key, value in a.items():
            near = b[key] if b[key] is None else pytest.approx(b[key], rel=1e-3, abs=1e-5)
            assert value == near, (a["step"], key)


def test_two_processes_are_one_run(two, alone):
    assert_same_metrics(two, alone)
    assert sorted(p.name for p in (two / "checkpoints").iterdir()) == ["12", "8"]
    a, b = (np.asarray(jax.device_get(load(path).weights.table)) for path in (two, alone))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert (np.abs(a).sum(axis=1) > 0).sum() > 10


@pytest.mark.slow
def test_two_processes_go_on_from_a_pack_as_one_does(root, alone):
    """With a puzzle table that is split."""
    pack.write(alone, root / "arc.trmpack", 8)
    start = f"--config.init_from={root / 'arc.trmpack'}"
    two, one = train(root, "moved", 2, 2, start), root / "moved_alone"
    command = ["train", "--config", config_file(root), "--workdir", one, start]
    done = runs.trm(*command, JAX_NUM_CPU_DEVICES="4")
    assert done.returncode == 0, done.stderr
    assert min(entry["step"] for entry in runs.metrics(two)) == 9
    assert_same_metrics(two, one)


@pytest.mark.slow
def test_so_are_four(root, alone):
    assert_same_metrics(train(root, "four", 4, 1), alone)


SEARCH = ["--steps=3", "--rollouts=3", "--noise=0.5", "--halt", "--halt-threshold=0.01"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], [*SEARCH, "--select=first"]], ids=["depth", "race"])
def test_votes_are_the_same_in_two_processes_and_in_one(root, two, how):
    evaluation = ["eval", "--workdir", two, "--split", "test", "--json", *how]
    first, second = together(root / "logs", 2, 2, *evaluation)
    assert "{" not in second, "only one process talks"
    many = json.loads(first[first.index("{") :])
    one = json.loads(runs.trm(*evaluation).stdout)
    submissions = [json.loads(Path(r.pop("submission")).read_text()) for r in (many, one)]
    assert submissions[0] == submissions[1]
    close = {"halt_probability", "halt_error"}
    for key in set(many) - {"seconds", "by_depth", "cell_accuracy", "work", *close}:
        assert many[key] == one[key], key


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_what_four_devices_saved_is_restored_on_others(two, devices):
    experiment, _ = WorkDir(two).read()
    run = prepare(experiment, dataset_format.load(two / "data"), make_mesh(devices))
    with Checkpoints(two / "checkpoints", read_only=True) as checkpoints:
        state = checkpoints.restore(12, run.shapes, run.shardings)
    table = state.weights.table
    assert {s.data.shape[0] for s in table.addressable_shards} == {1024 // devices}
    np.testing.assert_array_equal(table, jax.device_get(load(two, 12).weights.table))
    assert int(state.step) == 12 and state.carry.halted.shape == (8,)


@pytest.mark.slow
def test_one_is_asked_to_stop_and_all_do_and_go_on(root, two):
    """To the same weights, bit for bit, as without the stop."""
    workdir = root / "stopped"
    command = ["train", "--config", config_file(root), "--workdir", workdir]
    these = Processes(root / "logs", 2, 2, *command)
    these.wait_for("step      2/12")
    os.kill(these.processes[1].pid, signal.SIGTERM)
    codes = these.wait()
    if codes == [0, 0]:
        pytest.skip("the machine was too slow to hear of it before the end")
    assert codes == [42, 42], [these.text(0), these.text(1)]
    assert "checkpointed; run the same command" in these.text(0)
    (stopped,) = (
        int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name != "4" and p.name != "8"
    )
    assert 2 <= stopped < STEPS
    together(root / "logs", 2, 2, *command)
    one, other = (load(path, 12, averaged=False).weights for path in (two, workdir))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


# a lost process that is not the coordinator is noticed by its silence, which takes half a minute
@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_ends_and_says_why(root, killed):
    config = config_file(root, steps=100_000, checkpoint_every=50_000, eval_every=0)
    these = Processes(
        root / "logs", 2, 2, "train", "--config", config, "--workdir", root / f"killed{killed}"
    )
    these.wait_for("step      3/")
    these.processes[killed].kill()
    began = time.monotonic()
    other = these.processes[1 - killed].wait(timeout=100)
    these.wait()
    assert time.monotonic() - began < 90
    assert other != 0
    text = these.text(1 - killed)
    assert "another process of this run has ended" in text or "another task died" in text, text


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TRM_COORDINATOR": "here:1"}, "TRM_NUM_PROCESSES and TRM_PROCESS_ID missing"),
        ({"TRM_NUM_PROCESSES": "two"}, "TRM_NUM_PROCESSES is 'two'"),
        (
            {"TRM_COORDINATOR": "h:1", "TRM_NUM_PROCESSES": "2", "TRM_PROCESS_ID": "2"},
            "process 2 of 2 at 'h:1' is invalid",
        ),
        (
            {"TRM_COORDINATOR": "here", "TRM_NUM_PROCESSES": "2", "TRM_PROCESS_ID": "0"},
            "give HOST:PORT",
        ),
        ({"TRM_DISTRIBUTED": "yes"}, "TRM_DISTRIBUTED is 'yes'"),
    ],
)
def test_half_a_story_is_refused(environment, words):
    with pytest.raises(UserError, match=words):
        join(environment=environment)


def test_one_process_is_never_asked():
    join(environment={})
    join(environment={"TRM_COORDINATOR": "h:1", "TRM_NUM_PROCESSES": "1", "TRM_PROCESS_ID": "0"})
    assert not jax.distributed.is_initialized()
