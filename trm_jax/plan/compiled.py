"""Memory and communication of a compiled program, read from the program without running it."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from trm_jax.core.mesh import over_slots, whole_slots
from trm_jax.core.types import Batch
from trm_jax.infer.rollout import Rollout
from trm_jax.plan.hlo import arrays as arrays_of
from trm_jax.train.run import Run

_KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_OPERATION = re.compile(rf"= (\(?[^=]*?) ({'|'.join(_KINDS)})(-start)?\((.*)")
_CHAIN = re.compile(r'chain_id="(\d+)"')
_GROUP = re.compile(r"replica_groups=(?:\{\{([0-9,]*)\}|\[\d+,(\d+)\]<=)")
_MESH_GROUP = re.compile(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}")
_AXIS = re.compile(r"'([^']*)'(?:=|:\(\d+\))?(\d+)?")
Options = Mapping[str, bool | int | float | str]


class Collective(NamedTuple):
    """A collective operation between devices.

    Attributes:
      kind: name in XLA, for example "all-gather".
      arrays: shapes of the result on each device, in XLA's notation.
      bytes: size of the result in bytes.
      devices: number of devices in a group; 0 if XLA does not say.
    """

    kind: str
    arrays: str
    bytes: int
    devices: int = 0

    def sent(self) -> float:
        """Minimum number of bytes that each device has to send, whatever the algorithm."""
        n = self.devices or 2
        factors = {"all-reduce": 2 / n, "reduce-scatter": 1, "collective-permute": 1 / (n - 1 or 1)}
        return self.bytes * (n - 1) * factors.get(self.kind, 1 / n)


def compile_step(run: Run, options: Options | None = None) -> jax.stages.Compiled:
    """Compiles the train step of a run for its mesh; no array is allocated.

    Args:
      run: the prepared run.
      options: compiler options of XLA.
    """
    batch = _batch(run, run.experiment.batch_size, (run.experiment.steps_per_dispatch,))
    step: Any = run.step
    lowered = step.lower(_placed(run.shapes, run.shardings), batch)
    return lowered.compile(compiler_options=dict(options or {}))


def compile_evaluation(run: Run, options: Options | None = None) -> jax.stages.Compiled:
    """Compiles the evaluation of one batch at depth N, as the loop runs it; allocates no array.

    Args:
      run: the prepared run.
      options: compiler options of XLA.
    """
    weights = _placed(run.shapes.eval_weights(), run.shardings.eval_weights())
    rollout = Rollout(run.model, run.mesh, run.model.config.N, run.experiment.eval_batch_size)
    batch = _batch(run, rollout.batch_size)
    lowered = rollout.program.lower(weights, batch.inputs, *[batch.ids] * 3)
    return lowered.compile(compiler_options=dict(options or {}))


def evaluation_batch(run: Run) -> int:
    """Examples per call: `eval_batch_size`, rounded up to a multiple of the devices."""
    return whole_slots(run.experiment.eval_batch_size, run.mesh)


def _placed(shapes: Any, shardings: Any) -> Any:
    """A tree of shapes with their shardings, to compile for."""
    return jax.tree.map(
        lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where), shapes, shardings
    )


def _batch(run: Run, slots: int, leading: tuple[int, ...] = ()) -> Batch:
    where, cells = over_slots(run.mesh, axis=len(leading)), run.model.config.cells

    def numbers(*shape: int) -> Any:
        return jax.ShapeDtypeStruct((*leading, slots, *shape), jnp.int32, sharding=where)

    return Batch(inputs=numbers(cells), labels=numbers(cells), ids=numbers())


def state_shares(run: Run) -> dict[str, int]:
    """Bytes of the train state on each device by kind, without the padding of layouts."""
    shapes, places = run.shapes, run.shardings
    kinds = {
        "parameters": lambda s: (s.weights.params, s.weights.initial),
        "optimizer moments": lambda s: s.opt_state,
        "averages": lambda s: s.ema,
        "puzzle table": lambda s: s.weights.table,
        "carry": lambda s: s.carry,
        "counters": lambda s: (s.step, s.key, s.sums),
    }
    return {kind: _share(of(shapes), of(places)) for kind, of in kinds.items()}


def evaluation_shares(run: Run) -> dict[str, int]:
    """Bytes on each device that an evaluation reads by kind, and the rest of the train state."""
    shapes, places = run.shapes.eval_weights(), run.shardings.eval_weights()
    shares = {
        "parameters": _share((shapes.params, shapes.initial), (places.params, places.initial)),
        "puzzle table": _share(shapes.table, places.table),
    }
    rest = sum(state_shares(run).values()) - sum(shares.values())
    return shares | {"rest of the train state": rest}


def _share(shapes: Any, shardings: Any) -> int:
    def one(shape: Any, where: NamedSharding) -> int:
        return math.prod(where.shard_shape(shape.shape)) * shape.dtype.itemsize

    return sum(jax.tree.leaves(jax.tree.map(one, shapes, shardings)))


def memory(compiled: jax.stages.Compiled) -> dict[str, int]:
    """Memory of a program on each device, in bytes.

    Returns:
      `state`, arguments that are updated in place; `input`, the other arguments; `output`, the
      other results; `temporary`, buffers while it runs; `program`, its code, where that is in the
      same memory; and their sum, `peak`.
    """
    found: Any = compiled.memory_analysis()
    state = found.alias_size_in_bytes
    sizes = {
        "state": state,
        "input": found.argument_size_in_bytes - state,
        "output": found.output_size_in_bytes - state,
        "temporary": found.temp_size_in_bytes,
        "program": found.generated_code_size_in_bytes,
    }
    return {**sizes, "peak": sum(sizes.values())}


def collectives(compiled: jax.stages.Compiled) -> list[Collective]:
    """All collectives of a program; those inside a loop are listed once."""
    return read_collectives(compiled.as_text() or "")


def read_collectives(text: str) -> list[Collective]:
    """The collectives of a program's text.

    On TPU, a collective that overlaps with computations appears in pieces with the same chain id,
    one in each of these computations; they are counted as one. (Channel ids do not help: different
    collectives share them.)
    """
    text = re.sub(r"/\*.*?\*/", "", text)  # comments number the parts of long tuples
    found: dict[Any, Collective] = {}
    for number, (arrays, kind, start, rest) in enumerate(_OPERATION.findall(text)):
        chain, devices = _CHAIN.search(rest), _devices(rest)
        size = sum(array.bytes for array in arrays_of(arrays))
        if start and kind == "all-gather":  # operands are listed as well
            size = size * devices // (devices + 1)
        elif start and kind == "collective-permute":
            size //= 2
        key = (kind, chain[1]) if chain else number
        found.setdefault(key, Collective(kind, arrays.strip(), size, devices))
    return list(found.values())


def _devices(rest: str) -> int:
    """Number of devices in a group of a collective; 0 if the text does not say."""
    group = _GROUP.search(rest)
    if group:
        return int(group[2]) if group[2] else len(group[1].split(","))
    over_mesh = _MESH_GROUP.search(rest)
    if not over_mesh:
        return 0
    sizes = {name: int(size) for name, size in _AXIS.findall(over_mesh[1])}
    axes = _AXIS.findall(over_mesh[2])  # with the size of the part if an axis is split
    return math.prod(int(part) if part else sizes[name] for name, part in axes)
