"""Exports a trained model as a directory that needs only JAX to run."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

import trm_jax
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.data import format as dataset_format
from trm_jax.infer.rollout import Answers, Rollout
from trm_jax.models.weights import Weights
from trm_jax.serving import card, load
from trm_jax.serving.facts import kind_facts, measured_scores, training_facts
from trm_jax.serving.program import ANY, as_dicts, export_function
from trm_jax.tasks.sources import training_data_path
from trm_jax.train.trained import Trained

Arrays = dict[str, Any]
Array = NDArray[Any]

DTYPES = ("float32", "bfloat16")
ROW_NAMES = "rows.npz"
CHECKED = 8
MIN_SAME = 0.95
"""Minimum share of cells in which the export has to agree with the library, up to rounding."""


@dataclasses.dataclass(frozen=True)
class Form:
    """Settings of an export.

    Attributes:
      steps: supervision steps of the program.
      batch_size: questions per call, or "any".
      dtype: dtype of the stored weights, "float32" or "bfloat16"; computation is not affected.
      license: licence of the weights, an identifier of the hub.
    """

    steps: int
    batch_size: int | str = ANY
    dtype: str = "float32"
    license: str = "apache-2.0"


def save(trained: Trained, directory: str | os.PathLike[str], form: Form) -> dict[str, Any]:
    """Writes an export, after loading it and comparing its answers with the library's.

    Args:
      trained: the model, see `trained.load`.
      directory: a new or empty directory.
      form: settings of the export.

    Returns:
      The content of manifest.json, with the comparison under `check`.

    Raises:
      UserError: the directory is not empty or cannot be written, or the answers differ.
    """
    target = Path(directory)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target} is not empty; remove it, or give another --out.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            # a directory inside, since the one that `tempfile` makes is private (mode 0700)
            draft = Path(beside) / target.name
            draft.mkdir()
            manifest = _write(trained, draft, form)
            os.rename(draft, target)
    except OSError as error:
        raise UserError(
            f"{target}: the export cannot be written there ({error}); give another --out."
        ) from error
    return manifest


def _write(trained: Trained, draft: Path, form: Form) -> dict[str, Any]:
    weights, table = as_dicts(trained.weights)
    blob = export_function(trained.model, form.steps, weights, table.shape[1], form.batch_size)
    (draft / "program.bin").write_bytes(blob)
    named = {name: _stored(array, form.dtype) for name, array in _flat(weights).items()}
    np.savez(draft / "weights.npz", **named)  # type: ignore[arg-type]
    np.save(draft / "table.npy", _stored(table[: len(trained.rows)], form.dtype))
    files = ["program.bin", "weights.npz", "table.npy"]
    if trained.rows.grouped:
        rows = trained.rows
        names = np.asarray(rows.names)
        np.savez_compressed(
            draft / ROW_NAMES, tasks=names, first=rows.first, transforms=rows.transforms
        )
        files.append(ROW_NAMES)
    manifest = _manifest(trained, form, table.shape[1])
    manifest["sha256"] = {name: _digest(draft / name) for name in files}
    _write_manifest(draft, manifest)
    manifest["check"] = _check(trained, draft, weights, table)
    _write_manifest(draft, manifest)
    (draft / "load.py").write_text(Path(load.__file__).read_text("utf-8"), "utf-8")
    (draft / "README.md").write_text(card.model_card(manifest), "utf-8")
    return manifest


def _manifest(trained: Trained, form: Form, row_width: int) -> dict[str, Any]:
    c, batch = trained.model.config, "B" if form.batch_size == ANY else form.batch_size
    return {
        "trm_export": load.FORMAT_VERSION,
        "trm_jax": trm_jax.__version__,
        "jax": jax.__version__,
        "platforms": ["cpu", "cuda", "tpu"],
        **kind_facts(trained.manifest),
        "vocab": c.vocab,
        "cells": c.cells,
        "steps": form.steps,
        "batch_size": form.batch_size,
        "weights_dtype": form.dtype,
        "license": form.license,
        "inputs": {
            "inputs": {"shape": [batch, c.cells], "dtype": "int32"},
            "rows": {"shape": [batch, row_width], "dtype": "float32"},
        },
        "outputs": {
            "answers": {"shape": [form.steps, batch, c.cells], "dtype": "uint8"},
            "halt_logits": {"shape": [form.steps, batch], "dtype": "float32"},
        },
        "training": training_facts(trained),
        "scores": measured_scores(trained),
    }


def _check(trained: Trained, draft: Path, weights: Arrays, table: Array) -> dict[str, Any]:
    """Loads the export, and compares its answers with the library's own rollout."""
    questions, ids, what = _questions(trained)
    program = load.load(draft)
    steps, dtype = program.manifest["steps"], program.manifest["weights_dtype"]
    answers, halt_logits = program(questions, ids)

    def library(dtype: str) -> Answers:
        read = (load.floats(_stored(array, dtype)) for array in jax.tree.leaves(weights))
        tree = jax.tree.unflatten(jax.tree.structure(weights), read)
        rows = load.floats(_stored(table[ids], dtype))
        return _library(trained, tree, rows, questions, steps)

    own = library(dtype)
    same = answers[-1] == own.predictions[-1]
    if same.mean() < MIN_SAME:
        raise UserError(
            f"the exported program differs from the library in {1 - same.mean():.1%} of the cells, "
            "so nothing was written; this is a bug of the library, please report it."
        )
    check = {
        "compared_with": "the library's rollout, after the last step",
        "puzzles": len(questions),
        "what": what,
        "same_answers": int(same.all(axis=1).sum()),
        "same_cells": float(same.mean()),
        "largest_halt_logit_difference": float(np.abs(halt_logits - own.halt_logits).max()),
    }
    if dtype != "float32":  # compares with the unrounded weights as well
        exact = library("float32").predictions[-1]
        check["same_answers_as_unrounded"] = int((answers[-1] == exact).all(axis=1).sum())
    return check


