"""Infers a model's settings from the names, shapes and dtypes of published arrays."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.models import MIXERS
from trm_jax.models.layers import INNER_MULTIPLE, inner_width
from trm_jax.models.mixers import Published

EMBEDDING = "embed_tokens.embedding_weight"
POSITIONS = "embed_pos.embedding_weight"
TABLE = "puzzle_emb.weights"
SAME_ARRAYS = (
    ("trm", "trm_continue", "trm_one_step"),
    ("hrm", "trm_two_networks"),
    ("trm_single_z",),
    ("trm_multi_z",),
    ("transformer",),
)
"""Groups of models with the same arrays, the most likely first."""
PUBLISHED_EXPANSION = 4.0


@dataclasses.dataclass(frozen=True)
class Inferred:
    """The settings that the arrays of a file determine.

    Attributes:
      kinds: kinds of models that have exactly these arrays, the most likely first.
      vocab: vocabulary size, V.
      model: settings of `config.model` that are determined, without the kind.
      tokens: number of tokens L, None if it is not determined; and the array that determines it.
      rows: number of rows of the puzzle table, R; 0 without a table.
    """

    kinds: tuple[str, ...]
    vocab: int
    model: Mapping[str, Any]
    tokens: tuple[int | None, str]
    rows: int

    @property
    def level(self) -> str:
        """Name of a level (group of layers) that the file has."""
        return "H_level" if self.kinds[0] == "transformer" else "L_level"

    def not_inferred(self, unsettled: Sequence[str] = ()) -> list[str]:
        """Names of the settings that have to come from a config.

        Args:
          unsettled: settings of the data that the vocabulary does not determine.
        """
        recursing = self.kinds[0] != "transformer"
        asked = {
            "data.task": True,
            **{name: True for name in unsettled},
            "model.kind": len(self.kinds) > 1,
            "model.heads": "rotary" in MIXERS.get(self.model["mixer"]).positions,
            "model.positions": "positions" not in self.model,
            "model.T": recursing,
            "model.n": recursing and "n" not in self.model,
            "model.N": True,
            "model.prefix_tokens": bool(self.rows) and self.tokens[0] is None,
            "model.halt_exploration": True,
        }
        return [name for name, is_asked in asked.items() if is_asked]


def infer(arrays: Mapping[str, NDArray[Any]], file: str) -> Inferred:
    """Infers settings from names, shapes and dtypes.

    Args:
      arrays: arrays by their names below `model.inner.`.
      file: name of the file, for errors.

    Raises:
      UserError: the arrays are not those of a known model.
    """
    vocab, width = _shape(arrays, file, EMBEDDING)
    kinds = _kinds(arrays, file)
    layers = {level: _layers(arrays, level) for level in ("L_level", "H_level")}
    level = "H_level" if kinds[0] == "transformer" else "L_level"
    mixer, known = _mixer(arrays, file)
    model: dict[str, Any] = {
        "width": width,
        "layers": layers[level],
        "y_layers": 0 if layers["H_level"] in (0, layers[level]) else layers["H_level"],
        "mixer": mixer,
        "expansion": _expansion(arrays, file),
        "dtype": _activations(arrays, file),
    }
    rotary = "rotary" in MIXERS.get(mixer).positions
    last = known.arrays[-1][0]
    source = POSITIONS if POSITIONS in arrays else f"{level}.layers.0.{known.module}.{last}.weight"
    tokens = None
    # the size of token-mixing matrices is the number of tokens
    if POSITIONS in arrays or not rotary:
        tokens = _shape(arrays, file, source)[0]
        model["positions"] = "learned" if POSITIONS in arrays else "none"
    rows = 0
    if TABLE in arrays:
        rows, row_width = _shape(arrays, file, TABLE)
        model["row_width"] = 0 if row_width == width else row_width
    else:
        model["prefix_tokens"] = 0
    if kinds[0] == "trm_multi_z":
        model["n"] = sum(bool(re.fullmatch(r"L\d+_init", name)) for name in arrays)
    return Inferred(kinds, vocab, model, (tokens, source), rows)


def _mixer(arrays: Mapping[str, NDArray[Any]], file: str) -> tuple[str, Published]:
    """The mixer that the arrays' names determine, and its names in the published code."""
    for name, mixer in MIXERS.all().items():
        known = mixer.published
        if known and any(f".{known.module}." in array for array in arrays):
            return name, known
    raise UserError(f"{file} has no array of a known mixer; give a file of a published model.")


