"""A training that moves: what a pack holds, what it has rounded, and that training goes on."""

import contextlib
import hashlib
import io
import itertools
import json
import shutil

import jax
import numpy as np
import pytest
from etils import epath

from tests import runs
from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.models import get_model
from trm_jax.tasks.sources import open_training_data
from trm_jax.train import bundle, pack
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.loop import train
from trm_jax.train.method import recipe_of
from trm_jax.train.run import prepare, training_batches
from trm_jax.train.trainer import make_trainer
from trm_jax.train.workdir import CONVERTED, WorkDir

ROUNDING = 2.0**-8
"""The largest relative error of bfloat16."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The tiny run, to the end; its checkpoints are at 8 and 12."""
    workdir = tmp_path_factory.mktemp("whole")
    assert train(runs.experiment(), str(workdir)) == 0
    return workdir


@pytest.fixture(scope="module")
def packed(whole, tmp_path_factory):
    """The pack of its update 8."""
    file = tmp_path_factory.mktemp("packs") / "tiny.trmpack"
    pack.write(whole, file, 8)
    return file


@pytest.fixture
def copy(packed, tmp_path):
    """A copy of the pack, to damage."""
    return shutil.copytree(packed.parent, tmp_path / "packs") / packed.name


def prepared(workdir, experiment):
    return prepare(experiment, open_training_data(experiment.data, WorkDir(workdir).data))


def saved(workdir, step, experiment=None):
    """Every array of a checkpoint but the carry, by the names of a pack."""
    run = prepared(workdir, experiment or runs.experiment())
    with Checkpoints(WorkDir(workdir).checkpoints, read_only=True) as checkpoints:
        state = checkpoints.restore(step, run.shapes, run.shardings)
    fields = {n: getattr(state, n) for n in ("step", "weights", "opt_state", "ema", "sums")}
    return {name: np.asarray(leaf) for name, leaf in pack.named(fields).items()}


def edit(file, signed=True, **changes):
    """Changes what a pack says of itself, with a hash that says so."""
    record = json.loads(file.read_text()) | changes
    if signed:
        record["sha256"] = bundle.digest(record)
    file.write_text(json.dumps(record))


def edited(*path, to):
    """An edit of something inside of what a pack says."""

    def damage(file):
        record = inner = json.loads(file.read_text())
        for key in path[:-1]:
            inner = inner[key]
        if to is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = to
        file.unlink()
        file.write_text(json.dumps(record | {"sha256": bundle.digest(record)}))

    return damage


def only_part(file):
    (part,) = file.parent.glob("*.npz")
    return part


def test_weights_are_exact_and_moments_and_averages_near(whole, packed):
    before, after = saved(whole, 8), pack.Pack.open(packed).arrays()
    assert before.keys() == after.keys()
    rounded = {name for name in before if {"mu", "nu"} & set(name.split("/"))}
    averaged = {name for name in before if name.startswith("ema/")}
    assert len(rounded) == 2 * len(averaged) > 10
    for name, array in before.items():
        other = after[name]
        assert array.dtype == other.dtype and array.shape == other.shape, name
        if name in rounded:
            np.testing.assert_allclose(other, array, rtol=ROUNDING, atol=0, err_msg=name)
        elif name in averaged:
            weights = before[name.replace("ema", "weights")]
            error = np.abs(other - array)
            bound = ROUNDING * np.abs(array - weights) + 2.0**-22 * np.abs(array)
            assert (error <= bound).all(), name
            assert not (array == weights).all(), name
        else:
            assert array.tobytes() == other.tobytes(), name
    assert any((before[name] != after[name]).any() for name in rounded)


def test_a_pack_has_no_carry_and_no_key(packed):
    record = json.loads(packed.read_text())
    fields = {name.split("/")[0] for name in record["arrays"]}
    assert fields == {"step", "weights", "opt_state", "ema", "sums"}
    assert record["step"] == 8 and from_dict(record["config"]) == runs.experiment()


