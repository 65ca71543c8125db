"""`trm show`."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from trm_jax.commands import common, model_flags
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.numerics import halting_probability
from trm_jax.data.format import MANIFEST, Dataset
from trm_jax.data.questions import Questions, trained_rows
from trm_jax.infer.rollout import Rollout
from trm_jax.show import figures, pictures, terminal
from trm_jax.show.exhibits import Predictions, board_of, choose, exhibits, find, pick
from trm_jax.show.panels import Exhibit
from trm_jax.tasks.board import Board
from trm_jax.tasks.sources import load as load_dataset
from trm_jax.tasks.sources import open_own_data, open_test_data
from trm_jax.tasks.task import TASKS, Task
from trm_jax.train.trained import Trained
from trm_jax.train.workdir import WorkDir

OURS = ("config.json", "data.json", MANIFEST, "sweep.json")
"""Metadata files of runs, sweeps and datasets; none contains puzzles."""
SPLIT_ORDER = ("test", "heldout", "train")
"""Splits in the order in which one is chosen, or searched for a named puzzle."""
MOST = 50
"""Maximum number of puzzles, and of copies of the first one: a picture of more is too tall."""


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    model_flags.define(values)
    common.define_checkpoint(values)
    data = "Dataset directory, .csv or .csv.gz file, or 'hub', for the model; default: the run's "
    data += "own dataset."
    flags.DEFINE_string("data", None, data, flag_values=values)
    split = "Split to show; default: the first of test, heldout and train that has puzzles."
    flags.DEFINE_string("split", None, split, flag_values=values)
    task = "Names of the tasks to show (ARC), from any split; instead of --first and --count."
    flags.DEFINE_list("task", [], task, flag_values=values)
    count = "Number of puzzles to show."
    flags.DEFINE_integer("count", 3, count, 1, MOST, flag_values=values)
    first = "Index of the first puzzle to show, counted from 0 within the split."
    flags.DEFINE_integer("first", 0, first, lower_bound=0, flag_values=values)
    copies = "Number of augmented copies of the first puzzle to show as well."
    flags.DEFINE_integer("copies", 0, copies, 0, MOST, flag_values=values)
    picture = "PNG file to draw the puzzles to."
    flags.DEFINE_string("picture", None, picture, flag_values=values)
    modes = list(terminal.COLOUR_MODES)
    colour = "Colours in the terminal; 'auto' uses them if it supports them."
    flags.DEFINE_enum("colour", "auto", modes, colour, flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Draws puzzles, with or without a model's predictions.

    Usage:
      trm show DATASET_DIR | FILE.json [--task NAME,NAME] [--copies 3] [--picture out.png]
      trm show DIR
      trm show --workdir DIR | --model NAME [--data DATASET] [--split test] [--count 3]
               [--picture out.png]

    FILE.json contains ARC tasks in Kaggle's format; a directory of such files is accepted too.
    DIR is a run's work directory (--workdir may be left out). For a model, its predictions after
    the last supervision step are drawn beside the correct answers, with wrong cells marked and the
    halting probability.
    """
    figures.check_picture("--picture", values.picture)
    if not model_flags.given(values) and len(rest) == 1 and _is_workdir(Path(rest[0])):
        values["workdir"].value, rest = rest[0], []
    if not model_flags.given(values):
        board, shown = _of_source(values, rest)
    else:
        common.refuse_rest(rest)
        board, shown = _of_workdir(values)
    colour = terminal.use_colour(values.colour, sys.stdout)
    width = shutil.get_terminal_size().columns
    print("\n\n".join(terminal.show(board, exhibit, width, colour) for exhibit in shown))
    if values.picture:
        figures.save(pictures.figure(board, shown), values.picture)
        print(f"wrote {values.picture}", file=sys.stderr)
    return EXIT_DONE


