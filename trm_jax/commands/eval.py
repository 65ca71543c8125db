"""`trm eval`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from numpy.typing import NDArray

from trm_jax.commands import chain_flags, common, model_flags, search_flags
from trm_jax.commands.eval_tables import curve_table, table
from trm_jax.core.distributed import is_first, together
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.memory import enough_memory
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions, trained_rows
from trm_jax.infer.chain_search import Limits
from trm_jax.infer.evaluate import evaluate
from trm_jax.infer.evaluate_chains import evaluate_chains
from trm_jax.infer.evaluate_curve import evaluate_curve
from trm_jax.infer.evaluate_search import evaluate_search
from trm_jax.infer.halting import Halt
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.search import Search
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.models.weights import Weights
from trm_jax.show.curves import write_curve
from trm_jax.tasks.sources import count_trained, open_own_data, open_test_data, training_data_path
from trm_jax.tasks.task import task_of
from trm_jax.tasks.views import ask
from trm_jax.train.trained import Trained, load

HELDOUT = "heldout"


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    model_flags.define(values)
    common.define_checkpoint(values)
    common.define_processes(values)
    data = "Dataset directory, .csv or .csv.gz file, or 'hub'; default: the run's own dataset."
    flags.DEFINE_string("data", None, data, flag_values=values)
    split = "Split to evaluate; default: 'test' of --data, 'heldout' of the run's own dataset."
    flags.DEFINE_string("split", None, split, flag_values=values)
    size = "Puzzles per batch; default: config.eval_batch_size of the run."
    flags.DEFINE_integer("batch_size", None, size, flag_values=values)
    common.define_voting(values)
    tasks = "Evaluate only this many tasks (ARC), the first ones; 0 for all."
    flags.DEFINE_integer("max_tasks", 0, tasks, lower_bound=0, flag_values=values)
    search_flags.define(values)
    chain_flags.define(values)
    curve = "Measure accuracy against compute, and write it as .csv and .png beside the evaluation."
    flags.DEFINE_bool("curve", False, curve, flag_values=values)
    unknown = "Copies without a row in the puzzle table: stop with an error, or use the blank row."
    flags.DEFINE_enum("unknown_rows", "refuse", ["refuse", "blank"], unknown, flag_values=values)
    flags.DEFINE_bool("json", False, "Print the result as one JSON line.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Evaluates a checkpoint at every number of supervision steps ("depth").

    Usage:
      trm eval --workdir DIR | --model NAME [--data FILE.csv.gz] [--steps 64] [--json]
      trm eval --workdir DIR --halt [--steps 16] [--halt_threshold 0.9]
      trm eval --workdir DIR --rollouts 16 --noise 0.3 [--halt] [--select majority]
      trm eval --workdir DIR --copies 9 --symmetry digits [--checkpoints 800,1000,1200]
      trm eval --workdir DIR --curve [--steps 64] [--rollouts 16 --noise 0.3]
      trm eval --workdir DIR --split test [--max_tasks 40] [--max_augmentations 100]   (ARC)
      trm eval --workdir DIR [--passes 4096] [--chains 64] [--nosearch]   (lattice models)

    Evaluates the averaged weights (EMA) of the checkpoint with the best held-out accuracy, and
    writes the result to DIR/eval/ as well. With --halt a puzzle stops as soon as the halting head
    is confident, and the next puzzle takes its slot in the batch. A search (--rollouts, --copies,
    --checkpoints) runs each puzzle several times and selects one of the answers. For ARC, all
    augmented copies of a test vote, and a submission in Kaggle's format is written. A lattice
    model is evaluated twice: with one chain of --steps rounds, and with a search that answers or
    abstains.
    """
    common.refuse_rest(rest)
    model_flags.check(values)
    common.join(values)
    with together():
        return _eval(values)


def _eval(values: flags.FlagValues) -> int:
    first, *others = search_flags.checkpoints(values)
    trained = model_flags.load_model(values, first)
    weights = [
        trained.weights,
        *(load(trained.workdir.root, step, mesh=trained.mesh).weights for step in others),
    ]
    dataset, data, split = _puzzles(trained, values)
    questions = _questions(dataset, split, values)
    rows = trained_rows(questions, trained.rows, blank=values.unknown_rows == "blank")
    with enough_memory("trm eval", "--batch_size"):
        result = _result(trained, weights, questions, rows, values)
    if not is_first():
        return EXIT_DONE
    if seen := _seen(trained, dataset, split, values):
        result["trained_on"] = seen
        print(
            f"trm: the model was trained on {seen:,} of these {len(questions):,} puzzles, so the "
            "score is not one of new puzzles.",
            file=sys.stderr,
        )
    curve, unwritten = result.get("curve"), None
    about = {
        "data": data,
        "split": split,
        "fingerprint": dataset.manifest["fingerprint"],
        "checkpoint": trained.step,
    }
    try:
        written = trained.workdir.write_evaluation(result, **about)
        if curve:
            written |= write_curve(written, written["file"].removesuffix(".json"))
    except UserError as error:  # the result may have taken hours: print it even if unwritten
        written, unwritten = about | result, error
    if values.json:
        print(json.dumps(written))
    else:
        scores = task_of(dataset.manifest).scores
        print(curve_table(written) if curve else table(written, scores))
    if unwritten:
        raise unwritten
    return EXIT_DONE


