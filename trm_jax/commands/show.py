"""`trm show`."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.mesh import replicated, split_slots, whole_slots
from trm_jax.core.numerics import halting_probability
from trm_jax.data import format as dataset_format
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions, trained_rows
from trm_jax.infer.rollout import rollout
from trm_jax.show import figures as draw
from trm_jax.show import pictures as puzzle_page
from trm_jax.show import terminal
from trm_jax.show.exhibits import Predictions, board_kind, choose, exhibits, pick
from trm_jax.show.panels import Exhibit, Kind
from trm_jax.tasks.arc.build import build_tasks
from trm_jax.tasks.arc.read import read_file, solutions_beside
from trm_jax.tasks.arc.records import MOST_SIDE, Puzzle
from trm_jax.tasks.sources import open_test_data, open_training_data
from trm_jax.train.trained import Trained, load

MOST = 50
"""Puzzles, and copies of the first: pictures of more would be too high for those who look."""


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    common.define_checkpoint(values)
    data = "With --workdir: dataset directory, or a file as for `trm eval`; default: the run's own."
    flags.DEFINE_string("data", None, data, flag_values=values)
    split = "Default: the first of test, heldout and train that has puzzles."
    flags.DEFINE_string("split", None, split, flag_values=values)
    task = "ARC: show these tasks, NAME[,NAME], whatever --first and --count say."
    flags.DEFINE_list("task", [], task, flag_values=values)
    count = "Puzzles (ARC: tasks) to show."
    flags.DEFINE_integer("count", 3, count, 1, MOST, flag_values=values)
    first = "How many puzzles of the split to pass over."
    flags.DEFINE_integer("first", 0, first, lower_bound=0, flag_values=values)
    copies = "Show so many augmented copies of the first puzzle, too."
    flags.DEFINE_integer("copies", 0, copies, 0, MOST, flag_values=values)
    flags.DEFINE_string("picture", None, "PNG to write.", flag_values=values)
    modes = list(terminal.COLOUR_MODES)
    colour = "Whether the terminal shows colours."
    flags.DEFINE_enum("colour", "auto", modes, colour, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Draws puzzles, and what a model makes of them.

    trm show DATASET_DIR | FILE.json [--task NAME,NAME] [--copies 3] [--picture out.png]
    trm show --workdir DIR [--data DATASET] [--split test] [--count 3] [--picture out.png]

    FILE.json holds ARC tasks in Kaggle's form. With --workdir the answers of the run's model after
    its last step stand beside the right ones, wrong cells marked, with the halting probability.
    """
    if values.workdir is None:
        kind, shown = _of_source(values, rest)
    else:
        common.refuse_rest(rest)
        kind, shown = _of_workdir(values)
    if values.picture:
        draw.save(puzzle_page.figure(kind, shown), values.picture)
    colour = terminal.use_colour(values.colour, sys.stdout)
    width = shutil.get_terminal_size().columns
    print("\n\n".join(terminal.show(kind, exhibit, width, colour) for exhibit in shown))
    if values.picture:
        print(f"wrote {values.picture}", file=sys.stderr)
    return EXIT_DONE


def _of_source(values: flags.FlagValues, rest: Sequence[str]) -> tuple[Kind, list[Exhibit]]:
    """What the argument names."""
    for name in ("data", "checkpoint", "steps"):
        if getattr(values, name) is not None:
            raise UserError(f"--{name} belongs to a model; give its --workdir, too.")
    if len(rest) != 1:
        raise UserError(
            "`trm show` takes one dataset directory or JSON file of ARC tasks, or --workdir."
        )
    path = Path(rest[0])
    if path.is_dir():
        dataset = dataset_format.load(path)
        return board_kind(dataset), _shown(dataset, values)
    if path.suffix != ".json":
        raise UserError(
            f"{path} is no directory and no JSON file; give a data set that `trm data` wrote, or "
            "ARC tasks in Kaggle's form."
        )
    return None, _of_tasks(read_file(path, solutions_beside(path)), path, values)


def _of_tasks(tasks: list[Puzzle], path: Path, values: flags.FlagValues) -> list[Exhibit]:
    """Tasks of a file, each on canvases of its own: what is alike in two of them is no matter."""
    names = [task.name for task in tasks]
    picked = pick(names, str(path), values.first, values.count, values.task)
    shown = []
    for number, place in enumerate(picked):
        copies = 0 if number else values.copies
        dataset = build_tasks([tasks[place]], MOST_SIDE, copies, 0, str(path))
        puzzles = choose(dataset, values.split or "test", 0, 1)
        shown += exhibits(dataset, puzzles, copies)
    return shown


def _of_workdir(values: flags.FlagValues) -> tuple[Kind, list[Exhibit]]:
    """What a model makes of puzzles."""
    trained = load(values.workdir, values.checkpoint)
    steps = common.depth(values, trained.model.config.N)
    if values.data is None:
        cache = Path(trained.workdir.data)
        dataset = open_training_data(trained.experiment.data, cache)
    else:
        dataset = open_test_data(values.data, trained.manifest)
    return board_kind(dataset), _shown(dataset, values, trained, steps)


def _shown(
    dataset: Dataset, values: flags.FlagValues, trained: Trained | None = None, steps: int = 0
) -> list[Exhibit]:
    """The chosen puzzles of a data set; with answers after so many steps if there is a model."""
    split = values.split
    if split is None:
        order = ("test", "heldout", "train")
        split = next(name for name in order if len(dataset.splits.get(name, ())))
    puzzles = choose(dataset, split, values.first, values.count, values.task)
    if trained is None:
        return exhibits(dataset, puzzles, values.copies)
    return exhibits(dataset, puzzles, values.copies, lambda q: predict(trained, q, steps))


def predict(trained: Trained, questions: Questions, steps: int) -> Predictions:
    """Answers all questions in one batch, after so many supervision steps.

    Raises:
        UserError: the model's puzzle table lacks rows of the questions.
    """
    mesh, count = trained.mesh, len(questions)
    rows = trained_rows(questions, trained.rows)
    size = whole_slots(count, mesh)
    inputs, _, ids = questions.show(np.pad(np.arange(count), (0, size - count), mode="edge"))
    batch = split_slots((inputs.astype(np.int32), rows[ids].astype(np.int32)), mesh)
    run = jax.jit(
        lambda weights, inputs, ids: rollout(trained.model, weights, inputs, ids, steps, mesh),
        out_shardings=replicated(mesh),
    )
    path = jax.device_get(run(trained.weights, *batch))
    sure = halting_probability(path.halt_logits[-1, :count])
    return Predictions(np.asarray(path.predictions)[-1, :count], sure)
