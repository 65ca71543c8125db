"""Maps the published PyTorch code's names of arrays to paths in `Weights`.

One table serves both directions. A torch linear weight is [out, in]; a kernel here is [in, out].
docs/background/algorithm.md maps the names of everything else.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax

from trm_jax.models import Model
from trm_jax.models.mixers import Mixer
from trm_jax.models.weights import Weights

LEVELS = {"z_network": "L_level", "y_network": "H_level"}

Array = TypeVar("Array")


class Entry(NamedTuple):
    """An array's name below `model.inner.`, its path in `Weights`, and whether to transpose it."""

    torch: str
    ours: tuple[str | int, ...]
    transposed: bool = False


def state_name(name: str) -> str:
    """The published name of a state: H for y, L for z, L1 for z1, as in `H_init` and `z_H`."""
    return "H" if name == "y" else "L" + name[1:]


def entries(model: Model) -> list[Entry]:
    """All arrays of a model's weights: parameters, then initial vectors, then the table."""
    found = [Entry("embed_tokens.embedding_weight", ("params", "embedding", "tokens"))]
    if model.config.positions == "learned":
        positions = ("params", "embedding", "positions")
        found.append(Entry("embed_pos.embedding_weight", positions))
    found += [
        Entry("lm_head.weight", ("params", "answer_head", "kernel"), transposed=True),
        Entry("q_head.weight", ("params", "halt_head", "kernel"), transposed=True),
        Entry("q_head.bias", ("params", "halt_head", "bias")),
    ]
    # The published code names TRM's single network after z, and the transformer's after y.
    only = "H_level" if model.state_names == ("y",) else "L_level"
    for name in dict.fromkeys(model.variant.networks):
        for i in range(model.config.depth(name)):
            layer = f"{LEVELS.get(name, only)}.layers.{i}"
            found += _block(layer, ("params", name, f"block_{i}"), model.mixer)
    for i, name in enumerate(model.state_names):
        found.append(Entry(f"{state_name(name)}_init", ("initial", i)))
    if model.config.prefix_tokens:
        found.append(Entry("puzzle_emb.weights", ("table",)))
    return found


def from_torch(model: Model, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Arranges arrays by torch name as the fields of a `Weights` tree; missing ones are left out.

    Args:
      model: the model.
      arrays: arrays by their names below `model.inner.`; unknown ones are ignored. They may also
        be gradients or averages, which cover the parameters only.

    Returns:
      `params`, and `initial` and `table` if their arrays are given.
    """
    tree: dict[Any, Any] = {}
    for entry in entries(model):
        if entry.torch not in arrays:
            continue
        array: Any = arrays[entry.torch]
        here = tree
        for key in entry.ours[:-1]:
            here = here.setdefault(key, {})
        here[entry.ours[-1]] = array.T if entry.transposed else array
    if "initial" in tree:
        tree["initial"] = tuple(tree["initial"][i] for i in range(len(model.state_names)))
    return tree


def to_torch(model: Model, weights: Weights) -> dict[str, Any]:
    """The inverse: all arrays of `weights` by name below `model.inner.`, in torch's layout."""
    found = {}
    for entry in entries(model):
        array: Any = getattr(weights, str(entry.ours[0]))
        for key in entry.ours[1:]:
            array = array[key]
        found[entry.torch] = array.T if entry.transposed else array
    return found


def shapes(model: Model, weights: Callable[[], Weights]) -> dict[str, tuple[int, ...]]:
    """The shapes of all arrays by torch name; nothing is computed."""
    return {k: v.shape for k, v in jax.eval_shape(lambda: to_torch(model, weights())).items()}


def _block(layer: str, path: tuple[str, ...], mixer: Mixer) -> list[Entry]:
    def linear(torch: str, *ours: str) -> Entry:
        return Entry(f"{layer}.{torch}.weight", (*path, *ours, "kernel"), transposed=True)

    known = mixer.published
    assert known, "see `refuse_unpublished`"
    mixing = [linear(f"{known.module}.{name}", *ours) for name, ours in known.arrays]
    gate_up = linear("mlp.gate_up_proj", "mlp", "gate_up")
    return [*mixing, gate_up, linear("mlp.down_proj", "mlp", "down")]
