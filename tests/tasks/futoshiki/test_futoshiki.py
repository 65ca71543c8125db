"""Futoshiki: rules, generator, symmetries, text, and the files that it is read from."""

import itertools

import jax
import numpy as np
import pytest

from tests.tasks.drawings import check_read_back
from trm_jax.core.errors import UserError
from trm_jax.show.panels import Panel
from trm_jax.show.terminal import render
from trm_jax.tasks.futoshiki.futoshiki import BLANK, Futoshiki
from trm_jax.tasks.futoshiki.generate import generate
from trm_jax.tasks.futoshiki.symmetry import all_symmetries
from trm_jax.tasks.task import Request, task_of

FOUR = Futoshiki(4)
SHAPE = {"task": "futoshiki", "side": 4, "vocab": FOUR.vocab, "cells": FOUR.cells}
TASK = task_of(SHAPE)
QUESTIONS, ANSWERS = generate(FOUR, 0, 60, extra_clues=3)
TEXT = """
.<. . .
      v
.<.>3>.

. . . .
  ^ ^ v
. . . .
"""


def latin_squares(side):
    """All Latin squares, int [m, side * side]."""
    rows = list(itertools.permutations(range(side)))
    found = [()]
    for _ in range(side):
        found = [
            (*square, row)
            for square in found
            for row in rows
            if all(a != b for line in square for a, b in zip(line, row, strict=True))
        ]
    return np.asarray(found).reshape(len(found), -1)


def test_every_puzzle_has_one_solution_among_all_latin_squares():
    squares = latin_squares(4)
    assert len(squares) == 576
    _, first, second = FOUR.edges().T
    signs = np.sign(squares[:, first] - squares[:, second])
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
        given = question[FOUR.squares()]
        wanted = FOUR.differences(question[None])[0]
        fits = ((given == BLANK) | (given == squares + 2)).all(1)
        fits &= ((wanted == 0) | (wanted == signs)).all(1)
        assert fits.sum() == 1
        np.testing.assert_array_equal(squares[fits][0] + 2, answer[FOUR.squares()])


def test_a_minimal_puzzle_needs_each_of_its_clues():
    questions, _ = generate(FOUR, 3, 5)
    squares = latin_squares(4)
    grids = np.stack([FOUR.board(square, FOUR.differences(questions)[0]) for square in squares])
    for question in questions:
        for clue in np.flatnonzero((question != BLANK) & (question != FOUR.gap)):
            without = question.copy()
            without[clue] = BLANK if clue in FOUR.squares() else FOUR.gap
            answers = np.where(np.isin(np.arange(FOUR.cells), FOUR.squares()), grids, without)
            asked = np.repeat(without[None], len(squares), axis=0)
            assert FOUR.accepts(asked, answers.astype(np.uint8)).sum() > 1


def test_puzzles_follow_from_the_seed_and_differ_under_every_symmetry():
    again = generate(FOUR, 0, 20, extra_clues=3)[0]
    np.testing.assert_array_equal(again, QUESTIONS[:20])
    assert (generate(FOUR, 1, 20, extra_clues=3)[0] != again).any()
    images = all_symmetries(FOUR)
    names = {images.apply(np.tile(q, (16, 1)))[k].tobytes() for q in QUESTIONS for k in range(16)}
    assert len(names) > 15 * len(QUESTIONS)
    with pytest.raises(UserError, match="only .* different puzzles of side 2 .* request fewer"):
        generate(Futoshiki(2), 0, 50)
    with pytest.raises(UserError, match="cannot generate -1"):
        generate(FOUR, 0, -1)


def test_an_answer_stays_the_answer_under_every_symmetry():
    images = all_symmetries(FOUR)
    numbers = np.random.default_rng(0).integers(0, 16, len(QUESTIONS))
    drawn = images.take(numbers)
    asked, answered = drawn.apply(QUESTIONS), drawn.apply(ANSWERS)
    assert TASK.accepts(SHAPE, asked, answered).all()
    assert not TASK.accepts(SHAPE, asked, ANSWERS)[numbers > 0].all()
    np.testing.assert_array_equal(drawn.invert().apply(asked), QUESTIONS)
    augment, words = TASK.augmentation(SHAPE)
    random = np.random.default_rng(1).integers(0, 2**64, (60, words), np.uint64)
    assert TASK.accepts(SHAPE, *augment(QUESTIONS, ANSWERS, random)).all()


