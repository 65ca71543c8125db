"""Tables and pictures of runs, out of work directories made up by hand."""

import csv
import dataclasses
import json
import statistics

import jax
import numpy as np
import pytest

from tests import runs
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.models import get_model
from trm_jax.models.flops import step_flops
from trm_jax.sweep import outcomes as outcome
from trm_jax.sweep.report import report

MANIFEST = {"task": "sudoku", "box": [2, 2], "vocab": 6, "cells": 16, "table_rows": 1}
MANIFEST |= {"fingerprint": "f", "source": {"kind": "generate"}, "counts": {"train": 30}}


def make_run(path, accuracies, rates=(4.0,), depths=(), **changes):
    """A work directory with an evaluation at update 4, 8 and so on."""
    path.mkdir(parents=True)
    experiment = runs.experiment(**changes)
    record = {"config": experiment.to_dict(), "data": MANIFEST}
    (path / "config.json").write_text(json.dumps(record))
    entries = [{"step": i + 1, "train/steps_per_s": rate} for i, rate in enumerate(rates)]
    for number, accuracy in enumerate(accuracies, start=1):
        scores = {"exact_accuracy": accuracy, "exact_accuracy_depth_1": accuracy / 2}
        entries.append({"step": 4 * number} | {f"heldout/{k}": v for k, v in scores.items()})
    (path / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
    for checkpoint, by_depth in depths:
        result = {
            "split": "heldout",
            "checkpoint": checkpoint,
            "steps_used": len(by_depth),
            "by_depth": [
                {"depth": i + 1, "exact_accuracy": a, "cell_accuracy": a}
                for i, a in enumerate(by_depth)
            ],
        }
        (path / "eval").mkdir(exist_ok=True)
        file = path / f"eval/data-heldout-checkpoint{checkpoint}-depth{len(by_depth)}.json"
        file.write_text(json.dumps(result))


def table(path):
    """Rows of the Markdown table as dictionaries, by name."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1, "not aligned"
    head, _, *body = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}


def pixels(path):
    from matplotlib.image import imread

    return imread(path)[..., :3]


@pytest.fixture
def sweep(tmp_path):
    """Two finished groups, one of them with an unfinished run; and a group with nothing."""
    root = tmp_path / "sweep"
    for seed, last in enumerate((0.5, 0.6, 0.7)):
        make_run(
            root / f"fine/seed{seed}",
            [0.1, 0.9, last],
            rates=(1.0, 2.0, 9.0),
            depths=[(4, [0.9, 0.9]), (12, [0.2, last])],
            name="fine",
            seed=seed,
        )
    make_run(root / "part/seed0", [0.2, 0.3, 0.4], name="part", model={"T": 1})
    make_run(root / "part/seed1", [0.9], name="part", model={"T": 1}, seed=1)
    make_run(root / "none", [], rates=(), name="none")
    return root


def test_table_has_the_numbers_of_the_runs(capsys, sweep, tmp_path):
    assert main(["report", str(sweep), f"--out={tmp_path / 'r.md'}"]) == 0
    assert capsys.readouterr().out.count("wrote") == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.csv", "r.md", "r.png", "sweep"]
    rows = table(tmp_path / "r.md")
    assert list(rows) == ["fine", "part", "none"], "not the most accurate first"
    spread = statistics.stdev([50, 60, 70])
    model = get_model(runs.experiment().model_config(MANIFEST))
    parameters = sum(a.size for a in jax.tree.leaves(model.init(jax.random.key(0))))
    assert rows["fine"] == {
        "name": "fine",
        "seeds": "3",
        "parameters": f"{parameters:,}",
        "updates": "12",
        "exact, %": f"60.0 ± {spread:.1f}",
        "exact by seed, %": "50.0 60.0 70.0",
        "depth 1, %": "30.0",
        "best, %": "90.0",
        "steps/s": "2.00",
    }


def test_the_way_to_an_accuracy_is_told_in_updates_and_flops(capsys, sweep, tmp_path):
    assert main(["report", str(sweep), f"--out={tmp_path / 'r'}", "--reach=0.65"]) == 0
    rows = table(tmp_path / "r.md")
    model = runs.experiment().model_config(MANIFEST)
    each = step_flops(model, runs.experiment().batch_size, True) / 1e12
    assert rows["fine"]["updates to 65 %"] == "8 8 8", "the last evaluation is worse, seed 0"
    assert rows["fine"]["TFLOP to 65 %"] == " ".join([f"{8 * each:.3g}"] * 3)
    assert (rows["part"]["updates to 65 %"], rows["none"]["TFLOP to 65 %"]) == ("- 4", "-")
    with (tmp_path / "r.csv").open() as file:
        first, *_, last = csv.DictReader(file)
    assert (first["updates_to_reach"], last["flops_to_reach"]) == ("8", "")
    assert float(first["flops_to_reach"]) == pytest.approx(8e12 * each)


def test_flops_are_counted_at_each_stages_depth(tmp_path):
    stages = ((0.0, 1, 1), (0.5, 2, 2))
    make_run(tmp_path / "run", [0.5], curriculum=stages, model={"T": 2, "n": 2})
    (run,) = outcome.find([tmp_path])
    model = run.experiment.model_config(MANIFEST)
    shallow, deep = (
        step_flops(dataclasses.replace(model, T=T, n=n), run.experiment.batch_size, True)
        for _, T, n in stages
    )
    assert [run.flops(k) for k in (0, 1, 6, 8)] == [0, shallow, 6 * shallow, 6 * shallow + 2 * deep]
    assert run.flops(12) == 6 * (shallow + deep) == run.flops(99)


def test_unfinished_runs_are_marked_and_not_in_the_means(sweep, tmp_path):
    report([sweep], tmp_path / "r")
    rows = table(tmp_path / "r.md")
    part, none = rows["part"], rows["none"]
    assert (part["seeds"], part["updates"]) == ("2", "12, 4† of 12")
    assert (part["exact, %"], part["exact by seed, %"]) == ("40.0", "40.0 90.0†")
    assert (none["updates"], none["exact, %"], none["steps/s"]) == ("0† of 12", "-", "-")
    assert "† unfinished" in (tmp_path / "r.md").read_text()
    report([sweep / "fine"], tmp_path / "fine")
    assert "unfinished" not in (tmp_path / "fine.md").read_text()


def test_csv_has_every_run_as_measured(sweep, tmp_path):
    report([sweep, sweep / "fine"], tmp_path / "r.csv")
    with (tmp_path / "r.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6, "a run named twice counts once"
    first = rows[0]
    assert (first["name"], first["seed"], first["finished"]) == ("fine", "0", "1")
    assert first["workdir"] == str(sweep / "fine/seed0")
    assert [float(first[k]) for k in ("exact_accuracy", "exact_accuracy_depth_1")] == [0.5, 0.25]
    assert [float(first[k]) for k in ("best_exact_accuracy", "steps_per_s")] == [0.9, 2.0]
    assert rows[-1]["exact_accuracy"] == ""


def test_runs_are_grouped_by_all_but_the_seed_and_the_free_settings(tmp_path):
    make_run(tmp_path / "a", [0.5])
    make_run(tmp_path / "b", [0.5], seed=7, steps=99, data={"path": "elsewhere"})
    make_run(tmp_path / "c", [0.6], model={"T": 1})
    make_run(tmp_path / "d", [0.7], name="other")
    groups = outcome.grouped(outcome.find([tmp_path]))
    found = {g.label: [o.path.name for o in g.outcomes] for g in groups}
    assert found == {"other": ["d"], "tiny model.T=1": ["c"], "tiny model.T=2": ["a", "b"]}


def test_runs_of_two_tasks_have_names_that_tell_them_apart(tmp_path):
    make_run(tmp_path / "a", [0.5])
    (sudoku,) = outcome.find([tmp_path])
    maze = dataclasses.replace(sudoku, experiment=runs.experiment(data={"task": "maze"}))
    labels = {group.label for group in outcome.grouped([sudoku, maze])}
    assert labels == {"tiny data.task=sudoku", "tiny data.task=maze"}


def test_points_are_means_between_the_seeds():
    found = outcome.points([{1: 0.2, 2: 0.5}, {1: 0.4}])
    assert found == [(1, pytest.approx(0.3), 0.2, 0.4), (2, 0.5, 0.5, 0.5)]


def test_by_depth_is_of_the_latest_checkpoint(sweep):
    found = outcome.find([sweep / "fine/seed2"])[0]
    assert found.by_depth() == {1: 0.2, 2: 0.7}


@pytest.mark.parametrize("place", ["", "fine", "fine/seed0", "part"])
def test_picture_is_not_blank(sweep, tmp_path, place):
    report([sweep / place], tmp_path / "r")
    image = pixels(tmp_path / "r.png")
    coloured = np.ptp(image, axis=2) > 0.3
    assert coloured[:, : image.shape[1] // 2].sum() > 100
    if place != "part":  # nothing of it was evaluated by depth: one set of axes
        assert coloured[:, image.shape[1] // 2 :].sum() > 100
        assert image.shape[1] > 2 * image.shape[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "directories"),
        (["nowhere", "--out=r"], "nowhere"),
        (["empty", "--out=r"], "empty"),
        (["none", "--out=r"], "metrics"),
        (["none"], "--out"),
    ],
)
def test_mistakes_get_one_sentence(capsys, monkeypatch, tmp_path, arguments, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "none", [], rates=())
    assert main(["report", *arguments]) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.glob("r*"))


def test_a_torn_evaluation_is_named(sweep, tmp_path):
    file = sweep / "fine/seed0/eval/torn.json"
    file.write_text("{")
    with pytest.raises(UserError, match=r"torn\.json"):
        report([sweep], tmp_path / "r")