def test_training_goes_on_where_the_pack_was(whole, packed, tmp_path, capsys):
    experiment = runs.experiment(init_from=str(packed))
    run = prepared(whole, experiment)
    state = pack.continue_from(str(packed), run)
    assert int(state.step) == 8 and np.asarray(state.carry.halted).all()
    assert int(saved(whole, 8)["opt_state/0/updates"]) == int(state.opt_state[0].updates) == 8
    shutil.copy(whole / "metrics.jsonl", tmp_path)  # for one learning curve
    assert train(experiment, str(tmp_path)) == 0
    assert f"resuming from update 8 in {packed}" in capsys.readouterr().out
    new, old = runs.metrics(tmp_path), runs.metrics(whole)
    assert [e["step"] for e in new] == [e["step"] for e in old]
    before = [entry for entry in old if entry["step"] <= 8]
    assert new[: len(before)] == before
    assert new[len(before) :] != old[len(before) :]
    for one, other in zip(new, old, strict=True):
        assert one.keys() == other.keys()
        assert one.get("train/lr") == other.get("train/lr")
        if "train/loss" in one:
            assert one["train/loss"] == pytest.approx(other["train/loss"], rel=0.1)


def test_the_new_run_resumes_by_itself_bit_for_bit(packed, tmp_path):
    moved = shutil.copytree(packed.parent, tmp_path / "packs") / packed.name
    longer = runs.experiment(init_from=str(moved), steps=20)
    assert train(runs.experiment(init_from=str(moved), steps=12), str(tmp_path / "twice")) == 0
    assert train(longer, str(tmp_path / "once")) == 0
    shutil.rmtree(moved.parent)
    assert train(longer, str(tmp_path / "twice")) == 0
    states = (saved(tmp_path / each, 20, longer) for each in ("twice", "once"))
    runs.assert_same(*states)


@pytest.mark.slow
def test_on_other_devices_it_goes_on_to_rounding_from_the_next_batch(whole, packed, tmp_path):
    after = []
    for name, changes in {"one": {}, "two": {"mesh": {"data": 2}, "accumulate": 2}}.items():
        free = {"steps": 9, "log_every": 1, "eval_every": 0, "name": name, **changes}
        experiment = runs.experiment(init_from=str(packed), **free)
        assert train(experiment, str(tmp_path / name)) == 0
        after.append(saved(tmp_path / name, 9))
    runs.assert_near(*after)
    run = prepared(whole, runs.experiment())
    with contextlib.closing(training_batches(run, 8)) as stream:
        batch = next(stream)
    with Checkpoints(WorkDir(tmp_path / "one").checkpoints, read_only=True) as checkpoints:
        carry = checkpoints.restore(9, run.shapes, run.shardings).carry
    np.testing.assert_array_equal(carry.steps, 1)
    np.testing.assert_array_equal(carry.batch.inputs, batch.inputs[0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, r"config\.seed = 0, and it is now 1"),
        ({"batch_size": 16}, r"config\.batch_size = 8, and it is now 16"),
        ({"model": {"width": 32}}, r"config\.model\.width = 16, and it is now 32"),
        ({"optimizer": {"lr": 1.0}}, r"config\.optimizer\.lr = 0\.001, and it is now 1\.0"),
        (
            {"optimizer": {"name": "muon"}},
            r"config\.optimizer\.name = 'adam_atan2', and it is now 'muon'",
        ),
        ({"data": {"sudoku": {"extra_givens": 5}}}, r"config\.data\.sudoku\.extra_givens = 4"),
        ({"steps": 8, "eval_every": 0}, r"config\.steps is 8; raise config\.steps"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(packed, tmp_path, changes, named):
    with pytest.raises(UserError, match=named):
        train(runs.experiment(init_from=str(packed), **changes), str(tmp_path / "new"))
    assert not (tmp_path / "new/config.json").exists()


def test_another_task_and_other_data_are_refused(copy):
    manifest = json.loads(copy.read_text())["data"]
    pack.refuse_unfit(runs.experiment(init_from=str(copy)), manifest)
    with pytest.raises(UserError, match="trained on dataset .* config.data now gives abc;"):
        pack.refuse_unfit(runs.experiment(init_from=str(copy)), manifest | {"fingerprint": "abc"})
    maze = from_dict({**runs.CONFIG, "data": {"task": "maze"}, "init_from": str(copy)})
    with pytest.raises(UserError, match=r"config\.data\.\w+ = .*, and it is now"):
        pack.refuse_unfit(maze, manifest)


@pytest.mark.parametrize(
    "setting", [{"optimizer": {"lr_min_ratio": 0.1}}, {"curriculum": [[0.0, 1, 1], [0.5, 2, 1]]}]
)
def test_a_schedule_over_the_steps_binds_them(copy, setting):
    config = runs.experiment(**setting).to_dict()
    edit(copy, config=config)
    manifest = json.loads(copy.read_text())["data"]
    pack.refuse_unfit(runs.experiment(init_from=str(copy), **setting), manifest)
    with pytest.raises(UserError, match=r"config\.steps = 12, and it is now 16"):
        pack.refuse_unfit(runs.experiment(init_from=str(copy), steps=16, **setting), manifest)


def damage_truncated(file):
    part = only_part(file)
    part.write_bytes(part.read_bytes()[:-100])


def damage_swapped(file):
    part = only_part(file)
    part.write_bytes(part.read_bytes()[::-1])


def damage_missing(file):
    only_part(file).unlink()


def damage_manifest(file):
    file.write_text(file.read_text()[:-50])


def damage_version(file):
    edit(file, format=2, trm_jax="9.1")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (damage_truncated, r"000-\w+\.npz has [\d,]+ bytes and .* lists it with [\d,]+; copy"),
        (damage_swapped, r"000-\w+\.npz is not the part that .* lists"),
        (damage_missing, r"000-\w+\.npz is missing, a part of .*; copy it there"),
        (damage_manifest, r"is not a pack, or was damaged or edited"),
        (damage_version, r"is a pack of format 2 .* install the version 9\.1"),
        (lambda file: edit(file, kind="tea"), r"its kind is 'tea'"),
        (lambda file: file.unlink(), r"is not a work directory"),
    ],
)
def test_a_damaged_pack_is_one_sentence(copy, tmp_path, damage, named):
    damage(copy)
    with pytest.raises(UserError, match=named):
        train(runs.experiment(init_from=str(copy)), str(tmp_path / "new"))