@pytest.mark.parametrize(("which", "count"), [("digits", 2), ("dihedral", 8), ("all", 16)])
def test_copies_for_a_search(which, count):
    found = TASK.symmetries(SHAPE, which, count, 0)
    assert len(found) == count
    grid = np.repeat(QUESTIONS[:1], count, axis=0)
    turned = found.apply(grid)
    np.testing.assert_array_equal(turned[0], grid[0])
    assert len(np.unique(turned, axis=0)) == count


def test_symmetries_and_rules_on_the_device_are_the_same():
    deduction = TASK.deduction(SHAPE)
    answers = ANSWERS.astype(np.int32) - 2
    accepts = jax.jit(deduction.accepts)
    assert accepts(answers).all()
    broken = answers.copy()
    broken[:, [0, 2]] = broken[:, [2, 0]]  # a column has a digit twice now
    assert not accepts(broken).any()
    turned = answers.copy()
    signs = FOUR.edges()[:, 0]
    there = (answers[:, signs] >= 4) & (answers[:, signs] < 8)
    turned[:, signs] = np.where(there, answers[:, signs] ^ 1, answers[:, signs])
    np.testing.assert_array_equal(accepts(turned), ~there.any(1))
    keys = jax.random.split(jax.random.key(0), len(answers))
    moves = deduction.draw(keys)
    one_hot = jax.nn.one_hot(answers, FOUR.vocab - 2)
    moved = moves.apply(one_hot).argmax(-1)
    assert accepts(moved).all()
    np.testing.assert_array_equal(moves.invert().apply(moves.apply(one_hot)), one_hot)


def test_text_comes_back_as_it_was_written():
    for tokens in (*QUESTIONS, *ANSWERS):
        line = TASK.write(SHAPE, tokens)
        rows = "\n".join(line[i : i + 7].rstrip() for i in range(0, 49, 7))
        dense = "\n".join(row for row in rows.splitlines() if row.strip())
        for text in (line, rows, dense, line.replace(" ", "_"), f"# a remark\n{rows}\n"):
            np.testing.assert_array_equal(TASK.read(SHAPE, text), tokens)
    both = TASK.read_all(SHAPE, f"{TEXT}\n{TEXT}")
    assert [given.line for given in both] == [2, 11]
    np.testing.assert_array_equal(both[0].tokens, both[1].tokens)
    np.testing.assert_array_equal(
        TASK.read_array(SHAPE, np.asarray(list(TASK.write(SHAPE, QUESTIONS[0])))), QUESTIONS[0]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("3", "5"), "line 4: character '5' at place 5 is not a symbol; use 1 to 4"),
        (TEXT.replace(".<. . .", ".^. . ."), "line 2: character '\\^' at place 2 is between"),
        (TEXT.replace("      v\n", " v\n"), "line 3: character 'v' at place 2 is between two"),
        (TEXT.replace("      v\n", "        v\n"), "line 3: the row of signs has 9 characters"),
        (TEXT.replace(". . . .", ". . .", 1), "line 6: the line has 5 characters instead of 7"),
        ("v\n" + TEXT, "line 1: there is a row of signs above the first row"),
        (TEXT.replace("  ^ ^ v\n", "  ^\n    ^\n"), "line 8: .* below another such row"),
        (".<. . .\n. . . .", "line 1: the puzzle has 2 rows of cells instead of 4"),
        (". . .", "^the line has 5 characters"),
        ("", "the text has no puzzles"),
    ],
)
def test_malformed_text_is_refused_with_line_and_reason(text, words):
    with pytest.raises(UserError, match=words) as error:
        TASK.read(SHAPE, text)
    assert "\n" not in str(error.value)