def _kinds(arrays: Mapping[str, NDArray[Any]], file: str) -> tuple[str, ...]:
    levels = {name.partition(".")[0] for name in arrays} & {"L_level", "H_level"}
    if not levels:
        raise UserError(f"{file} has no L_level.layers.0; give a file of a published model.")
    if len(levels) == 2:
        likeliest = "hrm"
    elif levels == {"H_level"}:
        likeliest = "transformer"
    elif "L1_init" in arrays:
        likeliest = "trm_multi_z"
    else:
        likeliest = "trm" if "H_init" in arrays else "trm_single_z"
    return next(kinds for kinds in SAME_ARRAYS if kinds[0] == likeliest)


def _shape(arrays: Mapping[str, NDArray[Any]], file: str, name: str) -> tuple[int, int]:
    if name not in arrays:
        raise UserError(f"{file} has no {name}; give a complete file of a published model.")
    shape = arrays[name].shape
    if len(shape) != 2 or not all(shape):
        raise UserError(f"{file}: {name} has shape {shape}; it must be a matrix.")
    return shape[0], shape[1]


def _layers(arrays: Mapping[str, NDArray[Any]], level: str) -> int:
    found = [re.match(rf"{level}\.layers\.(\d+)\.", name) for name in arrays]
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _expansion(arrays: Mapping[str, NDArray[Any]], file: str) -> float:
    """The published expansion if it fits every SwiGLU, else the simplest fraction that fits all."""
    shapes = {k: _shape(arrays, file, k) for k in arrays if k.endswith("down_proj.weight")}

    def fits(expansion: float) -> bool:
        return all(inner_width(width, expansion) == inner for width, inner in shapes.values())

    if fits(PUBLISHED_EXPANSION):
        return PUBLISHED_EXPANSION
    least = max(
        ((inner - INNER_MULTIPLE) * 3 / (2 * width) for width, inner in shapes.values()), default=0
    )
    for parts in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        expansion = max(math.floor(least * parts) + 1, 1) / parts
        if fits(expansion):
            return expansion
    one, other = min(shapes, key=lambda k: shapes[k][1]), max(shapes, key=lambda k: shapes[k][1])
    raise UserError(
        f"{file}: no expansion gives both {one} its shape {shapes[one]} and {other} its shape "
        f"{shapes[other]}; all layers share one expansion, and inner widths are multiples of "
        f"{INNER_MULTIPLE}."
    )


def _activations(arrays: Mapping[str, NDArray[Any]], file: str) -> str:
    """The dtype of activations, which is that of the initial vectors in the published code."""
    initial = sorted(name for name in arrays if name.endswith("_init"))
    if not initial:
        raise UserError(
            f"{file} lacks the initial vectors H_init and L_init; give a checkpoint of the "
            "published code."
        )
    types = sorted({str(arrays[name].dtype) for name in initial})
    if len(types) != 1 or types[0] not in ("float32", "bfloat16", "float16"):
        raise UserError(
            f"{file}: the initial vectors {', '.join(initial)} are of type "
            f"{', '.join(types)}; all must be of one type: "
            "float32, bfloat16 or float16."
        )
    return "bfloat16" if types[0] == "bfloat16" else "float32"  # float32 represents all float16


def is_finite(array: NDArray[Any]) -> bool:
    """Whether all values are finite; NumPy's own test lacks bfloat16."""
    return bool(np.isfinite(array.astype(np.float32)).all())
