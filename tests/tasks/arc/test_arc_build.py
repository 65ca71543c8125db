"""ARC datasets: who is trained on what, copies as table rows, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.arc_tasks import plain_copy, some_task, source, write_subset
from trm_jax.core.errors import UserError
from trm_jax.data import format as dataset_format
from trm_jax.tasks.arc.build import ArcRecipe, build, build_tasks
from trm_jax.tasks.arc.canvas import crop, sizes, to_canvas
from trm_jax.tasks.arc.copies import plan_copies
from trm_jax.tasks.sources import load
from trm_jax.tasks.views import view

SHARED = Path(__file__).parents[4] / "shared" / "data" / "arc"
ARC1 = ("training", "evaluation", "concept")
ARC2 = ("training2", "evaluation2", "concept")


def recipe(path, **changes):
    options = {"subsets": ("training", "evaluation"), "test": "evaluation", "copies": 5}
    return ArcRecipe(str(path), **(options | changes))


def shown(dataset, split):
    """(task, input bytes) of a split's examples."""
    names = [dataset.rows.names[number] for number in dataset.puzzles()]
    return {(names[i], dataset.inputs[i].tobytes()) for i in dataset.examples(split)}


def expected(pairs_of, side=30):
    return {
        (task.name, to_canvas(pair.input, side).tobytes())
        for task, pairs in pairs_of
        for pair in pairs
    }


def test_splits_of_the_published_recipe(tmp_path):
    train, test = source(tmp_path)
    dataset = build(recipe(tmp_path))
    both = [(t, t.demonstrations + t.tests) for t in train]
    assert shown(dataset, "train") == expected(both + [(t, t.demonstrations) for t in test])
    assert shown(dataset, "test") == expected([(t, t.tests) for t in test])
    assert "heldout" not in dataset.splits
    for split, pairs in (("test", [p for t in test for p in t.tests]),):
        for i, pair in zip(dataset.examples(split), pairs, strict=True):
            np.testing.assert_array_equal(
                crop(dataset.labels[i], *(int(n[0]) for n in sizes(dataset.labels[i][None]))),
                pair.output,
            )


def test_rows_are_the_plans_of_the_tasks(tmp_path):
    train, test = source(tmp_path)
    dataset = build(recipe(tmp_path, seed=3))
    assert dataset.rows.names == tuple(t.name for t in train + test)
    for number, task in enumerate(train + test):
        mine = dataset.rows.transforms[slice(*dataset.rows.first[number : number + 2])]
        np.testing.assert_array_equal(mine, plan_copies(task, 5, 3))
    assert dataset.rows.name(0) == "<blank>"
    assert dataset.manifest["table_rows"] == len(dataset.rows) == 1 + 7 * 6
    np.testing.assert_array_equal(dataset.ids, dataset.rows.first[dataset.puzzles()])


def test_strict_leaves_the_demonstrations_of_tests_out(tmp_path):
    train, test = source(tmp_path)
    dataset = build(recipe(tmp_path, strict=True))
    assert shown(dataset, "train") == expected([(t, t.demonstrations + t.tests) for t in train])
    assert shown(dataset, "test") == expected([(t, t.tests) for t in test])


def test_held_out_tasks_show_only_their_demonstrations(tmp_path):
    train, _ = source(tmp_path)
    dataset = build(recipe(tmp_path, heldout=2))
    held = shown(dataset, "heldout")
    assert len({name for name, _ in held}) == 2 and not held & shown(dataset, "train")
    names = {name for name, _ in held}
    assert held == expected([(t, t.tests) for t in train if t.name in names])
    assert names < {name for name, _ in shown(dataset, "train")}


def test_saved_and_loaded_bit_for_bit(tmp_path):
    source(tmp_path)
    dataset = build(recipe(tmp_path, heldout=1))
    dataset_format.save(dataset, tmp_path / "d")
    again = dataset_format.load(tmp_path / "d")
    assert again.manifest == dataset.manifest and again.rows.names == dataset.rows.names
    for name, array in dataset.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert build(recipe(tmp_path, heldout=1)).manifest == dataset.manifest
    assert (
        build(recipe(tmp_path, seed=1)).manifest["fingerprint"] != dataset.manifest["fingerprint"]
    )


def test_a_damaged_plan_is_refused(tmp_path):
    source(tmp_path)
    dataset_format.save(build(recipe(tmp_path)), tmp_path / "d")
    transforms = np.load(tmp_path / "d/rows_transforms.npy")
    np.save(tmp_path / "d/rows_transforms.npy", transforms[::-1])
    with pytest.raises(UserError, match=r"rows_transforms\.npy differs from the SHA-256"):
        dataset_format.load(tmp_path / "d")
    (tmp_path / "d/rows_transforms.npy").unlink()
    with pytest.raises(UserError, match=r"rows_transforms\.npy is missing"):
        dataset_format.load(tmp_path / "d")


def test_transforms_that_are_none_of_arcs_are_refused(tmp_path):
    source(tmp_path)
    dataset = build(recipe(tmp_path))
    rows = dataset.rows
    for name, transforms in (
        ("colour", rows.transforms + np.uint8(4)),
        ("wide", rows.transforms[:, :9]),
    ):
        wrong = dataclasses.replace(rows, transforms=transforms)
        facts = {k: dataset.manifest[k] for k in ("task", "side", "vocab", "seed", "source")}
        arrays = (dataset.inputs, dataset.labels, dataset.ids, dataset.splits)
        dataset_format.save(dataset_format.assemble(*arrays, facts, wrong), tmp_path / name)
        with pytest.raises(UserError, match=r"rows_transforms\.npy is .*ARC's .*anew"):
            load(tmp_path / name)
    dataset_format.save(dataset, tmp_path / "right")
    assert load(tmp_path / "right").manifest == dataset.manifest


