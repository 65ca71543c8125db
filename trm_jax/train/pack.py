"""Packs a training run into a few small files, to resume it elsewhere; see docs/how-to/moving.md.

A pack holds the train state without the carry and the random key: slots start empty, and the key
follows from the seed. Weights, puzzle table and counts are exact. The optimizer's moments are
rounded to bfloat16, and so is the difference between averages and weights: a relative error of at
most 2^-8 (0.4 %) in each moment and difference, which decays as fast as they do.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import jax
import ml_dtypes
import numpy as np
from etils import epath
from numpy.typing import NDArray

import trm_jax
from trm_jax.config.dotted import flat, identity
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.distributed import check_agree
from trm_jax.core.errors import UserError
from trm_jax.core.mesh import make_mesh
from trm_jax.core.textfiles import check_file, refuse_encoding
from trm_jax.models import get_model
from trm_jax.models.puzzle_table import padded_rows
from trm_jax.train import bundle
from trm_jax.train.checkpoint import Checkpoints
from trm_jax.train.method import recipe_of
from trm_jax.train.run import Run
from trm_jax.train.state import TrainState
from trm_jax.train.trainer import Trainer, make_trainer
from trm_jax.train.workdir import CONVERTED, WorkDir, place_of, reached

FORMAT = 1
KIND = "trm_jax pack"
LEFT_OUT = ("carry", "key")
"""Fields of the train state that a pack does not contain."""

EXACT, ROUNDED, DIFFERENCE = "exact", "bfloat16", "bfloat16 difference"
"""How an array is stored: exactly, rounded, or as the rounded difference from the weights."""

DTYPES = frozenset(
    np.dtype(code).name for code in "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]
)
"""Dtypes that an array of a pack may have."""

ALSO_FREE = frozenset(("init_from", "name"))
"""Settings that may change besides those of `config.dotted.FREE`."""


@dataclasses.dataclass(frozen=True)
class Pack:
    """A pack whose parts have not been read yet.

    Attributes:
      path: path of the index file.
      experiment: the experiment that was trained.
      record: content of the index file: `kind`, `format`, `trm_jax` (the version), `step` (number
        of updates done), `config`, `data` (the dataset's manifest), `arrays` (for each name
        `shape`, `dtype` and how it is `kept`), `parts`, and the `sha256` of all of it.
    """

    path: epath.Path
    experiment: Experiment
    record: Mapping[str, Any]

    @classmethod
    def open(cls, path: epath.PathLike) -> Self:
        """Reads the index file.

        Raises:
          UserError: it is not a pack, was damaged or edited, or is of another version.
        """
        place = epath.Path(path).expanduser()
        try:
            with place.open("rb") as file:
                refuse_encoding(file.read(4096), place, "give the file that `trm pack` wrote")
            record = json.loads(place.read_text())
            if record["kind"] != KIND:
                raise ValueError(f"its kind is {record['kind']!r}")
            if record["format"] != FORMAT:
                raise UserError(
                    f"{place} is a pack of format {record['format']} and this version of trm_jax "
                    f"reads format {FORMAT}; install the version {record.get('trm_jax')} that "
                    "wrote it."
                )
            bundle.check(record)
            _check(record)
            return cls(place, _experiment(place, record), record)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as err:
            raise UserError(
                f"{place} is not a pack, or was damaged or edited ({type(err).__name__}: {err}); "
                "give the file that `trm pack` wrote."
            ) from err

    @property
    def step(self) -> int:
        """Number of updates done."""
        return int(self.record["step"])

    def refuse_unfit(
        self, experiment: Experiment, manifest: Mapping[str, Any] | None = None
    ) -> None:
        """Refuses to resume with another experiment or on other data.

        Args:
          experiment: the experiment to run.
          manifest: manifest of its dataset; None if that is not built yet.

        Raises:
          UserError: a setting or the data differs; the message names it.
        """
        before = self.experiment
        old, new = (flat(each.to_dict()) for each in (before, experiment))
        bound = [key for key in identity(before) if key not in ALSO_FREE]
        if before.optimizer.lr_min_ratio < 1 or before.curriculum:
            bound.append("steps")  # the learning rate or the depth depends on it
        for key in bound:
            if new.get(key) != old[key]:
                raise UserError(
                    f"{self.path} was packed from a run with config.{key} = {old[key]!r}, and it "
                    f"is now {new.get(key)!r}; set it back."
                )
        want = self.record["data"]["fingerprint"]
        have = want if manifest is None else manifest["fingerprint"]
        if have != want:
            raise UserError(
                f"{self.path} was trained on dataset {want[:12]} and config.data now gives "
                f"{have[:12]}; give the same data."
            )
        if self.step >= experiment.steps:
            raise UserError(
                f"{self.path} is of update {self.step} and config.steps is {experiment.steps}; "
                "raise config.steps."
            )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Reads the state's arrays by name, in their original shapes and dtypes.

        Raises:
          UserError: a part is missing or damaged.
        """
        found = bundle.read(self.path, self.record["parts"])
        arrays = {}
        for name, about in self.record["arrays"].items():
            array, words = found.get(name), about["kept"] != EXACT
            stored = np.dtype(np.uint16 if words else about["dtype"])
            if array is None or (array.size, array.dtype) != (math.prod(about["shape"]), stored):
                raise UserError(
                    f"{self.path} lists {name} differently from what its parts hold; "
                    "pack it again with `trm pack`."
                )
            array = array.reshape(about["shape"])
            if words:
                array = array.view(ml_dtypes.bfloat16).astype(about["dtype"])
            arrays[name] = array
        for name, about in self.record["arrays"].items():
            if about["kept"] == DIFFERENCE:
                arrays[name] += arrays[_averaged(name)]
            if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
                raise UserError(
                    f"{self.path} holds non-finite numbers in {name}; pack a checkpoint from "
                    "before that."
                )
        return arrays


