"""Evaluation of a lattice model with search: solved, wrong, abstained, and the compute used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.questions import Questions
from trm_jax.infer.chain_search import ChainSearch, Found
from trm_jax.tasks.task import task_of


def evaluate_chains(search: ChainSearch, params: Any, questions: Questions) -> dict[str, Any]:
    """Searches for the answer to every question, and scores the answers.

    Args:
      search: search of the model.
      params: dense parameters of the model.
      questions: from `tasks.views.ask`.

    Returns:
      Shares of all puzzles: `solved` (the answer equals the label or satisfies the rules),
      `other_solution` (it satisfies the rules but is not the label, so the puzzle has several
      solutions), `wrong` (any other answer) and `abstained`; means over all puzzles: `rounds`,
      `passes` (network passes of all chains) and `chains`, and `passes_median`; `tflop`, TFLOP per
      puzzle of those passes, by formula; `curve`, a list of {"passes", "solved"}: the share of
      puzzles solved with at most that many passes; the `limits`; `examples`; and `seconds`,
      including compilation.
    """
    inputs, labels, _ = questions.show(np.arange(len(questions)))
    found = search(params, inputs)
    right, other = _right(questions, inputs, labels, found)
    answered, count = found.solved, len(questions)
    flops = search.model.step_flops(1, train=False)
    limits = search.limits
    return {
        "solved": float(right.mean()),
        "other_solution": float(other.mean()),
        "wrong": float((answered & ~right).mean()),
        "abstained": float((~answered).mean()),
        "rounds": float(found.rounds.mean()),
        "passes": float(found.passes.mean()),
        "passes_median": float(np.median(found.passes)),
        "chains": float(found.chains.mean()),
        "tflop": float(found.passes.mean() * flops / 1e12),
        "curve": _curve(found, right),
        "limits": {
            "passes": limits.passes,
            "chains": limits.chains,
            "rounds": limits.rounds,
            "seconds": limits.seconds if np.isfinite(limits.seconds) else None,
            "seed": limits.seed,
            "batch_size": search.batch_size,
        },
        "examples": count,
        "seconds": found.seconds,
    }


def _right(
    questions: Questions, inputs: NDArray[np.uint8], labels: NDArray[np.uint8], found: Found
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each answer is correct, and is so without being the label; bool [M] both."""
    shape = questions.dataset.manifest
    accepted = task_of(shape).accepts(shape, inputs, found.answers)
    same = questions.answered() & np.all(found.answers == labels, axis=1)
    lawful = ~questions.answered() if accepted is None else accepted
    right = found.solved & (same | lawful)
    return right, right & questions.answered() & ~same


def _curve(found: Found, right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Share of puzzles solved with at most n passes, for powers of two up to the maximum."""
    most = int(found.passes.max(initial=1))
    steps = [2**i for i in range(most.bit_length())]
    steps += [most] if most not in steps else []
    return [{"passes": n, "solved": float((right & (found.passes <= n)).mean())} for n in steps]
