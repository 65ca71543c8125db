"""`trm eval`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from numpy.typing import NDArray

from trm_jax.commands import common
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions, ask, trained_rows
from trm_jax.data.sources import open_test_data, open_training_data, training_data_path
from trm_jax.distributed import is_first, together
from trm_jax.errors import EXIT_DONE, UserError
from trm_jax.evaluate import evaluate, make_scorer
from trm_jax.evaluate_halting import evaluate_halting
from trm_jax.halting import Halt
from trm_jax.trained import Trained, load

HELDOUT = "heldout"
SHOW_EVERY = 16
COLUMNS = {
    "exact_accuracy": "  exact",
    "cell_accuracy": "  cells",
    "valid_path": "  paths",
    "shortest_path": "shortest",
    "halt_auc": "halt AUC",
    "halt_error": "halt error",
}


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    common.define_checkpoint(values)
    common.define_processes(values)
    data = "Dataset directory, CSV or CSV.gz file, or 'hub'; default: the run's own data set."
    flags.DEFINE_string("data", None, data, flag_values=values)
    split = "Split to score; default: 'test' of --data, 'heldout' of the run's own data set."
    flags.DEFINE_string("split", None, split, flag_values=values)
    flags.DEFINE_integer("batch_size", None, "Puzzles per call.", flag_values=values)
    common.define_voting(values)
    tasks = "ARC: the first so many tasks; 0 for all."
    flags.DEFINE_integer("max_tasks", 0, tasks, lower_bound=0, flag_values=values)
    flags.DEFINE_bool("halt", False, "Stop each puzzle once it is believed.", flag_values=values)
    sure = "--halt: halting probability above which an answer is believed."
    flags.DEFINE_float("halt_threshold", 0.5, sure, flag_values=values)
    flags.DEFINE_integer("halt_least", 1, "--halt: steps at least.", flag_values=values)
    same = "--halt: the answer has to be the same after so many steps in a row."
    flags.DEFINE_integer("halt_patience", 1, same, flag_values=values)
    unknown = "ARC: what to do about copies without a row in the puzzle table."
    flags.DEFINE_enum("unknown_rows", "refuse", ["refuse", "blank"], unknown, flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON line only.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Scores a checkpoint at every depth.

    trm eval --workdir DIR [--data FILE.csv.gz] [--steps 64] [--json]
    trm eval --workdir DIR --halt [--steps 16] [--halt-threshold 0.9]
    trm eval --workdir DIR --split test [--max-tasks 40] [--max-augmentations 100]   (ARC)

    Scores the averaged weights of the checkpoint that did best on held-out puzzles. The result is
    also written to DIR/eval/. With --halt a puzzle stops once the halting head believes in its
    answer, and the next one takes its place. For ARC there is a submission in Kaggle's form: all
    copies of a test are predicted, mapped back, and vote.
    """
    common.refuse_rest(rest)
    workdir = common.need(values, "workdir")
    common.join(values)
    with together():
        return _eval(workdir, values)


def _eval(workdir: str, values: flags.FlagValues) -> int:
    trained = load(workdir, values.checkpoint)
    dataset, data, split = _puzzles(trained, values)
    most = dataset.manifest.get("copies", 0)
    if values.max_augmentations is not None:
        most = values.max_augmentations
    questions = ask(dataset, split, most, values.max_tasks)
    rows = trained_rows(questions, trained.rows, blank=values.unknown_rows == "blank")
    size = trained.experiment.eval_batch_size if values.batch_size is None else values.batch_size
    if size < 1:
        raise UserError(f"--batch_size is {size}; give 1 or more puzzles.")
    result = _result(trained, questions, rows, size, values)
    if not is_first():
        return EXIT_DONE
    written = trained.workdir.write_evaluation(
        result,
        data=data,
        split=split,
        fingerprint=dataset.manifest["fingerprint"],
        checkpoint=trained.step,
    )
    print(json.dumps(written) if values.json else table(written))
    return EXIT_DONE


def _result(
    trained: Trained,
    questions: Questions,
    rows: NDArray[np.int32],
    batch_size: int,
    values: flags.FlagValues,
) -> dict[str, Any]:
    steps = common.depth(values, trained.model.config.N)
    how: dict[str, Any] = {"batch_size": batch_size, "mesh": trained.mesh, "voting": values.voting}
    if values.halt:
        rule = Halt(steps, values.halt_least, values.halt_threshold, values.halt_patience)
        return evaluate_halting(trained.model, trained.weights, questions, rows, halt=rule, **how)
    for name in ("halt_threshold", "halt_least", "halt_patience"):
        if values[name].present:
            raise UserError(f"--{name} says when to halt; add --halt, or leave it out.")
    scorer = make_scorer(trained.model, trained.mesh, steps)
    return evaluate(scorer, trained.weights, questions, rows, **how)


def _puzzles(trained: Trained, values: flags.FlagValues) -> tuple[Dataset, str, str]:
    """The data set to score on, its name, and the split."""
    if values.data is not None:
        return open_test_data(values.data, trained.manifest), values.data, values.split or "test"
    cache = Path(trained.workdir.data)
    dataset = open_training_data(trained.experiment.data, cache)
    own = HELDOUT if HELDOUT in dataset.splits else "test"
    return dataset, str(training_data_path(trained.experiment.data, cache)), values.split or own


def table(result: dict[str, Any]) -> str:
    """Accuracy and calibration by depth: all of 1 to 16, then every sixteenth, and the last."""
    rows = result["by_depth"] or [result]
    columns = [(key, name) for key, name in COLUMNS.items() if key in rows[-1]]
    lines = ["depth  " + "  ".join(name for _, name in columns)]
    if result.get("halting"):
        cells = (_cell(key, result[key]).rjust(len(name)) for key, name in columns)
        lines.append(f"{result['steps_used']:5.2f}  " + "  ".join(cells))
    for row in result["by_depth"]:
        depth = row["depth"]
        if depth > SHOW_EVERY and depth % SHOW_EVERY and depth < result["steps_used"]:
            continue
        cells = (_cell(key, row[key]).rjust(len(name)) for key, name in columns)
        lines.append(f"{depth:5}  " + "  ".join(cells))
    what = "puzzles"
    if "voting" in result:
        what = f"copies of {result['tests']} tests of {result['tasks']} tasks"
        passes = [f"{key} {value:.2%}" for key, value in result.items() if key.startswith("pass@")]
        lines.append(f"vote ({result['voting']}): {', '.join(passes) or 'no answers are known'}")
        lines.append(f"wrote {result['submission']}")
    lines.append(
        f"{result['data']} [{result['split']}]: {result['examples']} {what}, checkpoint "
        f"{result['checkpoint']}, {result['seconds']:.1f} s"
    )
    return "\n".join(lines)


def _cell(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if key.startswith("halt") else f"{value:.2%}"
