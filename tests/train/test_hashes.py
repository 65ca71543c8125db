"""Checkpoints that know when they are damaged, and a training that goes on from a sound one."""

import json
import os
import shutil
import subprocess
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from tests import runs
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.tasks.sources import open_training_data
from trm_jax.train import hashes, soundness
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.loop import train
from trm_jax.train.run import prepare
from trm_jax.train.workdir import WorkDir

PLACES = 24


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The tiny run, to the end; its checkpoints are at 8 and 12."""
    workdir = tmp_path_factory.mktemp("whole")
    assert train(runs.experiment(), str(workdir)) == 0
    return workdir


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def small(tmp_path):
    """Two checkpoints of a small tree."""
    with Checkpoints(tmp_path / "small") as checkpoints:
        for step in (3, 4):
            state = {"weights": {"a": jnp.arange(999.0) + step}, "ema": {}}
            checkpoints.save(step, state, {"config": 1}, None)
    return tmp_path / "small"


def shapes_of(workdir):
    experiment = runs.experiment()
    run = prepare(experiment, open_training_data(experiment.data, WorkDir(workdir).data))
    return run.shapes, run.shardings


def flip(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def without_hashes(folder):
    """As an older version left it."""
    (folder / hashes.NAME).unlink()
    meta = folder / "meta" / "metadata"
    kept = {k: v for k, v in json.loads(meta.read_text()).items() if k != soundness.MARK}
    meta.write_text(json.dumps(kept))


def test_every_file_is_vouched_for(copy):
    folder = copy / "checkpoints" / "12"
    listed = json.loads((folder / hashes.NAME).read_text())["files"]
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files - set(listed) == {hashes.NAME, *hashes.LATER}
    assert hashes.check(epath.Path(folder)) is True


def test_a_flipped_bit_is_always_noticed(copy):
    """Twenty-four places of all array files, each in the newest and the best checkpoint."""
    rng = np.random.default_rng(0)
    shapes, shardings = shapes_of(copy)
    folder = copy / "checkpoints" / "12"
    files = sorted(p for p in (folder / "state").rglob("*") if p.is_file() and "d" in p.parts[-2])
    sizes = np.asarray([p.stat().st_size for p in files])
    noticed = 0
    for _ in range(PLACES):
        path = files[rng.choice(len(files), p=sizes / sizes.sum())]
        place, bit = int(rng.integers(path.stat().st_size)), int(rng.integers(8))
        flip(path, place, bit)
        with Checkpoints(copy / "checkpoints", read_only=True) as checkpoints:
            with pytest.raises(UserError, match=r"Checkpoint 12 .*SHA-256.* sound one is 8") as one:
                checkpoints.restore(12, shapes, shardings)
            with pytest.raises(UserError, match="Checkpoint 12 "):
                checkpoints.restore_weights(12, shapes.weights, {}, shardings.weights)
        assert "\n" not in str(one.value)
        flip(path, place, bit)
        noticed += 1
    assert noticed == PLACES
    with Checkpoints(copy / "checkpoints", read_only=True) as checkpoints:
        assert int(checkpoints.restore(12, shapes, shardings).step) == 12


def damage_bit(folder):
    (path,) = [p for p in (folder / "state" / "d").iterdir()][:1]
    flip(path, path.stat().st_size // 2, 3)


def damage_truncated(folder):
    for path in (folder / "state").rglob("*"):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)


def damage_emptied(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def damage_half(folder):
    shutil.rmtree(folder / "state")


def damage_hashes(folder):
    (folder / hashes.NAME).unlink()


def damage_list(folder):
    path = folder / hashes.NAME
    path.write_text(path.read_text().replace('"state/', '"../state/', 1))


def damage_all(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def damage_foreign(folder):
    damage_all(folder)
    (folder / "notes.txt").write_text("mine")


def damage_renamed(folder):
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "8", folder)


def damage_file(folder):
    shutil.rmtree(folder)
    folder.write_text("mine")


DAMAGES = [
    damage_bit,
    damage_truncated,
    damage_emptied,
    damage_half,
    damage_hashes,
    damage_list,
    damage_all,
    damage_foreign,
    damage_renamed,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_readers_say_one_sentence(copy, capfd, damage):
    damage(copy / "checkpoints" / "12")
    for command in (["eval", "--workdir"], ["export", "--out", copy.parent / "x", "--workdir"]):
        words = [*map(str, command), str(copy), "--checkpoint=12"]
        capfd.readouterr()
        assert main(words) == 2
        error = capfd.readouterr().err
        assert error.count("\n") == 1 and "Checkpoint 12 in" in error, error
        assert "--checkpoint (the newest sound one is 8" in error


@pytest.mark.parametrize("damage", [*DAMAGES, damage_file])
def test_training_passes_over_it_and_goes_on(whole, copy, capfd, damage):
    damage(copy / "checkpoints" / "12")
    assert train(runs.experiment(), str(copy)) == 0
    printed = capfd.readouterr()
    assert printed.out.count("skipping 12 in") == 1 and "12.damaged" in printed.out
    assert "resuming from checkpoint 8" in printed.out and "Traceback" not in printed.err
    shapes, shardings = shapes_of(copy)
    with (
        Checkpoints(copy / "checkpoints", read_only=True) as one,
        Checkpoints(whole / "checkpoints", read_only=True) as other,
    ):
        assert one.steps() == [8, 12]
        states = (each.restore(12, shapes, shardings) for each in (one, other))
        runs.assert_same(*map(runs.arrays, states))
    assert runs.metrics(copy) == runs.metrics(whole)


def test_an_empty_folder_beside_sound_ones(copy, capfd):
    (copy / "checkpoints" / "999").mkdir()
    assert main(["eval", "--workdir", str(copy), "--checkpoint=999"]) == 2
    error = capfd.readouterr().err
    assert main(["eval", "--workdir", str(copy), "--checkpoint=8"]) == 0
    assert "Checkpoint 999 in" in error and "it is empty" in error and "sound one is 12" in error
    assert train(runs.experiment(steps=16), str(copy)) == 0
    printed = capfd.readouterr().out
    assert "skipping 999 in" in printed and "resuming from checkpoint 12" in printed
    left = {path.name for path in (copy / "checkpoints").iterdir()}
    assert {"12", "16", "999.damaged"} <= left, "retention does not count what is no checkpoint"


def test_nothing_but_an_empty_folder_is_a_beginning(whole, tmp_path, capfd):
    (tmp_path / "run" / "checkpoints" / "999").mkdir(parents=True)
    assert train(runs.experiment(), str(tmp_path / "run")) == 0
    assert "skipping 999" in capfd.readouterr().out


def test_no_sound_one_is_refused_and_nothing_is_renamed(copy):
    for step in (8, 12):
        damage_bit(copy / "checkpoints" / str(step))
    with pytest.raises(UserError, match=r"Checkpoint 12 .* no other one is sound; restore"):
        train(runs.experiment(), str(copy))
    assert {p.name for p in (copy / "checkpoints").iterdir()} == {"8", "12"}


def test_one_without_hashes_is_read_with_a_word(copy, capfd):
    for step in (8, 12):
        without_hashes(copy / "checkpoints" / str(step))
    assert main(["eval", "--workdir", str(copy)]) == 0
    assert capfd.readouterr().err.count("has no hashes, as an older version wrote it") == 1
    assert train(runs.experiment(steps=16), str(copy)) == 0
    printed = capfd.readouterr()
    assert "resuming from checkpoint 12" in printed.out and "checkpoint 12 in" in printed.err
    assert (copy / "checkpoints" / "16" / hashes.NAME).exists()


@pytest.mark.parametrize("damage", [damage_truncated, damage_half, damage_emptied])
def test_a_damaged_one_without_hashes_is_passed_over(copy, capfd, damage):
    without_hashes(copy / "checkpoints" / "12")
    damage(copy / "checkpoints" / "12")
    assert main(["eval", "--workdir", str(copy), "--checkpoint=12"]) == 2
    error = capfd.readouterr().err
    assert "Checkpoint 12 in" in error and "sound one is 8" in error and "Traceback" not in error
    assert train(runs.experiment(), str(copy)) == 0
    assert "resuming from checkpoint 8" in capfd.readouterr().out


KILLED = """
import os, signal, sys
import jax.numpy as jnp
from trm_jax.train import hashes
from trm_jax.train.checkpoint import Checkpoints
write, when = hashes.write, sys.argv[2]
def killed(folder):
    if when == "after" and folder.name.startswith("5"):
        write(folder)
    if folder.name.startswith("5"):
        os.kill(os.getpid(), signal.SIGKILL)
    write(folder)
