#!/usr/bin/env python3
"""Scores of two baselines without a model on a dataset, as in `trm eval`.

    python benchmarks/baselines.py runs/NAME/data [--split heldout]

"question" takes the question itself as the answer; "constant" fills each open cell with the token
that is most frequent in this cell in the answers of the training puzzles. Prints one JSON line.
"""

import argparse
import json

import numpy as np
from numpy.typing import NDArray

from trm_jax.data.format import Dataset
from trm_jax.tasks.sources import load
from trm_jax.tasks.task import task_of


def baselines(dataset: Dataset, split: str) -> dict[str, dict[str, float]]:
    """Exact accuracy and cell accuracy of each baseline.

    Args:
      dataset: a dataset with a training split.
      split: name of the split to score.
    """
    task = task_of(dataset.manifest)
    open_tokens = task.board(dataset.manifest).open_tokens
    trained = dataset.labels[dataset.examples("train")]
    vocab = int(dataset.manifest["vocab"])
    often = np.stack([np.bincount(cell, minlength=vocab) for cell in trained.T]).argmax(1)
    index = dataset.examples(split)
    questions, labels = dataset.inputs[index], dataset.labels[index]
    constant = np.where(np.isin(questions, open_tokens), often.astype(np.uint8), questions)
    return {"question": _scores(questions, labels), "constant": _scores(constant, labels)}


def _scores(answers: NDArray[np.uint8], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Scores as an evaluation does; padding in labels is not scored."""
    scored = labels > 0
    right = (answers == labels) & scored
    exact = float((right == scored).all(1).mean())
    cells = float((right.sum(1) / scored.sum(1)).mean())
    return {"exact_accuracy": round(exact, 4), "cell_accuracy": round(cells, 4)}


def main() -> None:
    """Prints the scores of a dataset directory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="dataset directory of `trm data`")
    parser.add_argument("--split", default="heldout")
    options = parser.parse_args()
    print(json.dumps(baselines(load(options.data), options.split)))


if __name__ == "__main__":
    main()
