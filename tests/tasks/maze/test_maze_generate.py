"""Generated mazes: long shortest paths, labels by the tie-break, and a function of the seed."""

import hashlib
from collections import deque

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import random_words
from trm_jax.core.symmetries import dihedral
from trm_jax.tasks.maze import generate as maze_generate
from trm_jax.tasks.maze.carve import carve, words_needed
from trm_jax.tasks.maze.generate import generate
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.maze.score import distances, score, shortest_paths

OFFSETS = {"down": (1, 0), "left": (0, -1), "right": (0, 1), "up": (-1, 0)}
KINDS = [
    (8, {}),
    (10, {"shortest": 8, "longest": 12, "endpoints": "uniform"}),
    (9, {"kind": "perfect"}),
    (12, {"kind": "perfect", "shortest": 10, "longest": 20}),
    (30, {"kind": "perfect"}),
]


def plain_label(question, side, order):
    """The path that a queue finds from S, as the docstring of `generate` has it."""
    grid = {divmod(i, side): token for i, token in enumerate(question.tolist())}
    start = next(cell for cell, token in grid.items() if token == 3)
    goal = next(cell for cell, token in grid.items() if token == 4)
    before, queue = {start: None}, deque([start])
    while queue:
        row, column = queue.popleft()
        for name in order.split(","):
            other = (row + OFFSETS[name][0], column + OFFSETS[name][1])
            if grid.get(other, 1) != 1 and other not in before:
                before[other] = (row, column)
                queue.append(other)
    label = question.copy()
    here = before[goal]
    while here != start:
        label[here[0] * side + here[1]] = 5
        here = before[here]
    return label


def steps(answers):
    return (answers == 5).sum(1) + 1


@pytest.mark.parametrize(("side", "recipe"), KINDS)
def test_labels_are_shortest_paths_of_a_fitting_length(side, recipe):
    questions, answers = generate(Maze(side), 1, 60, **recipe)
    assert questions.shape == answers.shape == (60, side**2)
    assert questions.dtype == answers.dtype == np.uint8
    assert all(Maze(side).check_question(question) is None for question in questions)
    valid, shortest = score(questions, answers, side)
    assert valid.all() and shortest.all()
    published = (100, 140) if side == 30 else (side, side**2)
    least = recipe.get("shortest", published[0])
    most = recipe.get("longest", published[1])
    assert ((steps(answers) >= least) & (steps(answers) <= most)).all()
    assert len(np.unique(questions, axis=0)) == 60


ORDERS = ["down,left,right,up", "up,right,left,down", "left,up,down,right"]


@pytest.mark.parametrize("order", ORDERS)
def test_ties_are_broken_by_a_queue_in_this_order(order):
    questions, answers = generate(Maze(9), 2, 150, shortest=8, wall_share=0.25, tie_break=order)
    assert (shortest_paths(questions, 9) > 1).mean() > 0.8
    for question, answer in zip(questions, answers, strict=True):
        np.testing.assert_array_equal(answer, plain_label(question, 9, order))


def test_labels_are_the_first_shortest_paths_in_dictionary_order():
    """So walking from S by the first move that comes nearer to G gives the label too."""
    questions, answers = generate(Maze(9), 4, 100, shortest=8, wall_share=0.25)
    for question, answer in zip(questions, answers, strict=True):
        swapped = question.copy()
        swapped[question == 3], swapped[question == 4] = 4, 3
        to_goal = distances(swapped[None], 9).reshape(9, 9)
        label = question.copy()
        here = divmod(int((question == 3).argmax()), 9)
        while to_goal[here] > 1:
            options = [(here[0] + r, here[1] + c) for r, c in OFFSETS.values()]
            here = next(
                (r, c)
                for r, c in options
                if 0 <= r < 9 and 0 <= c < 9 and to_goal[r, c] == to_goal[here] - 1
            )
            label[here[0] * 9 + here[1]] = 5
        np.testing.assert_array_equal(label, answer)


def test_the_order_changes_labels_only():
    one, other = (generate(Maze(8), 3, 50, tie_break=order) for order in ORDERS[:2])
    np.testing.assert_array_equal(one[0], other[0])
    assert (one[1] != other[1]).any()


def test_maze_hard_is_the_default_for_side_30():
    questions, answers = generate(Maze(30), 0, 12)
    assert steps(answers).min() > 110
    assert 0.33 < (questions == 1).mean() < 0.41
    assert score(questions, answers, 30)[1].all()


@pytest.mark.parametrize(("side", "recipe"), KINDS)
def test_a_shorter_run_is_the_beginning_of_a_longer_one(side, recipe, monkeypatch):
    long = generate(Maze(side), 5, 40, **recipe)
    monkeypatch.setattr(maze_generate, "_BATCH", 7)
    short = generate(Maze(side), 5, 15, **recipe)
    for one, other in zip(long, short, strict=True):
        np.testing.assert_array_equal(one[:15], other)
    assert (generate(Maze(side), 6, 15, **recipe)[0] != short[0]).any()


