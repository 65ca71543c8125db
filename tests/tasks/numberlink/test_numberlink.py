"""Numberlink: rules, generator, symmetries, text, and the score of joined pairs."""

import numpy as np
import pytest

from tests.tasks.drawings import check_read_back
from trm_jax.core.errors import UserError
from trm_jax.tasks.numberlink.generate import generate
from trm_jax.tasks.numberlink.judge import NumberlinkJudge
from trm_jax.tasks.numberlink.links import Links
from trm_jax.tasks.numberlink.numberlink import BLANK, Numberlink
from trm_jax.tasks.task import Request, task_of

FIVE = Numberlink(5, 5)
SHAPE = {"task": "numberlink", "side": 5, "letters": 5, "vocab": 7, "cells": 25}
TASK = task_of(SHAPE)
QUESTIONS, ANSWERS = generate(FIVE, 0, 60)
ASKED = """
.A...
.C.CB
.....
...B.
A....
"""
SOLVED = "AABBB\nACBCB\nACBCC\nACBBC\nACCCC"


def solutions(question, most=2):
    """All grids that keep the rules, by trying out every way of the paths; at most `most`."""
    beside = FIVE.neighbours()
    ends = {}
    for cell in np.flatnonzero(question > BLANK).tolist():
        ends.setdefault(int(question[cell]), []).append(cell)
    found = []

    def walk(grid, todo, path):
        if len(found) >= most:
            return
        goal, here = ends[todo[0]][1], path[-1]
        for cell in beside[here]:
            if cell in path or (grid[cell] and cell != goal):
                continue
            if any(other in path and other != here for other in beside[cell]):
                continue
            if cell == goal:
                rest = todo[1:]
                if rest:
                    walk(grid, rest, [ends[rest[0]][0]])
                elif all(grid):
                    found.append(list(grid))
            else:
                grid[cell] = todo[0]
                walk(grid, todo, [*path, cell])
                grid[cell] = 0

    walk([int(t) if t > BLANK else 0 for t in question], list(ends), [next(iter(ends.values()))[0]])
    return found


def test_a_drawing_of_the_program_is_read():
    check_read_back(TASK, SHAPE, (*QUESTIONS, *ANSWERS))
    with pytest.raises(UserError, match=r"character '\?' at place 2 of the puzzle"):
        TASK.read(SHAPE, "┌──────────┐\n│A ? C . C │\n└──────────┘")


def test_every_puzzle_has_one_solution_among_all_ways():
    for question, answer in zip(QUESTIONS[:9], ANSWERS, strict=False):
        assert solutions(question) == [answer.tolist()]
    assert TASK.accepts(SHAPE, QUESTIONS, ANSWERS).all()


def test_the_solver_tells_puzzles_with_other_solutions_and_with_none():
    several = TASK.read(SHAPE, "....B..CA..C.D..D.B.....A")
    crossed = TASK.read(SHAPE, "A...B" + "." * 15 + "B...A")
    answers = np.asarray(solutions(several), np.uint8)
    assert len(answers) == 2 and not solutions(crossed)
    with Links(FIVE) as links:
        assert not any(links.unique(several, answer) for answer in answers)
        assert links.solvable(several) and not links.solvable(crossed)
        for question, answer in zip(QUESTIONS[:9], ANSWERS, strict=False):
            assert links.solvable(question) and links.unique(question, answer)


def test_a_loop_is_no_solution():
    """A loop of A round the path of B keeps every rule that concerns single cells."""
    ring = Numberlink(5, 3)
    question = np.ones((5, 5), np.uint8)
    question[4] = [2, 1, 1, 1, 2]
    question[1, 1] = question[1, 2] = 3
    answer = np.full((5, 5), 2, np.uint8)
    answer[:3, :4] = 2
    answer[1, 1:3] = 3
    answer[:, 4] = answer[3] = 4
    answer[4] = 2
    question[0, 4] = question[3, 0] = 4
    answer[0, 4] = answer[1, 4] = answer[2, 4] = answer[3, 4] = 4
    question, answer = question.reshape(-1), answer.reshape(-1)
    assert not ring.accepts(question[None], answer[None]).any()
    assert ring.check_answer(question, answer) == [
        "the path of A has cells that are not joined to its ends in row 1, column 1"
    ]
    with Links(ring) as links:
        assert not links.solvable(question)


def test_puzzles_follow_from_the_seed_and_differ_under_every_symmetry():
    again = generate(FIVE, 0, 20)[0]
    np.testing.assert_array_equal(again, QUESTIONS[:20])
    assert (generate(FIVE, 1, 20)[0] != again).any()
    images = TASK.symmetries(SHAPE, "dihedral", 8, 0)
    names = set()
    for question in QUESTIONS:
        turned = images.apply(np.tile(question, (8, 1))).tolist()
        orders = [list(dict.fromkeys([BLANK, *grid])) for grid in turned]
        names.add(min(tuple(map(o.index, grid)) for o, grid in zip(orders, turned, strict=True)))
    assert len(names) == len(QUESTIONS)
    with pytest.raises(UserError, match="only .* different puzzles of side 3 .* request fewer"):
        generate(Numberlink(3, 2), 0, 50)
    with pytest.raises(UserError, match="cannot generate -1"):
        generate(FIVE, 0, -1)