def is_pack(path: str) -> bool:
    """Whether `config.init_from` names a file, and not a work directory or a released model.

    Raises:
      UserError: no path or bucket's address, a bucket out of reach, or a pipe or a device.
    """
    if not path:
        return False
    place = place_of(path)
    if "://" in path:
        return reached(place, lambda: bool(place.is_file()))
    is_file = place.exists() and not place.is_dir()
    if is_file:
        check_file(Path(place))
    return is_file


def refuse_unfit(experiment: Experiment, manifest: Mapping[str, Any]) -> None:
    """Refuses a `config.init_from` that is a pack of another experiment.

    Args:
      experiment: the experiment to run.
      manifest: manifest of its dataset.

    Raises:
      UserError: the pack does not fit.
    """
    if is_pack(experiment.init_from):
        Pack.open(experiment.init_from).refuse_unfit(experiment, manifest)


def write(root: epath.PathLike, out: epath.PathLike, step: int | None = None) -> list[int]:
    """Packs a checkpoint of a work directory, whose training may be running.

    Args:
      root: the work directory.
      out: path of the index file; the parts are written beside it.
      step: step of the checkpoint; None for the newest.

    Returns:
      Size of each file in bytes, `out` first.

    Raises:
      UserError: the checkpoint does not exist, or `out` exists and is not a pack.
    """
    workdir, place = WorkDir(root), epath.Path(out).expanduser()
    experiment, manifest = workdir.read()
    if manifest["source"].get("kind") == CONVERTED:
        raise UserError(
            f"{workdir.root} holds converted weights without the rest of a train state; start from "
            "it with --config.init_from."
        )
    if place.exists():
        try:
            Pack.open(place)
        except UserError as error:
            raise UserError(
                f"--out {place} exists and is not a pack; give another name."
            ) from error
    return save(place, _saved(workdir, experiment, manifest, step), experiment, manifest)


def save(
    place: epath.Path, state: TrainState, experiment: Experiment, manifest: Mapping[str, Any]
) -> list[int]:
    """Packs a state, see `write`.

    Args:
      place: path of the index file.
      state: train state whose arrays are all on this process.
      experiment: the experiment that was trained.
      manifest: manifest of its dataset.

    Raises:
      UserError: a file cannot be written.
    """
    kept = encode(state)
    record: dict[str, Any] = {"kind": KIND, "format": FORMAT, "trm_jax": trm_jax.__version__}
    record |= {"step": int(state.step), "config": experiment.to_dict(), "data": dict(manifest)}
    record["arrays"] = {name: about for name, (_, about) in kept.items()}
    sizes = bundle.write(place, {name: array for name, (array, _) in kept.items()}, record)
    return [place.stat().length, *sizes]


def continue_from(path: str, run: Run) -> TrainState:
    """Restores the state of a pack, with empty slots.

    Args:
      path: path of the pack.
      run: the run to resume.

    Raises:
      UserError: the pack does not fit, or is damaged.
    """
    pack = Pack.open(path)
    pack.refuse_unfit(run.experiment, run.dataset.manifest)
    check_agree(pack.record[bundle.HASH], "pack in config.init_from")
    shapes, shardings = _packed(run.shapes), _packed(run.shardings)
    listed = pack.record["arrays"].items()
    have = {name: f"{about['dtype']}{about['shape']}" for name, about in listed}
    want = {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in named(shapes).items()}
    for name in [*want, *have]:
        if have.get(name) != want.get(name):
            raise UserError(
                f"{path}, written by trm_jax {pack.record['trm_jax']}, has {name} as "
                f"{have.get(name)} where this version has {want.get(name)}; resume with that one."
            )
    arrays = pack.arrays()
    if int(arrays["step"]) != pack.step:
        raise UserError(
            f"{path} says that it is of update {pack.step} and its parts are of update "
            f"{int(arrays['step'])}; pack it again with `trm pack`."
        )
    fresh = run.init(jax.random.key(run.experiment.seed))
    names = jax.tree.unflatten(jax.tree.structure(shapes), list(want))

    def put(name: str, where: jax.sharding.Sharding) -> jax.Array:
        array = arrays[name]
        return jax.make_array_from_callback(array.shape, where, lambda i: np.asarray(array[i]))

    return fresh.replace(**jax.tree.map(put, names, shardings))


