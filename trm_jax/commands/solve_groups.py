"""`trm solve` for puzzles with demonstrations (ARC)."""

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags
from etils import epath

from trm_jax.commands import common, traces
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.files import write_whole
from trm_jax.infer.rollout import Rollout
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.models.weights import Weights
from trm_jax.serving.demonstrated import FIT_UPDATES, Attempted, Effort, attempted, solve_groups
from trm_jax.show.panels import Panel
from trm_jax.show.terminal import beside, render, use_colour
from trm_jax.show.trace_page import Trace
from trm_jax.show.trace_record import trace_groups
from trm_jax.tasks.board import Board
from trm_jax.tasks.task import task_of
from trm_jax.train.trained import Trained

EXIT_WRONG = 1
TRACE_NOTE = "The original copy of each test, whose answer is one vote of many."
_FLAGS = ("fit_updates", "fit_network", "seed", "out", "voting", "max_augmentations")


def define(values: flags.FlagValues) -> None:
    """Adds the flags that are for puzzles with demonstrations."""
    updates = f"Updates of training on the demonstrations; default: {FIT_UPDATES} if rows of the "
    updates += "puzzle table are missing, else 0."
    flags.DEFINE_integer("fit_updates", None, updates, lower_bound=0, flag_values=values)
    network = "Train the network as well as the puzzle table in these updates."
    flags.DEFINE_bool("fit_network", False, network, flag_values=values)
    seed = (
        "Seed of the random numbers of a lattice model's search, or of fitting on demonstrations."
    )
    flags.DEFINE_integer("seed", 0, seed, lower_bound=0, flag_values=values)
    out = "JSON file for the submission in Kaggle's format (ARC)."
    flags.DEFINE_string("out", None, out, flag_values=values)


def refuse(values: flags.FlagValues, trained: Trained) -> None:
    """Refuses these flags for a model of puzzles without demonstrations."""
    for name in _FLAGS:
        searches = name == "seed" and isinstance(trained.model, LatticeModel)
        if values[name].present and not searches:
            task = task_of(trained.manifest)
            task.lacks("puzzles with demonstrations", f"leave --{name} out")


def run(values: flags.FlagValues, rest: Sequence[str], trained: Trained) -> int:
    """Answers the puzzles of files; see `trm solve`."""
    if values.picture or values.show:
        raise UserError("--picture and --show are not for ARC tasks; use `trm show`.")
    if not rest:
        raise UserError("There is no puzzle to solve; give a JSON file of ARC tasks.")
    copies = values.max_augmentations
    effort = Effort(
        copies=int(trained.manifest["copies"]) if copies is None else copies,
        updates=values.fit_updates,
        network=values.fit_network,
        steps=common.depth(values, trained.model.config.N),
        voting=values.voting or "",
        seed=values.seed,
    )
    task = task_of(trained.manifest)
    dataset = task.groups_of_files(list(rest), trained.manifest, effort.copies)
    count = len(dataset.examples("test"))
    shown: list[Trace] = []

    def look(weights: Weights) -> None:
        if most := traces.wanted(values, count):
            size = min(trained.experiment.eval_batch_size, most)
            rollout = Rollout(trained.model, trained.mesh, effort.steps, size, confidence=True)
            shown.extend(trace_groups(rollout, weights, dataset, most))

    result = solve_groups(trained, dataset, effort, look)
    tests = attempted(dataset, result["submission"])
    board = task.board(dataset.manifest)
    for name in dict.fromkeys(test.name for test in tests):
        mine = [test for test in tests if test.name == name]
        print(_line(name, mine, result) if values.json else _describe(board, name, mine))
    if values.out:
        write_whole(epath.Path(values.out), json.dumps(result["submission"]) + "\n")
        print(f"wrote {values.out}", file=sys.stderr)
    if shown:
        traces.write(values, trained.workdir.root.name, shown, count, TRACE_NOTE)
    print(
        f"{result['unknown_rows']:,} rows were missing in the puzzle table; "
        f"{result['fitted']} updates on the demonstrations; {result['examples']:,} copies voted",
        file=sys.stderr,
    )
    return EXIT_WRONG if any(test.right is False for test in tests) else EXIT_DONE


def _line(name: str, tests: Sequence[Attempted], result: dict[str, Any]) -> str:
    """One JSON line for a puzzle."""
    right = [test.right for test in tests]
    return json.dumps({"task": name, "attempts": result["submission"][name], "right": right})


def _describe(board: Board, name: str, tests: Sequence[Attempted]) -> str:
    colour = use_colour("auto", sys.stdout)
    width = shutil.get_terminal_size((100, 24)).columns
    mark = {None: "", True: " ✓", False: " ✗"}
    verdict = {None: "the correct answer is unknown", True: "solved", False: "NOT solved"}
    lines = []
    for number, test in enumerate(tests, 1):
        panels = [Panel("test", test.question)]
        for place, grid in enumerate(test.attempts, 1):
            panels.append(Panel(f"attempt {place}{mark[test.is_right(grid)]}", grid))
        boards = [render(board, panel, colour) for panel in panels]
        lines.append(beside(boards, [panel.title for panel in panels], width))
        lines.append(f"task {name}, test {number}: {verdict[test.right]}")
    return "\n".join(lines)