def test_another_version_with_other_arrays_says_so(whole, copy):
    run = prepared(whole, runs.experiment(init_from=str(copy)))
    edited("arrays", "sums/updates", to=None)(copy)
    with pytest.raises(UserError, match=r"has sums/updates as None where .* float32\[\]; resume"):
        pack.continue_from(str(copy), run)
    edited("arrays", "sums/updates", to={"shape": [], "dtype": "int32", "kept": "exact"})(copy)
    wrong = r"has sums/updates as int32\[\] where .* float32\[\]; resume"
    with pytest.raises(UserError, match=wrong):
        pack.continue_from(str(copy), run)


AVERAGE = "ema/params/answer_head/kernel"
PART = {"file": "a.npz", "bytes": 1, "sha256": ""}


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: edit(file, signed=False, step=7),
        lambda file: file.write_text("[" * 100_000),
        lambda file: file.write_bytes(b"\xff\xfe{}"),
        *(
            lambda file, text=text: file.write_text(text)
            for text in ("", "[]", '"kind"', "{}", "1")
        ),
        *(edited(key, to=to) for key in ("format", "kind") for to in (None, [], "1")),
        *(edited("step", to=to) for to in (None, "8", -1, 8.5, True, [])),
        *(edited("data", to=to) for to in (None, [], 1, "x", {}, {"fingerprint": 1})),
        *(edited("config", to=to) for to in (None, [], 1, {"no": 1}, {"model": 1}, {"data": []})),
        *(edited("trm_jax", to=to) for to in (None, 1)),
        *(edited("parts", to=to) for to in (None, [], {}, "x", [1], [{}], [PART, PART])),
        *(
            edited("parts", 0, "file", to=to)
            for to in (None, 1, "", ".", "..", "/etc/a.npz", "../a.npz", "a\\b.npz", "\0.npz")
        ),
        *(edited("parts", 0, key, to=to) for key in ("bytes", "sha256") for to in (None, [])),
        *(edited("arrays", to=to) for to in (None, [], 1, "x", {"step": 1}, {"step": {}})),
        *(edited("arrays", "step", "shape", to=to) for to in (None, 1, [-1], [True], ["a"], "a")),
        *(
            edited("arrays", "step", "dtype", to=to)
            for to in (None, 1, [], "object", "no", "f4,f4")
        ),
        *(edited("arrays", "step", "kept", to=to) for to in (None, 1, [], "odd", pack.ROUNDED)),
        edited("arrays", AVERAGE.replace("ema", "weights"), to=None),
        edited("arrays", AVERAGE, "shape", to=[1]),
        edited("arrays", AVERAGE, "kept", to=pack.ROUNDED),
    ],
)
def test_an_edited_pack_is_one_sentence(copy, damage):
    damage(copy)
    with pytest.raises(UserError) as caught:
        pack.Pack.open(copy)
    assert str(caught.value).startswith(f"{copy} ") and str(caught.value).endswith(".")


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"PK\x05\x06" + bytes(18),
        b"PK\x03\x04" + bytes(200),
        archive(step=np.zeros(1))[:-30],
        archive(step=np.zeros(1)).replace(b"NUMPY", b"numpy"),
        archive(step=np.array([{}], object)),
        archive(),
        archive(step=np.zeros(2, np.int32)),
        archive(step=np.zeros(1, np.float32)),
        None,
    ],
    ids=itertools.count(),
)
def test_a_part_that_says_something_else_is_one_sentence(copy, content):
    part = only_part(copy)
    if content is None:
        part.unlink()
        part.mkdir()
        content = b""
    else:
        part.write_bytes(content)
    entry = {"file": part.name, "bytes": len(content)}
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    edit(copy, parts=[entry])
    named = rf"{part.name}, a part of .* cannot be read|lists \S+ differently from"
    with pytest.raises(UserError, match=named):
        pack.Pack.open(copy).arrays()


