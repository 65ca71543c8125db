"""The scores of a maze's answer agree with a plain search that shares no code with them."""

from collections import deque

import numpy as np
import pytest

from trm_jax.core.errors import UserError
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.maze.paths import count_shortest_paths, path_cells, search
from trm_jax.tasks.maze.score import distances, score, shortest_paths

SIDES = (5, 6, 9)


def cells_of(tokens, side, symbols):
    """Coordinates of the cells with one of these symbols."""
    wanted = {"?# SGo".index(symbol) for symbol in symbols}
    return {divmod(i, side) for i, token in enumerate(tokens.tolist()) if token in wanted}


def beside(cell, among):
    row, column = cell
    return {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)} & among


def plain_distances(among, start):
    steps, queue = {start: 0}, deque([start])
    while queue:
        cell = queue.popleft()
        for other in beside(cell, among) - steps.keys():
            steps[other] = steps[cell] + 1
            queue.append(other)
    return steps


def plain_count(among, start, goal):
    steps = plain_distances(among, start)
    ways = {start: 1}
    for cell in sorted(steps, key=steps.get):
        for other in beside(cell, among):
            if steps[other] == steps[cell] + 1:
                ways[other] = ways.get(other, 0) + ways[cell]
    return ways.get(goal, 0)


def plain_score(question, answer, side):
    """Valid and shortest, by following the path from S, cell by cell."""
    starts, goals = cells_of(question, side, "S"), cells_of(question, side, "G")
    if (len(starts), len(goals)) != (1, 1) or 5 in question:
        return False, False
    (start,), (goal,) = starts, goals
    for before, after in zip(question.tolist(), answer.tolist(), strict=True):
        if before != after and (before, after) != (2, 5):
            return False, False
    path = cells_of(answer, side, "SGo")
    if any(len(beside(c, path)) != (1 if c in (start, goal) else 2) for c in path):
        return False, False
    walked, here = [start], start
    while here != goal:
        (here,) = beside(here, path) - set(walked[-2:-1])
        walked.append(here)
        if len(walked) > len(path):
            return False, False
    if set(walked) != path:
        return False, False
    shortest = plain_distances(cells_of(question, side, " SGo"), start)[goal]
    return True, len(walked) - 1 == shortest


def random_mazes(side, count, seed):
    """Questions with an answer each that walks at random, and often right."""
    rng = np.random.default_rng(seed)
    questions = np.where(rng.random((count, side**2)) < rng.uniform(0, 0.5, (count, 1)), 1, 2)
    answers = []
    for question in questions:
        ends = rng.choice(side**2, 2, replace=False)
        question[ends] = 3, 4
        answers.append(random_answer(question, side, rng))
    return questions.astype(np.uint8), np.asarray(answers, np.uint8)


def random_answer(question, side, rng):
    """A path of random detour: a search with random weights."""
    among = cells_of(question, side, " SG")
    (start,), (goal,) = cells_of(question, side, "S"), cells_of(question, side, "G")
    weight = {cell: 1 + rng.choice([0.0, 0.2, 5.0]) * rng.random() for cell in among}
    best, todo, came = {start: 0.0}, {start}, {}
    while todo:
        cell = min(todo, key=best.get)
        todo.remove(cell)
        for other in beside(cell, among):
            if best[cell] + weight[other] < best.get(other, np.inf):
                best[other], came[other] = best[cell] + weight[other], cell
                todo.add(other)
    answer = question.copy()
    while goal in came:
        goal = came[goal]
        if goal != start:
            answer[goal[0] * side + goal[1]] = 5
    return answer


def mutated(question, answer, side, rng):
    """A copy of question and answer with something done to the answer, often wrong."""
    question, answer = question.copy(), answer.copy()
    kind = rng.integers(10)
    any_cell = rng.integers(side**2)
    path, free = np.flatnonzero(answer == 5), np.flatnonzero(answer == 2)
    if kind == 0 and len(path):
        answer[rng.choice(path)] = 2
    elif kind == 1 and len(free):
        answer[rng.choice(free)] = 5
    elif kind == 2 and len(free) > 1:
        answer[rng.choice(free, 2, replace=False)] = 5
    elif kind == 3 and len(path) and len(free):
        answer[rng.choice(path)], answer[rng.choice(free)] = 2, 5  # a detour, if it is lucky
    elif kind == 4:
        answer[any_cell] = rng.integers(6)
    elif kind == 5:
        answer = np.roll(answer, 1)
    elif kind == 6:
        question[any_cell] = rng.integers(6)
    elif kind == 7:
        question[any_cell] = answer[any_cell] = rng.integers(6)
    else:  # walls are gone from both, so that there may be a shorter way
        gone = (question == 1) & (rng.random(side**2) < 0.5)
        question[gone] = answer[gone] = 2
    return question, answer


