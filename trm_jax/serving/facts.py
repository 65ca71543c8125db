"""What an export says of a trained model: only what was configured, counted or measured."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import jax

from trm_jax.data.views import ARC, kind_of
from trm_jax.tasks.maze.maze import DOT, Maze
from trm_jax.tasks.sudoku.sudoku import BLANKS, Sudoku
from trm_jax.train.trained import Trained

SCORES = ("exact_accuracy", "cell_accuracy", "valid_path", "shortest_path")
ABOUT = ("split", "fingerprint", "checkpoint", "examples", "tasks", "tests", "voting", "how")
KIND_KEYS = ("task", "box", "side", "vocab", "cells", "copies", "seed")


def kind_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What kind of puzzle a data set's manifest is of, and what its tokens mean.

    Returns:
      `kind`, from which `data.views.kind_of` and ARC's canvases are made; `tokens`, a word for
      each token id; `symbols`, the characters that are read as each, the first of which is written;
      none for ARC, whose grids are no text.
    """
    kind = {key: manifest[key] for key in KIND_KEYS if key in manifest}
    if manifest["task"] == ARC:
        tokens = ["pad", "edge of the grid", *(f"colour {colour}" for colour in range(10))]
        return {"kind": kind, "tokens": tokens, "symbols": None}
    puzzle = kind_of(manifest)
    if isinstance(puzzle, Sudoku):
        written = puzzle.symbols
        symbols = ["", BLANKS, *(s if s.isdigit() else s + s.lower() for s in written)]
        return {"kind": kind, "tokens": ["pad", "blank", *written], "symbols": symbols}
    assert isinstance(puzzle, Maze)
    tokens = ["pad", "wall", "free", "start", "goal", "path"]
    return {"kind": kind, "tokens": tokens, "symbols": ["", "#", " " + DOT, "S", "G", "o"]}


def training_facts(trained: Trained) -> dict[str, Any]:
    """How the model was trained, as far as others may know: no paths of this machine."""
    experiment, source = trained.experiment, trained.manifest.get("source", {})
    return {
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
    """What `trm eval` and the training loop measured of this very checkpoint, if anything."""
    found = []
    folder = trained.workdir.evaluations
    paths = sorted(folder.glob("*.json"), key=str) if folder.exists() else []
    for path in paths:
        try:
            record = json.loads(path.read_text())
        except ValueError:
            continue  # not written by us: `write_whole` leaves nothing half
        if not isinstance(record, dict) or record.get("checkpoint") != trained.step:
            continue
        scores = {k: v for k, v in record.items() if k in SCORES or k.startswith("pass@")}
        scores = {key: value for key, value in scores.items() if value is not None}
        if not scores:
            continue
        data = str(record.get("data", "")).replace(os.sep, "/")
        found.append(
            {
                "data": PurePosixPath(data).name,  # the rest of the path is nobody's business
                **{key: record[key] for key in ABOUT if key in record},
                "steps": record.get("steps_used"),
                "scores": scores,
            }
        )
    return found
