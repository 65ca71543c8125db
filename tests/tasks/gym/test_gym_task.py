"""Grids of reasoning-gym: generated, distinct, and judged by its own verifiers."""

import sys

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.tasks.gym.suites import SUITES
from trm_jax.tasks.gym.task import GymSettings
from trm_jax.tasks.task import TASKS, Request

TASK = TASKS.get("gym")


def build(train=6, heldout=3, test=2, seed=0, **settings):
    return TASK.build(Request("generate", train, heldout, test, 0, seed, GymSettings(**settings)))


@pytest.fixture
def package():
    return pytest.importorskip("reasoning_gym")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("name", SUITES)
def test_each_data_set_is_generated_and_its_answers_are_right(name):
    dataset = build(dataset=name)
    shape = dataset.manifest
    assert shape["counts"] == {"train": 6, "heldout": 3, "test": 2}
    assert len(np.unique(dataset.inputs, axis=0)) == 11, "no question twice"
    for question, answer in zip(dataset.inputs, dataset.labels, strict=True):
        assert TASK.check(shape, question, answer) == []
        text = TASK.write(shape, question)
        assert (TASK.read(shape, text) == question).all()
    question, answer = dataset.inputs[0], dataset.labels[0]
    place = int(np.isin(question, TASK.board(shape).open_tokens).nonzero()[0][0])
    wrong = answer.copy()
    wrong[place] = next(t for t in range(2, shape["vocab"]) if t != answer[place])
    assert TASK.check(shape, question, wrong), "another symbol in an open cell"
    assert TASK.accepts(shape, dataset.inputs[:1], wrong[None]).tolist() == [False]
    again = build(dataset=name)
    assert (again.inputs == dataset.inputs).all()
    assert again.manifest["fingerprint"] == shape["fingerprint"]


@pytest.mark.usefixtures("package")
def test_any_completed_board_of_queens_is_right():
    dataset = build(30, 1, 1, dataset="n_queens", side=6)
    shape = dataset.manifest
    few = dataset.inputs[[(question == 2).sum() <= 1 for question in dataset.inputs]]
    answers = {tuple(answer) for answer in dataset.labels}
    right = [a for a in answers if TASK.check(shape, few[0], np.asarray(a, np.uint8)) == []]
    assert right and all((np.asarray(a)[few[0] == 2] == 2).all() for a in right)


@pytest.mark.usefixtures("package")
def test_what_is_asked_for_and_is_not_there():
    with pytest.raises(UserError, match="gave no new puzzle in 1,000 after"):
        build(500, 0, 0, dataset="n_queens", side=4)
    with pytest.raises(UserError, match="which follows from other settings"):
        build(parameters="seed=3")
    with pytest.raises(UserError, match=r"does not make mini_sudoku with .*'holes': 3"):
        build(parameters="holes=3")
    with pytest.raises(UserError, match="write name=number"):
        build(parameters="min_empty")
    with pytest.raises(UserError, match=r"gym\.side is 3; n_queens has 4 to 10"):
        build(dataset="n_queens", side=3)
    dataset = build(parameters="min_empty=6, max_empty=6")
    assert ((dataset.inputs == 1).sum(axis=1) == 6).all()


@pytest.mark.usefixtures("package")
def test_no_symmetric_copy_of_a_held_out_puzzle_is_trained_on():
    plain = build(200, 50, 0, parameters="min_empty=8,max_empty=8")
    apart = build(200, 50, 0, parameters="min_empty=8,max_empty=8", symmetries=True)
    augment, words = TASK.augmentation(apart.manifest)
    assert TASK.augmentation(plain.manifest) is None and words == 5
    draw = np.random.default_rng(0).integers(0, 2**63, (250, words)).astype(np.uint64)
    inputs, labels = augment(apart.inputs, apart.labels, draw)
    assert (inputs != apart.inputs).any()
    for question, answer in zip(inputs[:20], labels[:20], strict=True):
        assert TASK.check(apart.manifest, question, answer) == []


def test_without_the_package_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(UserError, match=r"pip install 'trm-jax\[gym\]' and then pip install --no-"):
        build(seed=12345)