def test_the_update_is_that_of_the_parts(whole, copy):
    edit(copy, step=7)
    with pytest.raises(UserError, match="is of update 7 and its parts are of update 8; pack"):
        pack.continue_from(str(copy), prepared(whole, runs.experiment(init_from=str(copy))))


def state_of(config, vocab, cells):
    """An experiment, and the shapes of its train state on one device."""
    experiment = from_dict(config)
    model = get_model(experiment.model_config({"vocab": vocab, "cells": cells}))
    mesh = make_mesh(devices=jax.devices()[:1])
    return experiment, make_trainer(recipe_of(experiment), model, mesh, 1, {}).shapes


def test_the_published_model_takes_60_mb_in_files_of_16(tmp_path):
    """5,028,866 parameters, from shapes: nothing is trained."""
    experiment, shapes = state_of({"data": {"path": "hub"}}, vocab=11, cells=81)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes.weights.params)) == 5_028_866
    small = shapes.replace(carry=(), key=())
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), small)
    file = epath.Path(tmp_path / "five.trmpack")
    sizes = pack.save(file, state, experiment, {"fingerprint": "none"})
    on_disk = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert on_disk == sorted(sizes) and len(sizes) == 5
    assert max(sizes) <= 16_000_000 and sum(sizes) <= 60_000_000
    assert sum(sizes) == pytest.approx(10 * 5_028_866, rel=0.005)


def test_only_moments_and_averages_are_rounded_under_muon_too():
    config = {**runs.CONFIG, "optimizer": {"name": "muon", "ema_scope": "all"}}
    _, shapes = state_of(config, vocab=6, cells=16)
    leaves = pack.named({"opt_state": shapes.opt_state, "ema": shapes.ema})
    how = {name: pack._how(name, leaf.dtype) for name, leaf in leaves.items()}
    exact = {name for name, kept in how.items() if kept == pack.EXACT}
    assert {name.split("/")[-1] for name in exact} == {"count", "ns_coeffs"}
    assert how["ema/table"] == pack.DIFFERENCE
    dense = sum(leaf.size for leaf in jax.tree.leaves(shapes.weights.params))
    rounded = sum(leaves[name].size for name, kept in how.items() if kept == pack.ROUNDED)
    assert dense < rounded <= 2 * dense  # the matrices have one moment each


