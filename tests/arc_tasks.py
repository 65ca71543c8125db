"""Small ARC tasks for tests, and the files they are read from."""

import json

import numpy as np

from trm_jax.tasks.arc.records import Pair, Puzzle


def some_task(name, seed=0, demonstrations=3, tests=1, most=6, colours=10):
    """Random grids of up to `most` cells a side; every answer has a size of its own."""
    draw = np.random.default_rng([seed, *name.encode()])

    def grid():
        rows, columns = draw.integers(1, most + 1, 2)
        return draw.integers(0, colours, (rows, columns)).astype(np.uint8)

    pairs = [Pair(grid(), grid()) for _ in range(demonstrations + tests)]
    return Puzzle(name, pairs[:demonstrations], pairs[demonstrations:])


def record(task, solved=True):
    """A task as it stands in a JSON file."""

    def pair(pair, answered):
        answer = {"output": pair.output.tolist()} if answered else {}
        return {"input": pair.input.tolist()} | answer

    return {
        "train": [pair(p, True) for p in task.demonstrations],
        "test": [pair(p, solved) for p in task.tests],
    }


def write_subset(directory, subset, tasks, solutions=True):
    """Kaggle's two files of a subset."""
    challenges = {task.name: record(task, solved=False) for task in tasks}
    path = directory / f"arc-agi_{subset}_challenges.json"
    path.write_text(json.dumps(challenges))
    if solutions:
        answers = {task.name: [test.output.tolist() for test in task.tests] for task in tasks}
        (directory / f"arc-agi_{subset}_solutions.json").write_text(json.dumps(answers))
    return path


def source(directory, training=4, evaluation=3, **options):
    """A directory with two subsets of tasks; the evaluation tasks have two tests each."""
    train = [some_task(f"train{i}", **options) for i in range(training)]
    test = [some_task(f"test{i}", tests=2, **options) for i in range(evaluation)]
    write_subset(directory, "training", train)
    write_subset(directory, "evaluation", test)
    return train, test


def plain_copy(grid, transform):
    """A copy cell by cell, by NumPy's own turns and flips."""
    grid = np.asarray([0, *transform[1:].tolist()], np.uint8)[grid]
    turns = [
        lambda g: g,
        lambda g: np.rot90(g, 1),
        lambda g: np.rot90(g, 2),
        lambda g: np.rot90(g, 3),
        np.fliplr,
        np.flipud,
        np.transpose,
        lambda g: np.fliplr(np.rot90(g, 1)),
    ]
    return turns[transform[0]](grid)
