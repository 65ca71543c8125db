"""Voting by hand: who wins, what counts as solved, and what is submitted."""

import itertools
import math

import numpy as np
import pytest

from tests.arc_tasks import plain_copy
from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_words
from trm_jax.tasks.arc.canvas import to_canvas
from trm_jax.tasks.arc.copies import draw_transforms
from trm_jax.tasks.arc.records import IDENTITY
from trm_jax.tasks.arc.vote import (
    VOTING,
    Votes,
    candidate,
    grid_of,
    pass_at,
    submission,
)
from trm_jax.tasks.task import task_of

A, B, C = (
    np.full(size, colour, np.uint8) for size, colour in (((2, 3), 1), ((1, 1), 2), ((2, 3), 4))
)
TRANSFORMS = draw_transforms(random_words(0, np.arange(64), 10))


def votes(ballots, side=6):
    """Votes of {test: [(grid, probability), ...]}, each answer shown in a copy of its own."""
    cast = Votes()
    for test, answers in ballots.items():
        transforms = TRANSFORMS[: len(answers)]
        shown = [plain_copy(g, t) for (g, _), t in zip(answers, transforms, strict=True)]
        canvases = np.stack([to_canvas(grid, side) for grid in shown])
        logits = np.asarray([math.log(p / (1 - p)) for _, p in answers])
        cast.add([test] * len(answers), canvases, logits, transforms)
    return cast


def ranked(answers, voting="count"):
    return [grid_of(key) for key in votes({"t": answers}).ranking("t", voting)]


def test_answers_are_mapped_back_before_they_are_counted():
    assert ranked([(A, 0.5)] * 9) == [A.tolist()]


def test_most_copies_win_however_sure_the_others_are():
    answers = [(A, 0.1), (B, 0.99), (A, 0.2)]
    assert ranked(answers) == [A.tolist(), B.tolist()]


def test_among_equals_the_surest_on_average_wins():
    answers = [(A, 0.9), (A, 0.1), (B, 0.6), (B, 0.5), (C, 0.7)]
    assert ranked(answers) == [B.tolist(), A.tolist(), C.tolist()]


@pytest.mark.parametrize(
    ("voting", "order"),
    [
        ("count", [A, B, C]),
        ("confidence_sum", [B, C, A]),
        ("confidence_mean", [C, B, A]),
        ("confidence_max", [C, B, A]),
    ],
)
def test_other_ways_to_vote(voting, order):
    answers = [(A, 0.1)] * 4 + [(B, 0.5)] * 3 + [(C, 0.9)]
    assert ranked(answers, voting) == [grid.tolist() for grid in order]


def test_unknown_ways_are_refused():
    task = task_of({"task": "arc"})
    assert task.check_voting("count") == task.check_voting("") == "count", "as published"
    with pytest.raises(UserError, match=f"voting is 'shout'; choose one of {', '.join(VOTING)}"):
        task.check_voting("shout")


@pytest.mark.parametrize("name", ["sudoku", "maze"])
def test_where_nothing_votes_no_way_is_known(name):
    task = task_of({"task": name})
    assert task.check_voting("") == ""
    with pytest.raises(UserError, match=f"'{name}' has no copies that vote; leave --voting out"):
        task.check_voting("count")


@pytest.mark.parametrize("voting", VOTING)
def test_the_order_of_the_predictions_changes_nothing(voting):
    """Not even among candidates that nothing but their content tells apart."""
    answers = [(A, 0.5), (B, 0.5), (C, 0.5), (A, 0.3), (B, 0.3)]
    orders = {
        tuple(map(str, ranked(list(shuffled), voting)))
        for shuffled in itertools.permutations(answers)
    }
    assert len(orders) == 1


def test_pass_at_k_counts_a_task_by_the_share_of_its_tests():
    cast = votes(
        {
            1: [(A, 0.5), (A, 0.5), (B, 0.5)],
            2: [(A, 0.5), (A, 0.5), (A, 0.5), (B, 0.5), (B, 0.4), (C, 0.5)],
            3: [(C, 0.5)],
        }
    )
    rankings = {test: cast.ranking(test, "count") for test in (1, 2, 3)}
    right = {
        "both": [(1, candidate(A)), (2, candidate(B))],
        "one": [(3, candidate(C))],
        "never predicted": [(4, candidate(A))],
    }
    shares = pass_at(rankings, right, (1, 2, 3))
    assert shares == {
        "pass@1": pytest.approx((0.5 + 1 + 0) / 3),
        "pass@2": pytest.approx((1 + 1 + 0) / 3),
        "pass@3": pytest.approx((1 + 1 + 0) / 3),
    }
    assert math.isnan(pass_at(rankings, {}, (1,))["pass@1"])


def test_a_grid_of_the_same_cells_in_another_shape_is_another_candidate():
    assert candidate(np.ones((2, 3), np.uint8)) != candidate(np.ones((3, 2), np.uint8))


def test_submission_has_two_attempts_at_every_test():
    empty = np.zeros((0, 0), np.uint8)
    cast = votes({1: [(A, 0.5), (A, 0.5), (B, 0.5)], 2: [(C, 0.5)], 3: [(empty, 0.5)]})
    rankings = {test: cast.ranking(test, "count") for test in (1, 2, 3)}
    assert submission(rankings, {"x": [1, 2], "y": [3, 4]}) == {
        "x": [
            {"attempt_1": A.tolist(), "attempt_2": B.tolist()},
            {"attempt_1": C.tolist(), "attempt_2": C.tolist()},
        ],
        "y": [
            {"attempt_1": [[0]], "attempt_2": [[0]]},
            {"attempt_1": [[0]], "attempt_2": [[0]]},
        ],
    }


def test_each_test_votes_for_itself():
    cast = votes({1: [(A, 0.5)], 2: [(B, 0.5)]})
    assert cast.ranking(1, "count") == [candidate(A)]
    assert cast.ranking(3, "count") == []
    assert IDENTITY[0] == 0


def weight(probabilities):
    return len(probabilities), np.mean(probabilities)


def test_scores_equal_those_computed_by_hand_whichever_copies_are_right():
    """A model that is right on any subset of the copies, and wrong in its own way elsewhere."""
    draw = np.random.default_rng(0)
    for _ in range(200):
        tests, copies = int(draw.integers(1, 4)), int(draw.integers(1, 12))
        ballots, solved = {}, dict.fromkeys((1, 2, 5), 0)
        for test in range(tests):
            answers = draw.integers(0, 5, copies)  # 0 is right
            ballots[test] = [
                (np.full((1 + int(a), 2), 3, np.uint8), float(draw.uniform(0.01, 0.99)))
                for a in answers
            ]
            mine = [p for a, (_, p) in zip(answers, ballots[test], strict=True) if a == 0]
            ahead = 0
            for wrong in range(1, 5):
                theirs = [p for a, (_, p) in zip(answers, ballots[test], strict=True) if a == wrong]
                if theirs and (
                    not mine or (len(theirs), np.mean(theirs)) > (len(mine), np.mean(mine))
                ):
                    ahead += 1
            for tries in solved:
                solved[tries] += bool(mine) and ahead < tries
        cast = votes(ballots)
        rankings = {test: cast.ranking(test, "count") for test in ballots}
        right = {"task": [(test, candidate(np.full((1, 2), 3, np.uint8))) for test in ballots]}
        expected = {f"pass@{k}": n / tests for k, n in solved.items()}
        assert pass_at(rankings, right, (1, 2, 5)) == pytest.approx(expected)
