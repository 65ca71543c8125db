"""A task and a mixer, one file each outside of the package, do all that the built-in ones do."""

import json
import re
from pathlib import Path

import jax
import pytest

from trm_jax.cli import main
from trm_jax.config.experiment import from_dict
from trm_jax.config.locate import load as load_config
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.models.flops import step_flops
from trm_jax.models.mixers import MIXERS, Mixer
from trm_jax.plan.estimate import plan_program, stand_in
from trm_jax.tasks.task import TASKS, Task

HERE = Path(__file__).parent / "plugins"
CONFIG = str(HERE / "latin_config.py")
PLUGINS = f"--plugin={HERE / 'latin.py'},{HERE / 'pool.py'}"
PUZZLE = "ABC.CDA.AB.DBA.C"  # replaced by one of the dataset where it has to be right


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of the toy task with the toy mixer."""
    root = tmp_path_factory.mktemp("latin") / "run"
    config = f"--config={CONFIG}:pool"
    assert main(["train", config, "--config.mesh.data=1", f"--workdir={root}"]) == 0
    return root


def test_it_learns_and_resumes_where_it_is_done(workdir, capsys):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    losses = [e["train/loss"] for e in map(json.loads, lines) if "train/loss" in e]
    assert losses[-1] < 0.6 * losses[0]
    command = ["train", f"--config={CONFIG}:pool", "--config.mesh.data=1", f"--workdir={workdir}"]
    assert main(command) == 0
    assert "finished already" in capsys.readouterr().out


def test_evaluate_with_halting_copies_and_curve(workdir, capsys):
    base = ["eval", f"--workdir={workdir}", PLUGINS, "--json"]
    assert main(base) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["examples"] == 32 and len(plain["by_depth"]) == 4
    assert main([*base, "--copies=3", "--symmetry=digits"]) == 0
    searched = json.loads(capsys.readouterr().out)
    assert searched["by_selection"].keys() >= {"halt", "majority"}
    assert "rules" in searched["oracle"], "the task's own rules judge"
    assert main([*base, "--copies=3", "--symmetry=dihedral"]) == 2
    assert "'latin' has no symmetries of the kind 'dihedral'" in capsys.readouterr().err


def test_solve_shows_text_rules_picture_and_page(workdir, tmp_path, capsys):
    page, gif, png = (tmp_path / f"out.{kind}" for kind in ("html", "gif", "png"))
    outputs = [f"--trace={page}", f"--gif={gif}", f"--picture={png}"]
    code = main(["solve", f"--workdir={workdir}", PLUGINS, "--json", *outputs, PUZZLE])
    record = json.loads(capsys.readouterr().out)
    assert record["question"] == PUZZLE and re.fullmatch("[-.A-D]{16}", record["answer"])
    assert code == (0 if record["solved"] else 1) and record["solved"] == (not record["broken"])
    assert page.read_text().count("<html") == 1 and '"letter":"A"' in page.read_text()
    assert gif.read_bytes()[:3] == b"GIF" and png.read_bytes()[1:4] == b"PNG"
    assert main(["solve", f"--workdir={workdir}", PLUGINS, "ABCE" * 4]) == 2
    assert "character 'E'" in capsys.readouterr().err


def test_show_draws_questions_answers_and_predictions(workdir, tmp_path, capsys):
    png = tmp_path / "shown.png"
    command = ["show", f"--workdir={workdir}", PLUGINS, "--count=2", f"--picture={png}"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert text.count("question") == 2 and text.count("prediction") == 2
    assert png.read_bytes()[1:4] == b"PNG"


def test_data_builds_it_and_its_settings_are_flags(tmp_path, capsys):
    command = ["data", "latin", PLUGINS, f"--out={tmp_path / 'data'}", "--side=5", "--train=20"]
    assert main([*command, "--heldout=5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == 25
    assert main(["data", PLUGINS, "--json", str(tmp_path / "data")]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "latin"


def test_export_answers_like_the_library(workdir, tmp_path, capsys):
    command = ["export", f"--workdir={workdir}", PLUGINS, f"--out={tmp_path / 'export'}"]
    assert main(command) == 0
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["tokens"][2:] == list("ABCD") and manifest["symbols"][2] == "A"
    assert "same answers" in capsys.readouterr().out


@pytest.mark.parametrize("variant", ["mlp", "pool"])
def test_plan_compiles_it(variant):
    experiment, dataset = stand_in(from_dict(load_config(f"{CONFIG}:{variant}")))
    mesh = make_mesh(1, devices=jax.devices()[:1])
    facts = plan_program("train", experiment, dataset, mesh, "v5e")
    assert facts["fits"] and facts["flops"] > 0


def test_flops_count_the_mixer_by_its_own_formula():
    found = {}
    for variant in ("mlp", "pool"):
        experiment = from_dict(load_config(f"{CONFIG}:{variant}"))
        found[variant] = step_flops(experiment.model_config({"vocab": 6, "cells": 16}), 1, True)
    assert found["pool"] < found["mlp"]


def test_a_sweep_passes_the_plugins_on(tmp_path, capsys):
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps([["small", {"data.latin.blanks": 2}], ["large", {"seed": 1}]]))
    command = ["sweep", f"--config={CONFIG}", f"--sweep={runs}", f"--out={tmp_path / 'out'}"]
    assert main([*command, "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert f"--config={CONFIG}" in out and "--config.data.latin.blanks=2" in out


@pytest.mark.slow
def test_a_sweep_trains_and_scores_it(tmp_path, capsys):
    runs = tmp_path / "runs.json"
    runs.write_text(json.dumps([["small", {"data.latin.blanks": 2}], ["large", {"seed": 1}]]))
    command = ["sweep", f"--config={CONFIG}", f"--sweep={runs}", f"--out={tmp_path / 'out'}"]
    assert main([*command, "--config.steps=30"]) == 0
    assert len(list((tmp_path / "out").glob("*/eval/*.json"))) == 2


def test_without_its_plugin_a_work_directory_says_which_it_needs(workdir, capsys):
    kept = TASKS._found.pop("latin")
    try:
        assert main(["eval", f"--workdir={workdir}"]) == 2
    finally:
        TASKS._found["latin"] = kept
    said = capsys.readouterr().err
    assert "'latin'" in said and "latin.py" in said and "--plugin" in said


def test_a_settings_of_the_toy_task_is_checked_like_any_other():
    with pytest.raises(UserError, match=r"config\.data\.latin\.side is 1; .* in \[2, 9\]"):
        from_dict(load_config(CONFIG) | {"data": {"task": "latin", "latin": {"side": 1}}})
    with pytest.raises(UserError, match=r"did you mean config\.data\.latin\.side"):
        from_dict({"data": {"task": "latin", "latin": {"sied": 4}}})


@pytest.mark.parametrize(
    ("registry", "kept", "named"),
    [
        (TASKS, {"name": "half"}, "'half' has no attribute 'settings'; give Half one"),
        (MIXERS, {"positions": ("none",)}, "'half' has no attribute 'block'; give Half one"),
    ],
)
def test_half_a_task_or_mixer_is_refused_when_it_registers(registry, kept, named):
    kind = Task if registry is TASKS else Mixer
    with pytest.raises(UserError, match=re.escape(named)):
        registry.register("half", type("Half", (kind,), kept)())
    with pytest.raises(UserError, match=f"not a {kind.__name__}; derive its class from trm_jax"):
        registry.register("half", type("Half", (), kept)())
    assert "half" not in registry.all()