@pytest.mark.parametrize("side", SIDES)
def test_scores_agree_with_a_plain_search(side):
    rng = np.random.default_rng(side)
    questions, answers = random_mazes(side, 400, seed=side)
    pairs = [*zip(questions, answers, strict=True)]
    pairs += [mutated(*pairs[i % 400], side, rng) for i in range(1600)]
    both = np.asarray(pairs, np.uint8)
    expected = [plain_score(*pair, side) for pair in both]
    got = score(both[:, 0], both[:, 1], side)
    assert [part.dtype for part in got] == [bool, bool]
    assert list(zip(*(part.tolist() for part in got), strict=True)) == expected
    kinds = [sum(pair == kind for pair in expected[400:]) for kind in ((0, 0), (1, 0), (1, 1))]
    assert min(kinds) > 20, "the test must see wrong, longer and shortest answers"


@pytest.mark.parametrize("side", SIDES)
def test_scores_agree_with_the_words(side):
    rng = np.random.default_rng(side + 100)
    maze = Maze(side)
    questions, answers = random_mazes(side, 300, seed=side + 100)
    for question, answer in zip(questions, answers, strict=True):
        question, answer = mutated(question, answer, side, rng)
        if maze.check_question(question) is not None:
            continue
        valid, shortest = (bool(part[0]) for part in score(question[None], answer[None], side))
        broken = maze.check_answer(question, answer)
        assert shortest == (not broken)
        assert valid == (not broken or "longer than the shortest" in broken[0])


@pytest.mark.parametrize("side", SIDES)
def test_distances_and_counts_agree_with_a_plain_search(side):
    questions, _ = random_mazes(side, 300, seed=side + 200)
    got, counts = distances(questions, side), shortest_paths(questions, side)
    for question, steps, count in zip(questions, got, counts, strict=True):
        among = cells_of(question, side, " SG")
        (start,), (goal,) = cells_of(question, side, "S"), cells_of(question, side, "G")
        plain = plain_distances(among, start)
        assert steps.tolist() == [plain.get(divmod(i, side), -1) for i in range(side**2)]
        assert count == plain_count(among, start, goal)


def test_counting_ends_at_the_limit():
    """An open square has binomial(2n, n) shortest paths from corner to corner."""
    for side, paths in ((5, 70), (11, 184_756), (12, 705_432), (13, 1_000_000), (40, 1_000_000)):
        everywhere = np.ones((2, side**2), bool)
        starts, goals = np.asarray([0, side - 1]), np.asarray([side**2 - 1, side**2 - side])
        assert count_shortest_paths(everywhere, starts, goals).tolist() == [paths] * 2
        assert count_shortest_paths(everywhere, starts, goals, limit=9).tolist() == [9] * 2


def test_mazes_of_a_batch_do_not_see_each_other():
    """Walls round off each maze: nothing walks over its edge into the next one."""
    rng = np.random.default_rng(0)
    for side in (5, 8):
        open_cells = rng.random((6, side**2)) < 0.7
        starts = open_cells.argmax(1)
        whole = search(open_cells, starts)
        for i in range(6):
            alone = search(open_cells[i : i + 1], starts[i : i + 1])
            np.testing.assert_array_equal(alone.distances[0], whole.distances[i])
            np.testing.assert_array_equal(alone.arrivals[0], whole.arrivals[i])
        walls = np.zeros((1, side**2), bool)
        walls[0, side : 2 * side] = True  # one row: neither its left nor its right end leads out
        reached = search(walls, np.asarray([side])).distances[0]
        assert reached[side : 2 * side].tolist() == list(range(side))
        assert (np.delete(reached, range(side, 2 * side)) == -1).all()


def test_paths_are_traced_to_the_start_itself():
    found = search(np.ones((1, 25), bool), np.asarray([12]))
    assert path_cells(found, np.asarray([12])).nonzero()[1].tolist() == [12]
    assert path_cells(found, np.asarray([14])).nonzero()[1].tolist() == [12, 13, 14]


def test_neighbouring_ends_need_no_path():
    question = Maze(5).parse("SG" + " " * 23)[None]
    assert [part.tolist() for part in score(question, question, 5)] == [[True], [True]]
    loose = question.copy()
    loose[0, 24] = 5
    around = question.copy()
    around[0, [5, 6]] = 5
    for answer in (loose, around):
        assert [part.tolist() for part in score(question, answer, 5)] == [[False], [False]]


def test_empty_batches_and_wrong_shapes():
    empty = np.zeros((0, 25), np.uint8)
    assert [part.shape for part in score(empty, empty, 5)] == [(0,), (0,)]
    grid = np.full((1, 25), 2, np.uint8)
    for questions, answers, side in ((grid, grid, 4), (grid, grid[0], 5), (grid, grid[:, :24], 5)):
        with pytest.raises(UserError, match="must be"):
            score(questions, answers, side)
    assert not score(grid, grid, 5)[0].any()  # neither start nor goal