def test_each_broken_rule_is_named():
    question = TASK.read(SHAPE, TEXT)
    near = TASK.read(SHAPE, "1<2 4 3\n      v\n2<4>3>1\n\n4 3 1 2\n  ^ ^ v\n3 1 2 4")
    assert TASK.check(SHAPE, question, question) == ["15 cells are without a digit"]
    wrong = " | ".join(TASK.check(SHAPE, question, near))
    assert "3 in row 3, column 2 is not less than 1 below" in wrong
    assert "2 in row 3, column 4 is not greater than 4 below" in wrong
    answer = near.copy()
    answer[[14, 16]] = answer[[16, 14]]
    answer[18] = 3
    answer[1] = FOUR.gap
    said = " | ".join(TASK.check(SHAPE, question, answer))
    assert "the given 3 in row 2, column 3 became 2" in said
    assert "the sign < in row 1, columns 1 and 2 became a gap" in said
    answer[3] = FOUR.first_sign
    said = " | ".join(TASK.check(SHAPE, question, answer))
    assert "the gap in row 1, columns 2 and 3 became <" in said
    assert "digit 2 appears" in said and "in row 2" in said and "in column" in said
    assert "4 in row 2, column 1 is not less than 2 on its right" in said
    for one, other in ((question, near), (question, answer), (QUESTIONS[0], ANSWERS[0])):
        accepted = bool(TASK.accepts(SHAPE, one[None], other[None])[0])
        assert accepted == (not TASK.check(SHAPE, one, other))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "1 1 . .\n. . . .\n. . . .\n. . . .",
            "contradicts itself: digit 1 appears twice in row",
        ),
        ("2<1 . .\n. . . .\n. . . .\n. . . .", "contradicts itself: 2 in row 1, column 1 is not"),
        (".<.>.<.\n" + "v v v v\n. . . .\n" * 3, "has no solution"),
        ("4<. . .\n. . . .\n. . . .\n. . . .", "has no solution"),
    ],
)
def test_puzzles_without_a_solution_are_told(text, words):
    questions = np.stack([QUESTIONS[0], TASK.read(SHAPE, text)])
    place, reason = TASK.first_unsolvable(SHAPE, questions)
    assert place == 1 and reason.startswith(words)
    assert TASK.first_unsolvable(SHAPE, QUESTIONS) is None


def test_a_drawing_of_the_program_is_read():
    check_read_back(TASK, SHAPE, (*QUESTIONS, *ANSWERS))
    near = np.where(ANSWERS[0] == 2, 3, ANSWERS[0]).astype(np.uint8)
    marked = Panel("", *(TASK.grid(SHAPE, t) for t in (near, QUESTIONS[0], ANSWERS[0])))
    text = render(TASK.board(SHAPE), marked, colour=False)
    assert "*" in text
    np.testing.assert_array_equal(TASK.read(SHAPE, text), near)
    by_hand = "\n".join(f"|{line.ljust(7)}|" for line in TEXT.strip().split("\n"))
    np.testing.assert_array_equal(TASK.read(SHAPE, by_hand), TASK.read(SHAPE, TEXT))


def request(source="generate", **changes):
    settings = TASK.settings(
        side=4, **{k: changes.pop(k) for k in ("extra_clues",) & changes.keys()}
    )
    counts = {"train": 20, "heldout": 5, "test": 0, "copies": 0, "seed": 0} | changes
    return Request(source=source, settings=settings, **counts)


def test_data_sets_from_the_generator_and_from_a_file(tmp_path):
    made = TASK.build(request(extra_clues=3))
    assert made.manifest["counts"] == {"train": 20, "heldout": 5}
    assert made.manifest["source"] == {"kind": "generate", "extra_clues": 3}
    assert made.manifest == TASK.build(request(extra_clues=3)).manifest
    path = tmp_path / "puzzles.csv"
    texts = [[TASK.write(SHAPE, t) for t in pair] for pair in zip(QUESTIONS, ANSWERS, strict=True)]
    path.write_text("question,answer\n" + "".join(f"{q},{a}\n" for q, a in texts))
    np.testing.assert_array_equal(TASK.build_test(str(path), SHAPE).inputs, QUESTIONS)
    assert TASK.build(request(str(path))).manifest["counts"] == {"train": 20, "heldout": 5}
    with pytest.raises(UserError, match="extra_clues is 3, but puzzles from .* leave it at 0"):
        TASK.build(request(str(path), extra_clues=3))
    with pytest.raises(UserError, match="has no file on the hub"):
        TASK.build(request("hub"))
    path.write_text(f"question,answer\n{texts[0][0]},{texts[1][1]}\n")
    with pytest.raises(UserError, match=r"puzzles\.csv, line 2: the answer does not solve"):
        TASK.build_test(str(path), SHAPE)