def _of_source(values: flags.FlagValues, rest: Sequence[str]) -> tuple[Board, list[Exhibit]]:
    """Reads the puzzles that the argument names."""
    for name in ("data", "checkpoint", "steps"):
        if getattr(values, name) is not None:
            raise UserError(f"--{name} is for a model; add --workdir or --model.")
    if len(rest) != 1:
        raise UserError(
            "`trm show` needs one dataset directory or JSON file of ARC tasks, or --workdir, or "
            "--model."
        )
    path = Path(rest[0])
    _refuse_workdir(path)
    folders = [t for t in TASKS.all().values() if t.takes_directories and t.file_suffixes]
    tasks_inside = path.is_dir() and not (path / MANIFEST).exists() and any(path.glob("*.json"))
    if path.is_dir() and not (folders and tasks_inside):
        dataset = load_dataset(path)
        return board_of(dataset), _shown(dataset, values)
    readers = [t for t in TASKS.all().values() if path.suffix in t.file_suffixes]
    readers = folders if tasks_inside else readers
    if not readers:
        known = {suffix for task in TASKS.all().values() for suffix in task.file_suffixes}
        raise UserError(
            f"{path} is neither a directory nor a {' or '.join(sorted(known))} file; give a "
            "dataset that `trm data` wrote, or ARC tasks in Kaggle's format."
        )
    return _of_file(readers[0], path, values)


def _is_workdir(path: Path) -> bool:
    return path.is_dir() and WorkDir(path).config.exists()


def _refuse_workdir(path: Path) -> None:
    """Refuses metadata files of runs and datasets as a source of puzzles.

    Raises:
      UserError: the path is one of `OURS`; the message names the directory to give instead.
    """
    if path.name in OURS and path.is_file():
        raise UserError(
            f"{path} is neither a work directory nor a dataset nor a file of puzzles; give "
            f"--workdir {path.parent} for a run, or {path.parent} for a dataset."
        )


def _of_file(task: Task, path: Path, values: flags.FlagValues) -> tuple[Board, list[Exhibit]]:
    """The puzzles of a file; each is a dataset of its own, so duplicates are accepted."""
    datasets = task.dataset_of_file(path, values.copies)
    names = [dataset.rows.names[0] for dataset in datasets]
    picked = pick(names, str(path), values.first, values.count, values.task)
    shown = []
    for number, place in enumerate(picked):
        puzzles = choose(datasets[place], values.split or "test", 0, 1)
        shown += exhibits(datasets[place], puzzles, 0 if number else values.copies)
    return board_of(datasets[0]), shown


def _of_workdir(values: flags.FlagValues) -> tuple[Board, list[Exhibit]]:
    """The puzzles with a model's predictions."""
    trained = model_flags.load_model(values, values.checkpoint)
    steps = common.depth(values, trained.model.config.N)
    if values.data is None:
        cache = Path(trained.workdir.data)
        dataset = open_own_data(trained.experiment.data, cache)
    else:
        dataset = open_test_data(values.data, trained.manifest, scored=False)
    return board_of(dataset), _shown(dataset, values, trained, steps)


def _shown(
    dataset: Dataset, values: flags.FlagValues, trained: Trained | None = None, steps: int = 0
) -> list[Exhibit]:
    """The chosen puzzles of a dataset; with a model, its predictions after `steps` steps."""
    if values.split is None and values.task:
        puzzles = find(dataset, values.task, SPLIT_ORDER)
    else:
        split = values.split
        split = split or next(name for name in SPLIT_ORDER if len(dataset.splits.get(name, ())))
        puzzles = choose(dataset, split, values.first, values.count, values.task)
    if trained is None:
        return exhibits(dataset, puzzles, values.copies)
    return exhibits(dataset, puzzles, values.copies, lambda q: predict(trained, q, steps))


def predict(trained: Trained, questions: Questions, steps: int) -> Predictions:
    """Predicts the answers to all questions in one batch.

    Args:
      trained: the model.
      questions: M questions.
      steps: number of supervision steps.

    Returns:
      Predictions of the M questions after the last step.

    Raises:
      UserError: the model's puzzle table lacks rows of the questions.
    """
    rows = trained_rows(questions, trained.rows)
    rollout = Rollout(trained.model, trained.mesh, steps, len(questions))
    inputs, _, ids = questions.show(np.arange(len(questions)))
    found = rollout(trained.weights, inputs, rows[ids])
    return Predictions(found.predictions[-1], halting_probability(found.halt_logits[-1]))
