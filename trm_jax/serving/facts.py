"""The facts about a trained model in an export: configured, counted or measured values only."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import jax

from trm_jax.released.measured import SEARCHED
from trm_jax.tasks.task import task_of
from trm_jax.train.trained import Trained

ABOUT = ("split", "fingerprint", "checkpoint", "examples", "tasks", "tests", "voting", "how")
FORM_KEYS = ("task", "vocab", "cells", "copies", "seed")


def kind_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of puzzle in a dataset's manifest, and the meaning of its tokens.

    Returns:
      `kind`, the shape of the puzzles (`tasks.task.Shape`); `tokens`, a word for each token id;
      `symbols`, the characters that are read as each token, of which the first is written, or with
      a `separator` one word each, or None if puzzles are not text; `canvas`, if grids differ in
      size, how they lie in the S cells (`load.Program`).
    """
    task = task_of(manifest)
    keys = (*FORM_KEYS[:1], *task.shape_keys, *FORM_KEYS[1:])
    kind = {key: manifest[key] for key in keys if key in manifest}
    board, symbols = task.board(manifest), task.symbols(manifest)
    facts = {
        "kind": kind,
        "tokens": [token.word for token in board.tokens],
        "symbols": None if symbols is None else list(symbols),
        "separator": task.separator(manifest),
    }
    end = task.row_end(manifest)
    return facts | ({"canvas": {"columns": board.columns, "row_end": end}} if end else {})


def training_facts(trained: Trained) -> dict[str, Any]:
    """The public facts about a model's training, without paths of this machine."""
    experiment, source = trained.experiment, trained.manifest.get("source", {})
    released = {} if trained.card is None else {"released_as": trained.card["dtype"]}
    return released | {
        "name": experiment.name,
        "checkpoint": trained.step,
        "seed": experiment.seed,
        "data_fingerprint": trained.manifest["fingerprint"],
        "data_source": {k: v for k, v in source.items() if k in ("kind", "repository", "version")},
        # of the network; rows of the puzzle table are not counted
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(trained.weights.params)),
        "model": dataclasses.asdict(trained.model.config),
    }


def measured_scores(trained: Trained) -> list[dict[str, Any]]:
    """The scores of this checkpoint, without search, that `trm eval` and training have measured."""
    if trained.card is not None:
        # an exported program does not search
        measured = [entry for entry in trained.card["measured"] if entry["what"] != SEARCHED]
        return [_of_card(entry, trained.step) for entry in measured]
    found = []
    known = {"exact_accuracy", "cell_accuracy", *task_of(trained.manifest).scores}
    folder = trained.workdir.evaluations
    paths = sorted(folder.glob("*.json"), key=str) if folder.exists() else []
    for path in paths:
        try:
            record = json.loads(path.read_text())
        except ValueError:
            continue  # another program's file: `write_whole` never leaves incomplete files
        if not isinstance(record, dict) or record.get("checkpoint") != trained.step:
            continue
        scores = {k: v for k, v in record.items() if k in known or k.startswith("pass@")}
        scores = {key: value for key, value in scores.items() if value is not None}
        if not scores:
            continue
        data = str(record.get("data", "")).replace(os.sep, "/")
        found.append(
            {
                "data": PurePosixPath(data).name,  # the rest of the path is private
                **{key: record[key] for key in ABOUT if key in record},
                "steps": record.get("steps_used"),
                "scores": scores,
            }
        )
    return found


def _of_card(entry: Mapping[str, Any], step: int) -> dict[str, Any]:
    """A measurement of a released model in the form of those in eval/."""
    return {
        "data": entry.get("data", "?"),
        **{key: entry[key] for key in ABOUT if key in entry},
        "checkpoint": step,
        "examples": entry["puzzles"],
        "steps": entry.get("steps"),
        "scores": {entry["what"]: entry["value"]},
    }