def encode(state: TrainState) -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Encodes a state for a pack: for each array its stored form, and its entry in the index.

    Rounded arrays are stored as the uint16 words of bfloat16, a dtype that NumPy lacks.

    Args:
      state: train state whose arrays are all on this process.
    """
    arrays = {name: np.asarray(leaf) for name, leaf in named(_packed(state)).items()}
    kept = {}
    for name, array in arrays.items():
        how, stored = _how(name, array.dtype), array
        if how == DIFFERENCE:
            stored = array - arrays[_averaged(name)]
        if how != EXACT:
            stored = stored.astype(ml_dtypes.bfloat16).view(np.uint16)
        about = {"shape": list(array.shape), "dtype": str(array.dtype), "kept": how}
        kept[name] = stored, about
    return kept


def named(tree: Any) -> dict[str, Any]:
    """Leaves of a tree by their names, such as "weights/params/lm_head/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _check(record: Mapping[str, Any]) -> None:
    """Checks the types of a record's values, except its parts.

    Raises:
      ValueError: a value is invalid. Wrong types may raise other exceptions.
    """
    for key, value in (("trm_jax", record["trm_jax"]), ("data", record["data"]["fingerprint"])):
        if not isinstance(value, str):
            raise ValueError(f"its {key!r} is wrong")
    for number in (record["step"], *(n for a in record["arrays"].values() for n in a["shape"])):
        if type(number) is not int or number < 0:
            raise ValueError(f"a step or a shape has {number!r}")
    for name, about in record["arrays"].items():
        dtype, kept = about["dtype"], about["kept"]
        if dtype not in DTYPES or kept not in (EXACT, _how(name, np.dtype(dtype))):
            raise ValueError(f"{name} is kept as {kept!r} of {dtype!r}")
        if kept == DIFFERENCE and record["arrays"][_averaged(name)] != {**about, "kept": EXACT}:
            raise ValueError(f"{name} is an average of something else")


def _experiment(place: epath.Path, record: Mapping[str, Any]) -> Experiment:
    """The experiment of a record.

    Raises:
      UserError: this version does not accept its config.
    """
    try:
        return from_dict(record["config"])
    except UserError as error:
        raise UserError(
            f"{place} was written by trm_jax {record['trm_jax']} and its config is not valid here: "
            f"{error}"
        ) from error


def _packed(state: TrainState) -> dict[str, Any]:
    """The fields of a state, or of a tree like it, that are packed."""
    fields = (field.name for field in dataclasses.fields(state))
    return {name: getattr(state, name) for name in fields if name not in LEFT_OUT}


def _how(name: str, dtype: np.dtype[Any]) -> str:
    """How an array is stored, one of EXACT, ROUNDED and DIFFERENCE."""
    if dtype != np.float32:
        return EXACT
    field, *rest = name.split("/")
    if field == "ema":
        return DIFFERENCE
    return ROUNDED if field == "opt_state" and {"mu", "nu"} & set(rest) else EXACT


def _averaged(name: str) -> str:
    """Name of the array that a moving average is of."""
    return name.replace("ema/", "weights/", 1)


def _saved(
    workdir: WorkDir, experiment: Experiment, manifest: Mapping[str, Any], step: int | None
) -> TrainState:
    """Restores a checkpoint's whole state on one device."""
    trainer = _trainer(experiment, manifest)
    saved: list[int] = []
    if workdir.checkpoints.exists():
        with Checkpoints(workdir.checkpoints, read_only=True) as checkpoints:
            saved = checkpoints.steps()
            chosen = step if step is not None else max(saved, default=None)
            if chosen in saved:
                return checkpoints.restore(chosen, trainer.shapes, trainer.shardings)
    which = "checkpoint yet" if step is None else f"checkpoint {step}"
    raise UserError(f"{workdir.root} has no {which}; it has {saved}.")


def _trainer(experiment: Experiment, manifest: Mapping[str, Any]) -> Trainer:
    """Trainer of an experiment on one device, for its shapes."""
    model = get_model(experiment.model_config(manifest))
    rows = padded_rows(experiment.table.rows, manifest["table_rows"])
    mesh = make_mesh(devices=jax.local_devices()[:1])
    return make_trainer(recipe_of(experiment), model, mesh, rows, manifest)
