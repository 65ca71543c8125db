"""Datasets of tasks with rules, from a generator or a CSV file.

Answers in a file are checked with `Task.accepts`; its characters are those of `Task.symbols`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.data import csv_rows
from trm_jax.data.choice import Numbers, check_counts, choose
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.task import Request, Shape, Task, Tokens

BUILDER_VERSION = 1

Generate = Callable[[int, int], tuple[Tokens, Tokens]]
"""Takes a seed and a count, and generates questions and answers uint8 [count, S]."""


def build(task: Task, request: Request, generate: Generate) -> Dataset:
    """Builds a dataset whose splits share no puzzle.

    The choice of puzzles is a pure function of the seed and the source's contents.

    Args:
      task: the task. Settings that are not in `shape_keys` are settings of the generator: they
        are stored in the manifest's `source`, and must have their defaults if a file is read.
      request: its source is "generate" or the path of a CSV file.
      generate: the generator.

    Raises:
      UserError: a row is malformed, there are fewer puzzles than requested, or a count is invalid.
    """
    shape = _facts(task, request.settings)
    counts = {"train": request.train, "heldout": request.heldout, "test": request.test}
    check_counts(request.source, **counts)
    recipe = {
        name: value
        for name, value in request.settings.to_dict().items()
        if name not in task.shape_keys
    }
    if request.source == "generate":
        inputs, labels = generate(request.seed, sum(counts.values()))
        source: dict[str, Any] = {"kind": "generate", **recipe}
    else:
        for name, value in recipe.items():
            usual = getattr(task.settings(), name)
            if value != usual:
                raise UserError(
                    f"{name} is {value!r}, but puzzles from {request.source} are taken as they "
                    f"are; leave it at {usual!r}."
                )
        inputs, labels, source = _read(task, request.source, shape)
    name = source.get("name", request.source)
    kept, splits = choose(len(inputs), name, **counts, seed=request.seed)
    return _assemble(shape, inputs[kept], labels[kept], splits, request.seed, source)


def build_test(task: Task, path: str, shape: Shape) -> Dataset:
    """Reads all puzzles of a CSV file as the split "test".

    Raises:
      UserError: the file or one of its rows is malformed.
    """
    form = {key: shape[key] for key in ("task", *task.shape_keys, "vocab", "cells")}
    inputs, labels, source = _read(task, path, form)
    return _assemble(form, inputs, labels, {"test": np.arange(len(inputs))}, 0, source)


def _facts(task: Task, settings: Any) -> dict[str, Any]:
    return {"task": task.name, **(task.shapes(settings) or {})}


def _read(task: Task, source: str, shape: Shape) -> tuple[Tokens, Tokens, dict[str, Any]]:
    """Questions, answers, and the manifest's facts about the file."""
    if source == "hub":
        task.lacks("file on the hub", "give 'generate' or a CSV file")
    symbols = task.symbols(shape) or ()
    table = np.zeros(256, np.uint8)
    for token, characters in enumerate(symbols):
        for character in characters:
            table[ord(character)] = token
    kind = csv_rows.Kind(
        cells=shape["cells"],
        table=lambda _: table,
        symbols=", ".join(repr(each[0]) for each in symbols if each),
        other_size=f"give another {task.shape_keys[0]}",
        first_wrong=lambda questions, answers: _first_wrong(task, shape, questions, answers),
    )
    inputs, labels = csv_rows.read_csv(source, kind)
    return inputs, labels, csv_rows.file_facts(Path(source), None)


def _first_wrong(
    task: Task, shape: Shape, questions: Tokens, answers: Tokens
) -> tuple[int, str] | None:
    accepted = task.accepts(shape, questions, answers)
    if accepted is None or accepted.all():
        return None
    row = int(accepted.argmin())
    reasons = task.check(shape, questions[row], answers[row]) or ["a rule is broken"]
    return row, f"the answer does not solve the question ({reasons[0]})"


def _assemble(
    shape: Shape,
    inputs: Tokens,
    labels: Tokens,
    splits: dict[str, Numbers],
    seed: int,
    source: dict[str, Any],
) -> Dataset:
    facts = {**shape, "table_rows": 1, "seed": seed, "source": source}
    facts["builder_version"] = BUILDER_VERSION
    return assemble(inputs, labels, np.zeros(len(inputs), np.int32), splits, facts)