def _library(
    trained: Trained, weights: Arrays, rows: Array, questions: Array, steps: int
) -> Answers:
    """The library's rollout of questions [m, S] with table rows [m, E]; returns NumPy arrays."""
    vectors = weights.get("initial", {})
    initial = tuple(vectors[str(i)] for i in range(len(vectors)))
    own = Weights(params=weights["params"], table=jnp.asarray(rows), initial=initial)
    run = Rollout(trained.model, make_mesh(1), steps, len(questions))
    return run(own, questions, np.arange(len(rows)))


def _questions(trained: Trained) -> tuple[NDArray[np.uint8], NDArray[np.int64], str]:
    """Puzzles uint8 [m, S], their table rows [m], and their source: the run's dataset or random."""
    folder = training_data_path(trained.experiment.data, Path(trained.workdir.data))
    if (folder / dataset_format.MANIFEST).exists():
        dataset = dataset_format.load(folder)
        if dataset.manifest["fingerprint"] == trained.manifest["fingerprint"]:
            last = list(dataset.splits)[-1]  # held-out or test puzzles, if there are any
            index = dataset.splits[last][:CHECKED]
            return dataset.inputs[index], dataset.ids[index].astype(np.int64), last
    c, draw = trained.model.config, np.random.default_rng(0)
    questions = draw.integers(1, c.vocab, (CHECKED, c.cells)).astype(np.uint8)
    return questions, draw.integers(0, len(trained.rows), CHECKED), "tokens drawn at random"


def _flat(weights: Mapping[str, Any], path: str = "") -> dict[str, NDArray[Any]]:
    """Arrays by names like "params/network/kernel"; `load.tree` is the inverse."""
    found: dict[str, NDArray[Any]] = {}
    for key, value in weights.items():
        inner = isinstance(value, Mapping)
        found |= _flat(value, f"{path}{key}/") if inner else {path + key: value}
    return found


def _stored(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """An array as it is stored: bfloat16 as uint16 words, since NumPy's files have no bfloat16."""
    if dtype == "float32":
        return array.astype(np.float32)
    return array.astype(ml_dtypes.bfloat16).view(np.uint16)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_manifest(draft: Path, manifest: Mapping[str, Any]) -> None:
    (draft / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