def test_an_answer_stays_the_answer_under_every_symmetry():
    augment, words = TASK.augmentation(SHAPE)
    random = np.random.default_rng(1).integers(0, 2**64, (len(QUESTIONS), words), np.uint64)
    asked, answered = augment(QUESTIONS, ANSWERS, random)
    assert TASK.accepts(SHAPE, asked, answered).all()
    assert (asked != QUESTIONS).any(1).mean() > 0.9
    for which, count in (("digits", 5), ("dihedral", 8), ("all", 40)):
        found = TASK.symmetries(SHAPE, which, count, 0)
        question, answer = (
            np.repeat(each[:1], len(found), axis=0) for each in (QUESTIONS, ANSWERS)
        )
        turned = found.apply(question)
        assert len(found) == count and TASK.accepts(SHAPE, turned, found.apply(answer)).all()
        np.testing.assert_array_equal(turned[0], question[0])
        np.testing.assert_array_equal(found.invert().apply(turned), question)


def test_text_comes_back_as_it_was_written():
    for tokens in (*QUESTIONS, *ANSWERS):
        line = TASK.write(SHAPE, tokens)
        rows = "\n".join(line[i : i + 5] for i in range(0, 25, 5))
        numbers = line.translate(str.maketrans("ABCDE.", "123450"))
        for text in (line, rows, line.lower(), numbers, f"# a remark\n\n{rows}\n"):
            np.testing.assert_array_equal(TASK.read(SHAPE, text), tokens)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ASKED.replace("C", "X", 1), "line 3: character 'X' at place 2 .* is not a symbol"),
        (ASKED.replace("A....", "A...", 1), "line 6: the puzzle has 4 cells instead of 25"),
        (ASKED.replace("A....", "", 1), "line 2: the puzzle has 20 cells instead of 25"),
        ("", "the text has no puzzles"),
    ],
)
def test_malformed_text_is_refused_with_line_and_reason(text, words):
    with pytest.raises(UserError, match=words) as error:
        TASK.read(SHAPE, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0, "AABBB"), []),
        (
            (0, "AABB."),
            ["1 cell is without a letter", "the path of B breaks off in row 1, column 4"],
        ),
        ((0, "AAABB"), ["the path of A touches itself or branches in row 1, column 2"]),
        ((0, "AADDB"), ["letter D is not in the question"]),
        ((0, "ABBBB"), ["the given A in row 1, column 2 became B"]),
        ((4, "ABCCC"), ["the path of C breaks off in row 4, column 2"]),
        ((3, "BCBBC"), ["the path of A does not leave its end in row 5, column 1"]),
        (
            (2, "ACBCA"),
            ["the path of A has cells that are not joined to its ends in row 3, column 5"],
        ),
    ],
)
def test_each_broken_rule_is_named(row, words):
    question = TASK.read(SHAPE, ASKED)
    lines = SOLVED.splitlines()
    lines[row[0]] = row[1]
    answer = TASK.read(SHAPE, "\n".join(lines))
    broken = TASK.check(SHAPE, question, answer)
    assert all(any(said.startswith(each) for said in broken) for each in words), broken
    assert bool(broken) == bool(words)
    assert TASK.accepts(SHAPE, question[None], answer[None])[0] == (not broken)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("C", "."), "contradicts itself: letter C appears once"),
        (("C", "D"), "contradicts itself: letter C appears once"),
        ((".....", "A...."), "contradicts itself: letter A appears 3 times"),
    ],
)
def test_puzzles_without_a_solution_are_told(change, words):
    questions = np.stack([QUESTIONS[0], TASK.read(SHAPE, ASKED.replace(*change, 1))])
    place, reason = TASK.first_unsolvable(SHAPE, questions)
    assert place == 1 and reason.startswith(words)
    assert TASK.first_unsolvable(SHAPE, QUESTIONS) is None
    empty = np.full((1, 25), BLANK, np.uint8)
    assert TASK.first_unsolvable(SHAPE, empty) == (0, "contradicts itself: there is no letter")
    apart = TASK.read(SHAPE, "AB...BA" + "." * 18)[None]
    assert TASK.first_unsolvable(SHAPE, apart)[1].startswith("has no solution")


def test_the_judge_counts_joined_pairs():
    judge = NumberlinkJudge(FIVE)
    question = TASK.read(SHAPE, ASKED)[None]
    right = TASK.read(SHAPE, SOLVED)[None]
    broken = right.copy()
    broken[0, 4] = BLANK  # which leaves an end of B's path without a neighbour
    judge.see(np.zeros(1), question, np.stack([question, broken, right]), np.zeros((3, 1)))
    judge.see(np.zeros(1), question, np.stack([question, right, right]), np.zeros((3, 1)))
    result = judge.result()
    found = [each["joined_pairs"] for each in result["by_depth"]]
    np.testing.assert_allclose(found, [0, 5 / 6, 1])
    assert result["joined_pairs"] == 1


def test_a_lattice_model_is_refused_by_name():
    with pytest.raises(UserError, match="the task 'numberlink' has no candidates to eliminate"):
        TASK.deduction(SHAPE)


def test_data_sets_from_the_generator_and_from_a_file(tmp_path):
    settings = TASK.settings(side=5, letters=5)
    counts = {"train": 20, "heldout": 5, "test": 0, "copies": 0, "seed": 0, "settings": settings}
    made = TASK.build(Request("generate", **counts))
    assert made.manifest["counts"] == {"train": 20, "heldout": 5}
    assert made.manifest == TASK.build(Request("generate", **counts)).manifest
    path = tmp_path / "puzzles.csv"
    texts = [[TASK.write(SHAPE, t) for t in pair] for pair in zip(QUESTIONS, ANSWERS, strict=True)]
    path.write_text("question,answer\n" + "".join(f"{q},{a}\n" for q, a in texts))
    np.testing.assert_array_equal(TASK.build_test(str(path), SHAPE).labels, ANSWERS)
    path.write_text(f"question,answer\n{texts[0][0]},{texts[1][1]}\n")
    with pytest.raises(UserError, match=r"puzzles\.csv, line 2: the answer does not solve"):
        TASK.build_test(str(path), SHAPE)
