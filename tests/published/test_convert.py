"""Weights of the published models in and out, by the functions and by the command line."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests.published.arrays import (
    ATTENTION,
    FILE,
    LAYER,
    arrays_of,
    assert_same,
    config_of,
    model_of,
    saved,
)
from tests.runs import ROOT, TINY_MODEL
from trm_jax import cli
from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.published import convert, parity
from trm_jax.published.shapes import infer
from trm_jax.published.torch_files import read
from trm_jax.train import trained
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.workdir import WorkDir

SHARED = ROOT.parent / "shared" / "goldens"


def trm(capsys, *arguments):
    """Exit code, standard output and the one sentence on standard error."""
    capsys.readouterr()
    code = cli.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def overrides(**settings):
    config = f"--config={ROOT / 'experiments' / 'sudoku.py'}:demo"
    settings["unroll"] = False  # compiles sooner
    return [config, *(f"--config.model.{key}={value}" for key, value in settings.items())]


@pytest.mark.parametrize(("name", "step"), [("step_65104.npz", 65104), ("last.npz", 0)])
def test_the_step_of_a_published_name(tmp_path, name, step):
    file = saved(tmp_path / name, arrays_of(model_of()))
    assert convert.plan(file, config_of()).step == step
    assert convert.plan(file, config_of(), step=7).step == 7
    with pytest.raises(UserError, match="--step is -1"):
        convert.plan(file, config_of(), step=-1)


@pytest.mark.parametrize(
    ("key", "value"), [("gate", "norm"), ("damping", 0.1), ("start", "random")]
)
def test_what_the_published_code_does_not_know_is_refused(tmp_path, key, value):
    file = saved(tmp_path / FILE, arrays_of(model_of()))
    config = config_of()
    config["model"] = {**config["model"], key: value}
    with pytest.raises(UserError, match=rf"config\.model\.{key} is .* can be converted"):
        convert.plan(file, config)


def test_a_network_of_digits_is_not_written(tmp_path, monkeypatch):
    model = get_model(dataclasses.replace(TINY_MODEL, mixer="digits", prefix_tokens=0))
    monkeypatch.setattr(convert.trained, "load", lambda *_, **__: SimpleNamespace(model=model))
    with pytest.raises(UserError, match=r"mixer is 'digits'.*'mlp' or 'attention'"):
        convert.to_torch("runs/digits", tmp_path / "weights.safetensors")
    assert not list(tmp_path.iterdir())


# Row maps.


def test_rows_shrink_permute_and_grow(tmp_path):
    arrays = arrays_of(model_of())
    file = saved(tmp_path / FILE, arrays)
    (tmp_path / "rows.json").write_text("[2, 0, null, 2, 1]")
    plan = convert.plan(file, config_of(), tmp_path / "rows.json")
    table = arrays["puzzle_emb.weights"]
    expected = np.stack([table[2], table[0], np.zeros(16), table[2], table[1]])
    np.testing.assert_array_equal(plan.arrays["puzzle_emb.weights"], expected)
    assert plan.experiment.table.rows == 5
    (tmp_path / "rows.json").write_text("[1]")
    plan = convert.plan(file, config_of(), tmp_path / "rows.json")
    assert plan.experiment.table.rows == 0  # as many as a dataset has: one
    report = convert.from_torch(plan, tmp_path / "out", 2)
    assert report["agrees"]
    np.testing.assert_array_equal(trained.load(tmp_path / "out").weights.table, table[1:2])


@pytest.mark.parametrize(
    "rows", ["[]", "{}", "3", "[3]", "[-1]", "[true]", "[1.0]", '"0"', "[", ""]
)
def test_wrong_row_maps(tmp_path, rows):
    file = saved(tmp_path / FILE, arrays_of(model_of()))
    (tmp_path / "rows.json").write_text(rows.replace("'", '"'))
    with pytest.raises(UserError, match="rows.json"):
        convert.plan(file, config_of(), tmp_path / "rows.json")


def test_a_row_map_needs_a_table(tmp_path):
    file = saved(tmp_path / FILE, arrays_of(model_of(prefix_tokens=0)))
    with pytest.raises(UserError, match="has no puzzle_emb.weights"):
        convert.plan(file, config_of(), tmp_path / "rows.json")


# Work directories, by the command line.


@pytest.fixture(scope="module")
def puzzles(tmp_path_factory):
    """A 4x4 dataset."""
    out = tmp_path_factory.mktemp("puzzles") / "data"
    counts = ["--train=2", "--heldout=2", "--test=5", "--extra_givens=4"]
    assert cli.main(["data", "sudoku", f"--out={out}", "--box=2x2", *counts]) == 0
    return out


@pytest.mark.parametrize(
    ("suffix", "changes"),
    [
        (".safetensors", {"dtype": "bfloat16"}),
        (".npz", {"prefix_tokens": 0, "kind": "trm_single_z"}),
        (".npz", ATTENTION | {"kind": "hrm", "y_layers": 2}),
    ],
)
def test_there_evaluate_and_back(tmp_path, capsys, puzzles, suffix, changes):
    model = model_of(**changes)
    arrays = arrays_of(model, rows=4)
    file, out = saved(tmp_path / f"step_30{suffix}", arrays), tmp_path / "deep" / "out"
    asked = {key: getattr(model.config, key) for key in ("heads", "T", "n", "N", "prefix_tokens")}
    asked |= {key: changes[key] for key in ("mixer", "positions", "kind") if key in changes}
    code, text, error = trm(
        capsys, "convert", "from-torch", file, "--out", out, "--puzzles=3", *overrides(**asked)
    )
    assert (code, error) == (0, ""), error
    assert f"config.model.width is 16 in {file.name} (the config says 64)" in text
    assert "checkpoint 30" in text and "they agree" in text
    report = json.loads((out / "parity.json").read_text())
    assert report["agrees"] and report["puzzles"] == 3 and report["last_step"] == 2
    assert report["step_1"]["logits"]["relative"] < 1e-4 and report["file"] == file.name
    code, text, error = trm(capsys, "eval", "--workdir", out, "--data", puzzles, "--json")
    assert code == 0 and json.loads(text)["checkpoint"] == 30, error
    code, text, error = trm(capsys, "solve", "--workdir", out, "1.....2..3....4.")
    assert code in (0, 1) and "puzzle 1:" in text, error
    for raw in ((), ("--raw",)):
        back = tmp_path / f"back{len(raw)}{suffix}"
        arguments = ["--workdir", out, "--out", back, "--prefix=model.inner.", *raw]
        assert trm(capsys, "convert", "to-torch", *arguments)[0] == 0
        assert_same(read(back), arrays)


def test_bfloat16_in_npz_is_said(tmp_path, capsys):
    file = saved(tmp_path / "a.safetensors", arrays_of(model_of(dtype="bfloat16")))
    convert.from_torch(convert.plan(file, config_of()), tmp_path / "out", 0)
    assert not (tmp_path / "out" / "parity.json").exists()
    code, text, _ = trm(
        capsys, "convert", "to-torch", "--workdir", tmp_path / "out", "--out", tmp_path / FILE
    )
    assert code == 0 and ".npz has no bfloat16" in text
    assert read(tmp_path / FILE)["H_init"].dtype == np.float32


def test_raw_and_averaged_weights_of_our_own_run(tmp_path):
    file = saved(tmp_path / FILE, arrays_of(model_of()))
    plan = convert.plan(file, config_of())
    weights = convert.weights_of(plan.arrays, plan.model)
    workdir = WorkDir(tmp_path / "run")
    workdir.claim(plan.experiment, plan.manifest)
    average = {"params": jax.tree.map(lambda a: a / 2, weights.params)}
    with Checkpoints(workdir.checkpoints) as checkpoints:
        checkpoints.save(5, {"weights": weights, "ema": average}, {}, None)
    convert.to_torch(tmp_path / "run", tmp_path / "raw.npz", averaged=False)
    convert.to_torch(tmp_path / "run", tmp_path / "average.npz", checkpoint=5)
    assert_same(read(tmp_path / "raw.npz"), plan.arrays)
    found = read(tmp_path / "average.npz")
    np.testing.assert_array_equal(found["q_head.bias"], plan.arrays["q_head.bias"] / 2)
    np.testing.assert_array_equal(found["H_init"], plan.arrays["H_init"])


def test_without_a_config_the_settings_are_asked_for(tmp_path, capsys):
    file = saved(tmp_path / FILE, arrays_of(model_of(**ATTENTION)))
    code, _, error = trm(capsys, "convert", "from-torch", file, "--out", tmp_path / "out")
    assert code == 2 and error.count("\n") == 1
    asked = ("kind", "heads", "positions", "T", "n", "N", "prefix_tokens", "halt_exploration")
    inferred = ", ".join(f"config.model.{name}" for name in asked)
    assert (
        f"{FILE} does not determine config.data.task, config.data.maze.side, {inferred};" in error
    )
    assert "(puzzles of 6 tokens: maze or sudoku)" in error
    assert "--config experiments/maze.py:hard --config.model.heads=8" in error
    token_mixing = infer(arrays_of(model_of()), FILE).not_inferred()
    assert not {"model.heads", "model.positions", "model.prefix_tokens"} & set(token_mixing)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "needs a direction first"),
        (["sideways"], "needs a direction first"),
        (["from-torch"], "takes one file; it was given 0"),
        (["from-torch", "nowhere.npz"], "nowhere.npz is not a file"),
        (["from-torch", "a.npz", "--raw"], "--raw is for `trm convert to-torch`"),
        (["to-torch", "--step=3"], "--step is for `trm convert from-torch`"),
        (["to-torch", "--out=a.pt"], "--workdir is missing"),
        (["to-torch", "--workdir=nowhere", "--out=a.pt"], "nowhere is not a work directory"),
        (["to-torch", "--prefix=encoder."], "--prefix"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, error = trm(capsys, "convert", *arguments)
    assert code == 2 and words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_full_directory_is_refused(tmp_path, capsys):
    file = saved(tmp_path / FILE, arrays_of(model_of()))
    command = ["convert", "from-torch", file, *overrides(T=2, n=2), "--puzzles=0", "--out"]
    code, _, error = trm(capsys, *command, tmp_path)
    assert code == 2 and "is not empty" in error
    code, _, error = trm(capsys, *command, "gs://bucket/out")
    assert code == 2 and "give a local directory" in error
    (tmp_path / "empty").mkdir()
    assert trm(capsys, *command, tmp_path / "empty")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", FILE]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    plan = convert.plan(saved(tmp_path / FILE, arrays_of(model_of())), config_of())

    def fail(*_):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(convert, "compare", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        convert.from_torch(plan, tmp_path / "out", 1)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_training_does_not_go_on_from_converted_weights(tmp_path, capsys):
    plan = convert.plan(saved(tmp_path / FILE, arrays_of(model_of())), config_of())
    convert.from_torch(plan, tmp_path / "out", 0)
    config = [*overrides(), "--config.data.heldout_examples=5", "--config.data.base_examples=5"]
    code, _, error = trm(capsys, "train", *config, "--workdir", tmp_path / "out")
    assert code == 2 and f"converted from {FILE}" in error and "new --workdir" in error


def test_the_report_sees_wrong_weights(tmp_path, capsys, monkeypatch):
    file = saved(tmp_path / FILE, arrays_of(model_of(**ATTENTION)))
    plan = convert.plan(file, config_of(**ATTENTION))
    convert.from_torch(plan, tmp_path / "out", 0)
    found = trained.load(tmp_path / "out")
    report = parity.compare(found, plan.arrays, 2)
    assert report["agrees"] and report["same_cells"] == 1
    assert report["all_same_up_to_step"] == report["last_step"] == 2
    queries = plan.arrays[f"{LAYER}.self_attn.qkv_proj.weight"].copy()
    queries[:16] = queries[16:32]
    wrong = plan.arrays | {f"{LAYER}.self_attn.qkv_proj.weight": queries}
    report = parity.compare(found, wrong, 2)
    assert not report["agrees"] and "THEY DO NOT AGREE" in parity.describe(report)
    monkeypatch.setattr(convert, "compare", lambda *_: report)
    command = ["convert", "from-torch", file, "--out", tmp_path / "again", *overrides(**ATTENTION)]
    assert trm(capsys, *command, "--config.model.heads=2")[0] == 1


# The published code's own files.

PUBLISHED = {
    "trm_mlp": {"T": 3, "n": 4},
    "trm_att": ATTENTION | {"T": 3, "n": 4, "prefix_tokens": 3},
    "hrm": ATTENTION | {"T": 2, "n": 2, "prefix_tokens": 1},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files(tmp_path, capsys, puzzles, name):
    file = SHARED / f"{name}.pt"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    settings = [*overrides(heads=4, N=3, **PUBLISHED[name]), "--puzzles=2"]
    out, back = tmp_path / "out", tmp_path / "back.safetensors"
    code, text, error = trm(
        capsys, "convert", "from-torch", file, "--out", out, "--puzzles=2", *settings
    )
    assert code == 0 and "they agree" in text, error
    assert trm(capsys, "eval", "--workdir", out, "--data", puzzles)[0] == 0
    assert trm(capsys, "convert", "to-torch", "--workdir", out, "--out", back)[0] == 0
    assert_same(read(back), read(file))
