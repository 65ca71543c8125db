"""Generated puzzles: one solution, minimal, different, and the same on every machine."""

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_words
from trm_jax.tasks.sudoku import generate as sudoku_generate
from trm_jax.tasks.sudoku.build import build
from trm_jax.tasks.sudoku.generate import canonical, generate
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.tasks.sudoku.symmetry import cell_maps
from trm_jax.tasks.task import task_of

SHAPES = [((2, 2), 30, 0), ((2, 2), 200, 6), ((2, 3), 40, 0), ((3, 2), 20, 3), ((3, 3), 12, 0)]


def solutions(sudoku, question, limit=2):
    """Counts solutions (those beyond the limit not all) by plain backtracking, on its own rules."""
    rows, columns, side = sudoku.box_rows, sudoku.box_columns, sudoku.side
    grid = (question.astype(int) - 1).reshape(side, side).tolist()

    def options(row, column):
        top, left = row // rows * rows, column // columns * columns
        used = set(grid[row]) | {line[column] for line in grid}
        for line in grid[top : top + rows]:
            used |= set(line[left : left + columns])
        return [digit for digit in range(1, side + 1) if digit not in used]

    def count():
        best = None
        for row in range(side):
            for column in range(side):
                if not grid[row][column]:
                    here = options(row, column)
                    if best is None or len(here) < len(best[2]):
                        best = (row, column, here)
        if best is None:
            return 1
        row, column, here = best
        total = 0
        for digit in here:
            grid[row][column] = digit
            total += count()
            if total >= limit:
                break
        grid[row][column] = 0
        return total

    return count()


@pytest.mark.parametrize(("box", "count", "extra"), SHAPES)
def test_each_puzzle_has_one_solution(box, count, extra):
    sudoku = Sudoku(*box)
    questions, answers = generate(sudoku, 1, count, extra)
    assert questions.shape == answers.shape == (count, sudoku.cells)
    assert questions.dtype == answers.dtype == np.uint8
    assert sudoku.valid_answers(answers).all()
    given = questions > 1
    np.testing.assert_array_equal(questions[given], answers[given])
    assert all(solutions(sudoku, question) == 1 for question in questions)


@pytest.mark.parametrize(
    ("box", "count"),
    [((2, 2), 30), ((2, 3), 25), pytest.param((3, 3), 1, marks=pytest.mark.slow)],
)
def test_puzzles_are_minimal(box, count):
    sudoku = Sudoku(*box)
    for question in generate(sudoku, 2, count)[0]:
        for cell in np.flatnonzero(question > 1):
            fewer = question.copy()
            fewer[cell] = 1
            assert solutions(sudoku, fewer) > 1


def test_sixteen_by_sixteen_works():
    sudoku = Sudoku(4, 4)
    questions, answers = generate(sudoku, 0, 1)
    assert sudoku.check_answer(questions[0], answers[0]) == []
    assert 80 < (questions > 1).sum() < 115


@pytest.mark.parametrize("box", [(2, 2), (2, 3), (3, 3)])
def test_a_shorter_run_is_the_beginning_of_a_longer_one(box):
    long, short = generate(Sudoku(*box), 5, 12, 3), generate(Sudoku(*box), 5, 5, 3)
    for one, other in zip(long, short, strict=True):
        np.testing.assert_array_equal(one[:5], other)
    assert (generate(Sudoku(*box), 6, 5, 3)[1] != short[1]).any()


def test_extra_givens_are_uniform():
    sudoku = Sudoku(2, 3)
    plain = (generate(sudoku, 3, 400)[0] > 1).sum(1)
    more = (generate(sudoku, 3, 400, 4)[0] > 1).sum(1)
    assert abs(more.mean() - plain.mean() - 2) < 0.4
    assert more.max() <= plain.max() + 4


@pytest.mark.parametrize("box", [(2, 2), (2, 3)])
def test_canonical_form_is_shared_by_the_equivalent_only(box):
    sudoku = Sudoku(*box)
    maps = cell_maps(*box)
    questions, answers = generate(sudoku, 4, 30, 5)
    names = [canonical(question, maps) for question in questions]
    assert len(set(names)) == 30
    augment, size = task_of({"task": "sudoku"}).augmentation({"box": list(box)})
    for seed in range(5):
        moved, _ = augment(questions, answers, random_words(seed, np.arange(30), size))
        assert [canonical(question, maps) for question in moved] == names


def test_there_are_36_kinds_of_minimal_4x4_puzzles():
    # Known from the literature: 13 with 4 givens, 22 with 5 and 1 with 6.
    questions, _ = generate(Sudoku(2, 2), 0, 36)
    assert np.bincount((questions > 1).sum(1)).tolist() == [0, 0, 0, 0, 13, 22, 1]
    with pytest.raises(UserError, match="only 36 different 4x4 puzzles"):
        generate(Sudoku(2, 2), 0, 37)


def test_negative_numbers_are_refused():
    for count, extra, words in ((-1, 0, "cannot generate -1"), (1, -1, "extra_givens is -1")):
        with pytest.raises(UserError, match=words):
            generate(Sudoku(2, 2), 0, count, extra)


def test_build_keeps_splits_apart():
    dataset = build(
        box=(2, 2), source="generate", train=100, heldout=30, test=30, seed=0, extra_givens=6
    )
    assert dataset.manifest["counts"] == {"heldout": 30, "test": 30, "train": 100}
    maps = cell_maps(2, 2)
    assert len({canonical(question, maps) for question in dataset.inputs}) == 160
    # Shuffled: the splits are of one kind, though rare puzzles are found last.
    givens = (dataset.inputs > 1).sum(1)
    means = [givens[index].mean() for index in dataset.splits.values()]
    assert max(means) - min(means) < 1.5


@pytest.mark.parametrize(
    ("box", "extra", "fingerprint"),
    [
        ((2, 2), 6, "39483487dddf55e9e8524864eeae52b39e5923731c910d578f5548fdc3ef423f"),
        ((2, 3), 0, "4577ba100281e46a3398501fffebc7ca865b0556069aaaa29a7bbd9b55cac4e9"),
        ((3, 3), 2, "9627254a74b091df7eb2ef67f67e43325365243c19ab1b832966d43949ffb5be"),
    ],
)
def test_every_machine_makes_the_same_data(box, extra, fingerprint):
    dataset = build(
        box=box, source="generate", train=20, heldout=5, test=5, seed=42, extra_givens=extra
    )
    assert dataset.manifest["fingerprint"] == fingerprint


def test_another_solver_makes_the_same_puzzles(monkeypatch):
    sudoku = Sudoku(3, 3)
    expected = generate(sudoku, 8, 5, 3)
    solver = sudoku_generate.Solver
    monkeypatch.setattr(
        sudoku_generate, "Solver", lambda name, **rest: solver(name="minisat22", **rest)
    )
    for one, other in zip(generate(sudoku, 8, 5, 3), expected, strict=True):
        np.testing.assert_array_equal(one, other)