@pytest.mark.parametrize("limit", [4_000, 5_001, 100_000])
def test_arrays_of_any_size_are_cut_to_the_limit(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(bundle, "PART_BYTES", limit)
    rng = np.random.default_rng(0)
    arrays = {
        "long/one": rng.normal(size=(70, 50)).astype(np.float32),
        "scalar": np.int32(7) * np.ones((), np.int32),
        "none": np.zeros((0, 3), np.float32),
        "words": rng.integers(0, 9, 2_000, dtype=np.uint16),
        "x" * 150: np.ones(3, np.float32),
    }
    file = epath.Path(tmp_path / "a.b")
    sizes = bundle.write(file, arrays, {})
    assert max(sizes) <= limit and len(sizes) == len(list(tmp_path.iterdir())) - 1
    found = bundle.read(file, json.loads(file.read_text())["parts"])
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name].reshape(array.shape), array)


def test_writing_again_replaces_the_pack_only_when_it_is_whole(whole, copy, monkeypatch):
    old = {path.name: path.read_bytes() for path in copy.parent.iterdir()}
    fine = bundle.write_whole

    def full(path, content):
        if path.name == copy.name:
            raise UserError("no space")
        fine(path, content)

    monkeypatch.setattr(bundle, "write_whole", full)
    with pytest.raises(UserError, match="no space"):
        pack.write(whole, copy)
    assert pack.Pack.open(copy).step == 8 and pack.Pack.open(copy).arrays()
    monkeypatch.undo()
    pack.write(whole, copy)
    assert pack.Pack.open(copy).step == 12 and pack.Pack.open(copy).arrays()
    left = {path.name for path in copy.parent.iterdir()}
    assert len(left) == 2 and left & set(old) == {copy.name}


def test_a_file_that_is_no_pack_is_not_overwritten(whole, tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError, match="notes exists and is not a pack"):
        pack.write(whole, tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"


def test_the_command_packs_the_newest(whole, tmp_path, capsys):
    out = tmp_path / "new/tiny.trmpack"
    assert main(["pack", str(whole), f"--out={out}"]) == 0
    assert "update 12, 2 files" in capsys.readouterr().out
    assert pack.Pack.open(out).step == 12


def trm_train(file, workdir, *changes):
    """`trm train` of the tiny run, to start from a pack."""
    config = workdir.parent / "tiny.py"
    config.write_text(
        f"from trm_jax.config.experiment import from_dict\n"
        f"def get_config():\n    return from_dict({runs.CONFIG!r})\n"
    )
    command = ["train", f"--config={config}", f"--config.init_from={file}", f"--workdir={workdir}"]
    return main([*command, *changes])


def test_the_commands_hand_a_training_over(whole, tmp_path, capsys):
    out, new = tmp_path / "tiny.trmpack", tmp_path / "new"
    assert main(["pack", str(whole), f"--out={out}", "--checkpoint=8"]) == 0
    assert trm_train(out, new, "--config.seed=1") == 2
    assert "config.seed = 0, and it is now 1" in capsys.readouterr().err and not new.exists()
    assert trm_train(out, new) == 0
    assert f"resuming from update 8 in {out}" in capsys.readouterr().out
    assert WorkDir(new).has_checkpoints()
    out.unlink()
    assert trm_train(out, new) == 0, "it resumes without the pack"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "needs one work directory"),
        (["{whole}"], "--out is missing"),
        (["{whole}", "--out=x", "--checkpoint=5"], "has no checkpoint 5; it has [8, 12]"),
        (["nowhere", "--out=x"], "is not a work directory"),
    ],
)
def test_the_commands_mistakes_are_one_sentence(whole, capsys, arguments, named):
    assert main(["pack", *(word.format(whole=whole) for word in arguments)]) == 2
    assert named in capsys.readouterr().err


def test_nothing_to_go_on_from_is_refused(whole, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    record = json.loads((whole / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="has no checkpoint yet"):
        pack.write(bare, tmp_path / "x")
    record["data"]["source"] = {"kind": CONVERTED, "name": "weights"}
    (bare / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="holds converted weights"):
        pack.write(bare, tmp_path / "x")
