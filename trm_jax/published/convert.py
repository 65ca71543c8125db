"""Converts weights of the published PyTorch models into a work directory, and back."""

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from trm_jax.config.dotted import flat
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError
from trm_jax.models import MIXERS, AnyModel, LatticeModel, Model, get_model
from trm_jax.models.settings import ModelSettings
from trm_jax.models.weights import Weights, init_weights
from trm_jax.published import table_rows, torch_files, torch_names
from trm_jax.published.parity import compare
from trm_jax.published.settle import ask, settle, unsettled
from trm_jax.published.shapes import TABLE, Inferred, infer, is_finite
from trm_jax.tasks.task import TASKS
from trm_jax.train import trained
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.state import init_ema
from trm_jax.train.workdir import CONVERTED, WorkDir

Arrays = dict[str, NDArray[Any]]
MAX_NAMED = 4


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked conversion of a file of weights.

    Attributes:
      file: the file.
      arrays: arrays by their names below `model.inner.`; the puzzle table has its new row order.
      inferred: the settings inferred from their shapes.
      experiment: experiment of the work directory.
      manifest: dataset manifest of the work directory.
      model: model of the experiment.
      notes: sentences about the settings of the config that the file overrides.
      step: number of updates of training; 0 if unknown.
      named: names of the puzzle table's rows.
    """

    file: Path
    arrays: Arrays
    inferred: Inferred
    experiment: Experiment
    manifest: dict[str, Any]
    model: Model
    notes: list[str]
    step: int
    named: table_rows.Named


def plan(
    file: str | os.PathLike[str],
    config: Mapping[str, Any] | None,
    rows: str | os.PathLike[str] | None = None,
    step: int | None = None,
    data: str | os.PathLike[str] | None = None,
) -> Plan:
    """Reads and checks a file of weights; writes nothing.

    Args:
      file: the file, see `torch_files.read`.
      config: nested settings of an experiment; settings that the shapes determine override it.
      rows: JSON file with a list: for each row of the new puzzle table, its row in the file's
        table, or null for zeros. None keeps the table as it is.
      step: number of updates of training; None takes it from a file name like step_65104, else 0.
      data: dataset that the weights were trained on, see `table_rows.named_by`; None if it is not
        at hand.

    Raises:
      UserError: the file is inconsistent or contradicts the config, or there is no config.
    """
    path = Path(file)
    arrays, said = torch_files.read_said(path)
    inferred = infer(arrays, path.name)
    if config is None:
        raise UserError(ask(inferred, path))
    config, notes = settle(inferred, config, path.name)
    notes = [*said, *notes]
    named = _named(arrays, inferred, config["data"]["task"], rows, data, path.name)
    notes += named.words
    count = len(arrays[TABLE]) if inferred.rows else 0
    # A dataset with one row needs no setting; a larger table has to be configured.
    config["table"]["rows"] = count if count > table_rows.SHARED_ROWS else 0
    experiment = from_dict(config)
    manifest = _manifest(experiment, path, arrays, named)
    model = _published_model(get_model(experiment.model_config(manifest)))
    check(arrays, model, max(count, 1), path.name)
    if step is None:
        match = re.search(r"step_(\d+)", path.name)
        step = int(match[1]) if match else 0
    elif step < 0:
        raise UserError(f"--step is {step}; give 0 or more updates.")
    return Plan(path, arrays, inferred, experiment, manifest, model, notes, step, named)


def taken(plan: Plan) -> dict[str, Any]:
    """The settings that the file does not determine, with their values in the config."""
    settings = flat(plan.experiment.to_dict())
    open_names = unsettled(plan.inferred, plan.experiment.data.task)
    return {name: settings[name] for name in plan.inferred.not_inferred(open_names)}


def check(arrays: Arrays, model: Model, table_rows: int, file: str) -> None:
    """Checks that the arrays are exactly those of the model.

    Args:
      arrays: arrays by their names below `model.inner.`.
      model: the model.
      table_rows: number of rows of the puzzle table.
      file: name of the file, for errors.

    Raises:
      UserError: an array is missing or unknown, or has a wrong shape, dtype or non-finite values.
    """
    wanted = torch_names.shapes(model, lambda: init_weights(jax.random.key(0), model, table_rows))
    for what, names in {
        "lacks": [name for name in wanted if name not in arrays],
        "has unknown arrays": [name for name in arrays if name not in wanted],
    }.items():
        if names:
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            raise UserError(
                f"{file} {what}: {', '.join(names[:MAX_NAMED])}{more}; "
                f"a {model.config.kind} model of {model.config.layers} layers has {len(wanted)}."
            )
    for name, array in arrays.items():
        if array.shape != wanted[name]:
            raise UserError(
                f"{file}: {name} has shape {array.shape}; by the other arrays and the config it "
                f"must be {wanted[name]}."
            )
        if str(array.dtype) not in ("float32", "bfloat16", "float16"):
            raise UserError(f"{file}: {name} is of type {array.dtype}; it must be float32.")
        if not is_finite(array):
            raise UserError(f"{file}: {name} has values that are not finite; give another file.")


def from_torch(plan: Plan, out: str | os.PathLike[str], puzzles: int) -> dict[str, Any] | None:
    """Writes the work directory, or nothing if that fails.

    Args:
      plan: the conversion, from `plan`.
      out: a local directory, empty or new.
      puzzles: number of puzzles for the parity report; 0 for no report.

    Returns:
      The parity report, which is also written to parity.json; None without one.

    Raises:
      UserError: the directory is not empty, or cannot be written.
    """
    if "://" in str(out):
        raise UserError(f"--out is {out}; give a local directory, and copy it from there.")
    target = Path(out).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is not empty; give a new or an empty directory.")
    scope = plan.experiment.optimizer.ema_scope
    weights = weights_of(plan.arrays, plan.model)
    weights = weights.replace(table=table_rows.padded(weights.table, plan.experiment.table.rows))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            draft = WorkDir(Path(beside) / target.name)
            record = draft.claim(plan.experiment, plan.manifest)
            with Checkpoints(draft.checkpoints) as checkpoints:
                light = {"weights": weights, "ema": init_ema(weights, scope)}
                checkpoints.save(plan.step, light, record, score=None, rows=plan.named.rows)
            table_rows.write_order(Path(draft.root), plan.named)
            report = None
            if puzzles:
                report = compare(trained.load(draft.root), plan.arrays, puzzles)
                report = {"file": plan.file.name} | report
                (draft.root / "parity.json").write_text(json.dumps(report, indent=2) + "\n")
            os.rename(draft.root, target)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error}); give another --out.") from error
    return report


def _published_model(model: AnyModel) -> Model:
    """Returns the model; refuses one that the published code would compute differently."""
    config = model.config
    if isinstance(model, LatticeModel):
        raise UserError(
            f"config.model.kind is {config.kind!r}, which the published code of TRM and HRM does "
            "not have; `trm export` writes a model that runs without trm_jax."
        )
    if MIXERS.get(config.mixer).published is None:
        known = [name for name, mixer in MIXERS.all().items() if mixer.published]
        raise UserError(
            f"config.model.mixer is {config.mixer!r}, which the published code does not have; only "
            f"a model trained with {' or '.join(map(repr, known))} can be converted."
        )
    defaults = ModelSettings()
    for name in ("gate", "start", "damping"):
        value, default = getattr(config, name), getattr(defaults, name)
        if value != default:
            raise UserError(
                f"config.model.{name} is {value!r}, which the published code does not have; "
                f"only a model trained with {default!r} can be converted."
            )
    return model


def weights_of(arrays: Mapping[str, NDArray[Any]], model: Model) -> Weights:
    """The weights tree, in float32, of checked arrays by their names below `model.inner.`."""
    wide = {k: jax.numpy.asarray(array.astype(np.float32)) for k, array in arrays.items()}
    tree = torch_names.from_torch(model, wide)
    return Weights(**({"table": jax.numpy.zeros((1, 1), np.float32)} | tree))


def to_torch(
    workdir: str,
    out: str | os.PathLike[str],
    *,
    checkpoint: int | None = None,
    averaged: bool = True,
    prefix: str = torch_files.PREFIXES[0],
) -> bool:
    """Writes a checkpoint's weights to a file with the published names and layouts.

    Args:
      workdir: a work directory.
      out: the file, see `torch_files.write`.
      checkpoint: training step of the checkpoint; None for the best one, or else the newest.
      averaged: whether to write the averaged weights, as published files have, or the raw ones.
      prefix: prefix of each name.

    Returns:
      Whether bfloat16 arrays were written as float32; see `torch_files.write`.

    Raises:
      UserError: the published code has no such model, or the file cannot be written.
    """
    found = trained.load(workdir, checkpoint, averaged=averaged)
    model = _published_model(found.model)
    arrays = torch_names.to_torch(model, jax.device_get(found.weights))
    dtype = torch_files.BFLOAT16 if model.config.dtype == "bfloat16" else np.float32
    for name in arrays:
        if name.endswith("_init"):
            arrays[name] = arrays[name].astype(dtype)
    if found.manifest["source"].get("kind") == CONVERTED:
        arrays = table_rows.as_in_the_file(found, arrays)
    return torch_files.write(out, arrays, prefix)


def _named(
    arrays: Arrays,
    inferred: Inferred,
    task: str,
    rows: str | os.PathLike[str] | None,
    data: str | os.PathLike[str] | None,
    file: str,
) -> table_rows.Named:
    """The names of the table's rows; reorders the table by them, or by the row map."""
    for flag, value in (("--rows", rows), ("--data", data)):
        if value is not None and not inferred.rows:
            raise UserError(f"{flag} {value} is given, but {file} has no {TABLE}; leave it out.")
    if rows is not None and data is not None:
        raise UserError(f"--rows {rows} and --data {data} both order {TABLE}; give one of them.")
    if rows is not None:
        arrays[TABLE] = table_rows.remapped(arrays[TABLE], Path(rows))
    named = table_rows.named_by(data, task, len(arrays[TABLE]) if inferred.rows else 0, file)
    if named.order is not None:
        arrays[TABLE] = arrays[TABLE][named.order]
    return named


def _manifest(
    experiment: Experiment, file: Path, arrays: Arrays, named: table_rows.Named
) -> dict[str, Any]:
    """The manifest that evaluation and solving need, in place of the unknown dataset's."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "task": experiment.data.task,
        **(TASKS.get(experiment.data.task).shapes(experiment.data.options) or {}),
        **named.facts(experiment.data),
        "source": {
            "kind": CONVERTED,
            "name": file.name,
            "sha256": digest,
            **table_rows.form_of(arrays, experiment.model.dtype),
        },
        "counts": {},
        "fingerprint": f"{CONVERTED} {file.name} {digest}",
    }
