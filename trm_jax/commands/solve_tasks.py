"""`trm solve` for ARC."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from etils import epath

from trm_jax.commands import common, traces
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.files import write_whole
from trm_jax.data.format import Dataset
from trm_jax.models.weights import Weights
from trm_jax.serving.demonstrated import FIT_UPDATES, Effort, solve_tasks
from trm_jax.show.terminal import beside, render_arc, use_colour
from trm_jax.show.trace_page import Trace
from trm_jax.show.trace_record import trace_tasks
from trm_jax.tasks.arc.read import read_file, solutions_beside
from trm_jax.tasks.arc.records import Grid, Pair, Puzzle
from trm_jax.train.trained import Trained

EXIT_WRONG = 1
TRACE_NOTE = "The original copy of each test, whose answer is one vote of many."
_FLAGS = ("fit_updates", "fit_network", "seed", "out", "voting", "max_augmentations")


def define(values: flags.FlagValues) -> None:
    """Adds the flags that only ARC uses."""
    updates = f"ARC: updates on the demonstrations; default: {FIT_UPDATES} where rows are unknown."
    flags.DEFINE_integer("fit_updates", None, updates, lower_bound=0, flag_values=values)
    flags.DEFINE_bool("fit_network", False, "ARC: fit the network, too.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "ARC: of the fit.", lower_bound=0, flag_values=values)
    flags.DEFINE_string("out", None, "ARC: where to write submission.json.", flag_values=values)


def refuse(values: flags.FlagValues) -> None:
    """Refuses ARC's flags for a model of other puzzles."""
    for name in _FLAGS:
        if values[name].present:
            raise UserError(f"--{name} is for ARC, and the model is not; leave it out.")


def run(values: flags.FlagValues, rest: Sequence[str], trained: Trained) -> int:
    """Answers the tasks of files; see `trm solve`."""
    if values.picture or values.show:
        raise UserError("--picture and --show are for Sudokus and mazes; `trm show` draws tasks.")
    tasks = _read(rest)
    copies = values.max_augmentations
    effort = Effort(
        copies=int(trained.manifest["copies"]) if copies is None else copies,
        updates=values.fit_updates,
        network=values.fit_network,
        steps=common.depth(values, trained.model.config.N),
        voting=values.voting,
        seed=values.seed,
    )
    count = sum(len(task.tests) for task in tasks)
    shown: list[Trace] = []

    def look(weights: Weights, dataset: Dataset) -> None:
        if most := traces.wanted(values, count):
            shown.extend(trace_tasks(trained, weights, dataset, effort.steps, most))

    result = solve_tasks(trained, tasks, effort, ", ".join(rest), look)
    solved = True
    for task in tasks:
        attempts = result["submission"][task.name]
        right = [_right(test, two) for test, two in zip(task.tests, attempts, strict=True)]
        solved &= False not in right
        if values.json:
            print(json.dumps({"task": task.name, "attempts": attempts, "right": right}))
        else:
            print(_describe(task, attempts, right))
    if values.out:
        write_whole(epath.Path(values.out), json.dumps(result["submission"]) + "\n")
        print(f"wrote {values.out}", file=sys.stderr)
    if shown:
        traces.write(values, shown, count, TRACE_NOTE)
    print(
        f"{result['unknown_rows']:,} rows of the puzzle table were unknown; "
        f"{result['fitted']} updates on the demonstrations; {result['examples']:,} copies voted",
        file=sys.stderr,
    )
    return EXIT_DONE if solved else EXIT_WRONG


def _read(files: Sequence[str]) -> list[Puzzle]:
    if not files:
        raise UserError("There is no task to solve; give a JSON file in the form of ARC's.")
    tasks: list[Puzzle] = []
    for name in files:
        path = Path(name)
        tasks += read_file(path, solutions_beside(path))
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"task {name} is given twice; leave one of them out.")
    return tasks


def _right(test: Pair, attempts: dict[str, Any]) -> bool | None:
    """Whether one of the attempts is right; None where nobody knows."""
    if test.output is None:
        return None
    return test.output.tolist() in attempts.values()


def _mark(grid: list[list[int]], answer: Grid | None) -> str:
    if answer is None:
        return ""
    return " ✓" if grid == answer.tolist() else " ✗"


def _describe(task: Puzzle, attempts: Sequence[dict[str, Any]], right: Sequence[bool | None]) -> str:
    colour = use_colour("auto", sys.stdout)
    width = shutil.get_terminal_size((100, 24)).columns
    lines = []
    for number, (test, two) in enumerate(zip(task.tests, attempts, strict=True), 1):
        titles, boards = ["test"], [render_arc(test.input, colour)]
        for place, grid in enumerate(two.values(), 1):
            titles.append(f"attempt {place}{_mark(grid, test.output)}")
            boards.append(render_arc(np.asarray(grid, np.uint8), colour))
        lines.append(beside(boards, titles, width))
        verdict = {None: "nobody told the answer", True: "solved", False: "NOT solved"}
        lines.append(f"task {task.name}, test {number}: {verdict[right[number - 1]]}")
    return "\n".join(lines)