@pytest.mark.parametrize("side", [5, 8, 9, 30])
def test_perfect_mazes_are_trees_on_the_odd_lattice(side):
    needed = words_needed(side)
    open_cells = carve(side, random_words(4, np.arange(40), needed)).reshape(-1, side, side)
    odd = side - 1 + side % 2
    assert not open_cells[:, odd:].any() and not open_cells[:, :, odd:].any()
    assert open_cells[:, 0:odd:2, 0:odd:2].all()
    assert not open_cells[:, 1:odd:2, 1:odd:2].any()
    for board in open_cells:
        cells = {tuple(cell) for cell in np.argwhere(board).tolist()}
        joined = sum(((r + 1, c) in cells) + ((r, c + 1) in cells) for r, c in cells)
        assert joined == len(cells) - 1  # as many edges as a tree has, and all in one piece:
        seen, todo = set(), [(0, 0)]
        while todo:
            r, c = todo.pop()
            if (r, c) in cells and (r, c) not in seen:
                seen.add((r, c))
                todo += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
        assert seen == cells


def trees(across):
    """All trees that a depth-first search of rooms can leave, as sets of passages."""
    rooms = [divmod(i, across) for i in range(across**2)]
    found = set()

    def go(stack, visited, passages):
        if len(visited) == len(rooms):
            found.add(passages)
            return
        row, column = stack[-1]
        around = [(row + r, column + c) for r, c in OFFSETS.values()]
        fresh = [room for room in around if room in rooms and room not in visited]
        for room in fresh:
            go([*stack, room], visited | {room}, passages | {frozenset((stack[-1], room))})
        if not fresh:
            go(stack[:-1], visited, passages)

    for room in rooms:
        go([room], frozenset([room]), frozenset())
    return found


def test_small_perfect_mazes_come_in_all_shapes():
    boards = carve(5, random_words(0, np.arange(20_000), words_needed(5)))
    passages = {
        frozenset(
            frozenset(((r, c), (r + down, c + 1 - down)))
            for r in range(3)
            for c in range(3)
            for down in (0, 1)
            if (r + down < 3 and c + 1 - down < 3) and board[2 * r + down, 2 * c + 1 - down]
        )
        for board in np.unique(boards, axis=0).reshape(-1, 5, 5)
    }
    assert passages == trees(3)


def test_lengths_of_perfect_mazes_are_uniform():
    _, answers = generate(Maze(30), 7, 1500, kind="perfect")
    counts = np.bincount(steps(answers) - 100, minlength=41)
    expected = 1500 / 41
    assert ((counts - expected) ** 2 / expected).sum() < 80  # chi-square, 40 degrees: p 0.0002
    assert (shortest_paths(*generate(Maze(30), 7, 20, kind="perfect")[:1], 30) == 1).all()


def test_walls_and_ends_are_drawn_as_told():
    questions, _ = generate(Maze(20), 8, 300, wall_share=0.2, shortest=1, endpoints="uniform")
    assert abs((questions == 1).mean() - 0.2) < 0.01
    for token in (3, 4):
        rows, columns = np.divmod((questions == token).argmax(1), 20)
        assert abs(rows.mean() - 9.5) < 1.2 and abs(columns.mean() - 9.5) < 1.2
    assert not (generate(Maze(8), 0, 5, wall_share=0)[0] == 1).any()


def test_no_two_mazes_are_images_of_one_another():
    with pytest.raises(UserError, match="^only (\\d+) different perfect 5x5 mazes") as error:
        generate(Maze(5), 0, 10_000, kind="perfect", shortest=14, longest=16)
    found = int(str(error.value).split()[1])
    questions, _ = generate(Maze(5), 0, found, kind="perfect", shortest=14, longest=16)
    images = [{dihedral(q.reshape(5, 5), k).tobytes() for k in range(8)} for q in questions]
    assert len({min(group) for group in images}) == found
    assert len(set().union(*images)) == sum(len(group) for group in images)


@pytest.mark.parametrize(
    ("side", "recipe", "message"),
    [
        (8, {"count": -1}, "cannot generate -1"),
        (8, {"kind": "hard"}, "kind is 'hard'"),
        (8, {"endpoints": "near"}, "endpoints is 'near'"),
        (8, {"wall_share": 1.0}, "wall_share is 1.0"),
        (8, {"wall_share": float("nan")}, "wall_share is nan"),
        (8, {"shortest": 9, "longest": 8}, "shortest is 9 and longest 8"),
        (8, {"shortest": -1}, "shortest is -1"),
        (8, {"longest": -1}, "longest is -1"),
        (8, {"tie_break": "down,left,right"}, "tie_break is 'down,left,right'"),
        (8, {"tie_break": "down,down,right,up"}, "once"),
        (8, {"kind": "perfect", "wall_share": 0.3}, "leave them at 0.37"),
        (8, {"shortest": 64}, "more than 63 steps"),
        (5, {"kind": "perfect", "longest": 17}, "more than 16 steps"),
    ],
)
def test_impossible_recipes_are_refused_at_once(side, recipe, message):
    with pytest.raises(UserError, match=message):
        generate(Maze(side), 0, **{"count": 1, **recipe})


def test_fruitless_searches_end(monkeypatch):
    monkeypatch.setattr(maze_generate, "_FRUITLESS", {"random": 3000, "perfect": 3000})
    for recipe in ({"shortest": 60}, {"wall_share": 0.99}, {"shortest": 5, "wall_share": 0.999}):
        with pytest.raises(UserError, match="only 0 different"):
            generate(Maze(8), 0, 1, **recipe)


@pytest.mark.parametrize(
    ("side", "recipe", "digest"),
    [
        (8, {}, "aa42fce1f76ea78e"),
        (11, {"kind": "perfect", "longest": 20}, "dba46cc747e5eb2b"),
        (30, {}, "a02681e548fc30d9"),
    ],
)
def test_every_machine_makes_the_same_mazes(side, recipe, digest):
    arrays = generate(Maze(side), 42, 10, **recipe)
    assert hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16] == digest