hashes.write = killed
with Checkpoints(sys.argv[1]) as checkpoints:
    for step in (3, 4, 5):
        checkpoints.save(step, {"weights": {"a": jnp.ones(9)}, "ema": {}}, {}, None)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_while_hashing_leaves_a_save_that_was_not_finished(tmp_path, when):
    """Hashes are written before Orbax renames: no checkpoint is ever in place without them."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), when],
        cwd=runs.ROOT,
        env=runs.environment(),
        capture_output=True,
    )
    assert done.returncode == -9, done.stderr.decode()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.torn() == ["5.orbax-checkpoint-tmp"]
        assert checkpoints.go_on_from() == (4, [])
        assert checkpoints.steps() == [3, 4], "the old ones go only after the new one is in place"
        checkpoints.save(5, {"weights": {"a": jnp.ones(9)}, "ema": {}}, {}, None)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.go_on_from() == (5, []) and not checkpoints.torn()


def test_saving_does_not_wait_for_hashes(tmp_path, monkeypatch):
    """The loop goes on while a checkpoint is hashed; only the next save, and closing, wait."""
    done, wait = [], threading.Event()
    write = hashes.write

    def slow(folder):
        assert threading.current_thread() is not threading.main_thread()
        assert wait.wait(60)
        write(folder)
        done.append(folder.name)

    monkeypatch.setattr(hashes, "write", slow)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"weights": {"a": jnp.ones(9)}, "ema": {}}, {}, None)
        assert not done
        wait.set()
    assert done == ["1.orbax-checkpoint-tmp"]
    assert hashes.check(epath.Path(tmp_path / "1"))


def test_retention_leaves_hashed_ones(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step, score in {1: 0.9, 2: 0.1, 3: None, 4: 0.2}.items():
            checkpoints.save(step, {"weights": {"a": jnp.ones(9)}, "ema": {}}, {}, score)
    assert soundness.numbered(epath.Path(tmp_path)) == [1, 3, 4]
    assert all(hashes.check(epath.Path(tmp_path / str(step))) for step in (1, 3, 4))


def test_a_second_one_is_set_aside_beside_the_first(small):
    place = epath.Path(small)
    assert soundness.set_aside(place, 4) == "4.damaged"
    (small / "4").mkdir()
    assert soundness.set_aside(place, 4) == "4.damaged2"
    assert soundness.numbered(place) == [3]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"format": 1, "files": {}}',
        '{"format": 2, "files": {"a": {"bytes": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"a": {"bytes": "1", "sha256": ""}}}',
        '{"format": 1, "files": {"a": 1}}',
        '{"format": 1, "files": 3}',
        b"\xff\xfe",
    ],
)
def test_a_list_of_another_shape_is_damaged(small, content):
    path = small / "4" / hashes.NAME
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(hashes.UnsoundError, match=r"^its hashes.json is damaged"):
        hashes.check(epath.Path(small / "4"))
    assert soundness.newest_sound(epath.Path(small), {}) == 3
