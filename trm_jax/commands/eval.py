"""`trm eval`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from trm_jax.commands import common
from trm_jax.data.sources import open_test_data, open_training_data, training_data_path
from trm_jax.errors import EXIT_DONE, UserError
from trm_jax.evaluate import evaluate, make_scorer
from trm_jax.trained import Trained, load

SHOW_EVERY = 16


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    common.define_checkpoint(values)
    data = "Dataset directory, CSV or CSV.gz file, or 'hub'; default: the run's own data set."
    flags.DEFINE_string("data", None, data, flag_values=values)
    split = "Split to score; default: 'test' of --data, 'heldout' of the run's own data set."
    flags.DEFINE_string("split", None, split, flag_values=values)
    flags.DEFINE_integer("batch_size", None, "Puzzles per call.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON line only.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Scores a checkpoint at every depth.

    trm eval --workdir DIR [--data FILE.csv.gz] [--steps 64] [--json]

    Scores the averaged weights of the checkpoint that did best on held-out puzzles. The result is
    also written to DIR/eval/.
    """
    common.refuse_rest(rest)
    trained = load(common.need(values, "workdir"), values.checkpoint)
    steps = common.depth(values, trained.model.config.N)
    size = trained.experiment.eval_batch_size if values.batch_size is None else values.batch_size
    if size < 1:
        raise UserError(f"--batch_size is {size}; give 1 or more puzzles.")
    result = _score(trained, values.data, values.split, steps, size)
    print(json.dumps(result) if values.json else table(result))
    return EXIT_DONE


def _score(
    trained: Trained, data: str | None, split: str | None, steps: int, batch_size: int
) -> dict[str, Any]:
    if data is None:
        cache = Path(trained.workdir.data)
        dataset = open_training_data(trained.experiment.data, cache)
        data, split = str(training_data_path(trained.experiment.data, cache)), split or "heldout"
    else:
        dataset, split = open_test_data(data, trained.manifest), split or "test"
    scorer = make_scorer(trained.model, trained.mesh, steps)
    result = evaluate(scorer, trained.weights, dataset, split, batch_size, trained.mesh)
    return trained.workdir.write_evaluation(
        result,
        data=data,
        split=split,
        fingerprint=dataset.manifest["fingerprint"],
        checkpoint=trained.step,
    )


def table(result: dict[str, Any]) -> str:
    """Accuracy and calibration by depth: all of 1 to 16, then every sixteenth, and the last."""
    lines = ["depth    exact    cells  halt AUC  halt error"]
    for row in result["by_depth"]:
        depth = row["depth"]
        if depth > SHOW_EVERY and depth % SHOW_EVERY and depth < result["steps_used"]:
            continue
        auc = "       -" if row["halt_auc"] is None else f"{row['halt_auc']:8.4f}"
        accuracy = f"{row['exact_accuracy']:7.2%}  {row['cell_accuracy']:7.2%}"
        lines.append(f"{depth:5}  {accuracy}  {auc}  {row['halt_error']:10.4f}")
    lines.append(
        f"{result['data']} [{result['split']}]: {result['examples']} puzzles, checkpoint "
        f"{result['checkpoint']}, {result['seconds']:.1f} s"
    )
    return "\n".join(lines)