def _seen(trained: Trained, dataset: Dataset, split: str, values: flags.FlagValues) -> int:
    """Number of puzzles of --data that were trained on; tasks with copies refuse those."""
    if values.data is None or task_of(dataset.manifest).grouped:
        return 0
    return count_trained(trained.experiment.data, Path(trained.workdir.data), dataset, split)


def _questions(dataset: Dataset, split: str, values: flags.FlagValues) -> Questions:
    """The questions to evaluate on.

    Raises:
      UserError: a flag is given that is only for tasks in which augmented copies vote.
    """
    task = task_of(dataset.manifest)
    if not task.grouped:
        for name in ("voting", "max_augmentations", "max_tasks", "unknown_rows"):
            if values[name].present:
                task.lacks("copies that vote", f"leave --{name} out")
    copies = dataset.manifest.get("copies", 0) if task.grouped else 0
    if values.max_augmentations is not None:
        copies = values.max_augmentations
    return ask(dataset, split, copies, values.max_tasks)


def _result(
    trained: Trained,
    checkpoints: list[Weights],
    questions: Questions,
    rows: NDArray[np.int32],
    values: flags.FlagValues,
) -> dict[str, Any]:
    steps = common.depth(values, trained.model.config.N)
    size = trained.experiment.eval_batch_size if values.batch_size is None else values.batch_size
    if size < 1:
        raise UserError(f"--batch_size is {size}; give 1 or more puzzles.")
    model = trained.model
    if isinstance(model, LatticeModel):
        return _deduced(trained, model, questions, rows, values, steps, size)
    chain_flags.refuse_all(values, trained.experiment.model.kind)
    how: dict[str, Any] = {"batch_size": size, "mesh": trained.mesh}
    search = search_flags.search(values, steps)
    tried = (model, checkpoints, questions, rows)
    if values.curve:
        if values.halt or values.select:
            raise UserError(
                "--curve measures all ways to halt and select; leave --halt and --select out."
            )
        search = search or Search(Halt(max_steps=steps, threshold=1.0))
        return evaluate_curve(*tried, search=search, **how)
    how["voting"] = values.voting or ""
    if search:
        return evaluate_search(*tried, search=search, **how)
    rollout = Rollout(model, trained.mesh, steps, min(size, len(questions)))
    return evaluate(rollout, trained.weights, questions, rows, voting=how["voting"])


def _deduced(
    trained: Trained,
    model: LatticeModel,
    questions: Questions,
    rows: NDArray[np.int32],
    values: flags.FlagValues,
    steps: int,
    batch_size: int,
) -> dict[str, Any]:
    """The scores of a lattice model: of one chain, and with search unless --nosearch is given."""
    search = chain_flags.make_search(values, trained, model, batch_size)
    rollout = Rollout(model, trained.mesh, steps, min(batch_size, len(questions)))
    result = evaluate(rollout, trained.weights, questions, rows)
    if search is None:
        return result
    limits = search.limits
    seed = f"-seed{limits.seed}" if limits.seed else ""
    how = f"depth{steps}-passes{limits.passes}-chains{limits.chains}"
    how += f"-rounds{limits.rounds}" * (limits.rounds != Limits().rounds)
    how += f"-seconds{limits.seconds:g}" * (limits.seconds != Limits().seconds) + seed
    found = evaluate_chains(search, trained.weights.params, questions)
    return result | {"chain_search": found, "how": how}


def _puzzles(trained: Trained, values: flags.FlagValues) -> tuple[Dataset, str, str]:
    """The dataset to evaluate on, its name, and the split."""
    if values.data is not None:
        return open_test_data(values.data, trained.manifest), values.data, values.split or "test"
    cache = Path(trained.workdir.data)
    dataset = open_own_data(trained.experiment.data, cache)
    own = HELDOUT if HELDOUT in dataset.splits else "test"
    return dataset, str(training_data_path(trained.experiment.data, cache)), values.split or own