def test_fewer_tasks_and_a_smaller_canvas(tmp_path):
    source(tmp_path, training=6, evaluation=6)
    dataset = build(recipe(tmp_path, tasks=2))
    assert len(dataset.rows.names) == 4
    assert build(recipe(tmp_path, tasks=2)).rows.names == dataset.rows.names
    small = build(recipe(tmp_path, side=6))
    assert small.inputs.shape[1] == 36 and small.manifest["left_out"] == 0
    with pytest.raises(UserError, match="no task .* fits on a canvas of 1x1"):
        build(recipe(tmp_path, side=1))


def test_a_test_subset_may_lack_answers_and_a_training_subset_may_not(tmp_path):
    source(tmp_path)
    (tmp_path / "arc-agi_evaluation_solutions.json").unlink()
    dataset = build(recipe(tmp_path))
    assert not dataset.labels[dataset.examples("test")].any()
    (tmp_path / "arc-agi_training_solutions.json").unlink()
    with pytest.raises(UserError, match=r"subset training: task train0 .* without its solution"):
        build(recipe(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subsets": ("training2", "evaluation")}, "training2 .ARC-AGI-2. is trained on and eval"),
        ({"test": "concept"}, "the test subset is 'concept'"),
        ({"subsets": ("evaluation", "evaluation")}, "give each subset once"),
        ({"side": 31}, "side is 31"),
        ({"copies": -1}, "copies is -1"),
        ({"heldout": 5}, "heldout is 5 and there are 4 tasks"),
        ({"tasks": 4}, "subset evaluation has 3 tasks"),
    ],
)
def test_recipes_that_make_no_sense(tmp_path, changes, words):
    source(tmp_path)
    with pytest.raises(UserError, match=words):
        build(recipe(tmp_path, **changes))


def test_twins_are_refused(tmp_path):
    train, _ = source(tmp_path)
    write_subset(tmp_path, "more", train[:1])
    subsets = ("training", "more", "evaluation")
    with pytest.raises(UserError, match="task train0 is in two of the subsets"):
        build(recipe(tmp_path, subsets=subsets))


def test_answers_among_the_training_pairs_are_refused_if_they_are_many(tmp_path):
    _, test = source(tmp_path)
    stolen = [some_task(f"s{i}")._replace(demonstrations=t.tests) for i, t in enumerate(test)]
    write_subset(tmp_path, "stolen", stolen)
    subsets = ("training", "stolen", "evaluation")
    with pytest.raises(UserError, match="3 tasks, test0 among them, have tests that are trained"):
        build(recipe(tmp_path, subsets=subsets))
    write_subset(tmp_path, "stolen", stolen[:1])
    assert build(recipe(tmp_path, subsets=subsets)).manifest["leaks"] == {"test0": "s0"}


def test_tasks_alone(tmp_path):
    tasks = [some_task("a", tests=2), some_task("b")]
    dataset = build_tasks(tasks, 30, 4, 0, "here")
    assert {k: len(v) for k, v in dataset.splits.items()} == {"train": 6, "test": 3}
    np.testing.assert_array_equal(dataset.rows.transforms[1:6], plan_copies(tasks[0], 4, 0))
    with pytest.raises(UserError, match="task a has a grid of . rows or columns, .* 2x2 cells"):
        build_tasks(tasks, 2, 4, 0, "here")


def test_views_show_the_copies_that_rows_name(tmp_path):
    source(tmp_path)
    dataset = build(recipe(tmp_path))
    still = view(dataset, 5, 0, train=False)
    examples = dataset.examples("test")
    for copy in (0, 1, 5):
        inputs, labels, ids = still.show(examples, np.full(len(examples), copy))
        assert ids.dtype == np.int32
        for i, example in enumerate(examples):
            transform = dataset.rows.transforms[ids[i]]
            for canvases, base in ((inputs, dataset.inputs), (labels, dataset.labels)):
                grid = crop(base[example], *(int(n[0]) for n in sizes(base[example][None])))
                np.testing.assert_array_equal(
                    canvases[i], to_canvas(plain_copy(grid, transform), 30)
                )


def test_counts_of_copies_are_capped_by_task(tmp_path):
    dot = some_task("dot", most=1, colours=1, demonstrations=1)
    dataset = build_tasks([dot, some_task("a")], 30, 8, 0, "here")
    assert dataset.rows.counts().tolist() == [1, 9]
    examples = dataset.examples("train")
    assert view(dataset, 3, 0, train=True).count(examples).tolist() == [1, 4, 4, 4]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ARC's JSON files beside the project")
@pytest.mark.parametrize(
    ("subsets", "test", "tasks"), [(ARC1, "evaluation", 960), (ARC2, "evaluation2", 1280)]
)
def test_the_published_data_sets(subsets, test, tasks):
    dataset = build(ArcRecipe(str(SHARED), subsets, test))
    assert len(dataset.rows.names) == tasks
    assert len(dataset.rows) > 0.9 * 1001 * tasks
    names = [dataset.rows.names[i] for i in dataset.puzzles()[dataset.examples("test")]]
    assert len(set(names)) == {"evaluation": 400, "evaluation2": 120}[test]
    assert len(dataset.manifest["leaks"]) <= 1
