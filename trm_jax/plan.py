"""What a compiled program needs and sends, read from the program itself: nothing is run."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from trm_jax.mesh import over_slots
from trm_jax.run import Run
from trm_jax.types import Batch

_KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_OPERATION = re.compile(rf"= (\(?[^=]*?) ({'|'.join(_KINDS)})(?:-start)?\(")
_ARRAY = re.compile(r"\b(pred|[a-z]+[0-9]+[a-z0-9]*)\[([0-9,]*)\]")


class Collective(NamedTuple):
    """An exchange between devices.

    Attributes:
      kind: as XLA names it, for example "all-gather".
      arrays: what comes out of it on each device, as XLA writes it.
      bytes: of that.
    """

    kind: str
    arrays: str
    bytes: int


def compile_step(run: Run) -> jax.stages.Compiled:
    """The train step of a run, compiled for its mesh; no array is made."""
    state = jax.tree.map(
        lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
        run.shapes,
        run.shardings,
    )
    slots, cells = run.experiment.batch_size, run.model.config.cells
    where = over_slots(run.mesh, axis=1)

    def numbers(*shape: int) -> Any:
        shape = (run.experiment.steps_per_dispatch, slots, *shape)
        return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=where)

    batch: Any = Batch(inputs=numbers(cells), labels=numbers(cells), ids=numbers())
    step: Any = run.step
    return step.lower(state, batch).compile()


def memory(compiled: jax.stages.Compiled) -> dict[str, int]:
    """Bytes on each device.

    Returns:
      `state`, what the program keeps from one call to the next; `input`, what else it is given;
      `temporary`, what it needs while it runs; and their sum, `peak`.
    """
    found: Any = compiled.memory_analysis()
    state = found.alias_size_in_bytes
    sizes = {
        "state": state,
        "input": found.argument_size_in_bytes - state,
        "temporary": found.temp_size_in_bytes,
    }
    return {**sizes, "peak": sum(sizes.values())}


def collectives(compiled: jax.stages.Compiled) -> list[Collective]:
    """Every exchange between devices in a program, those inside a loop once."""
    text = re.sub(r"/\*.*?\*/", "", compiled.as_text() or "")  # it numbers the parts of long tuples
    return [
        Collective(kind, arrays.strip(), _bytes(arrays))
        for arrays, kind in _OPERATION.findall(text)
    ]


def _bytes(arrays: str) -> int:
    total = 0
    for dtype, shape in _ARRAY.findall(arrays):
        bits = 8 if dtype == "pred" else int(re.findall(r"\d+", dtype)[0])
        count = 1
        for length in filter(None, shape.split(",")):
            count *= int(length)
        total += count * bits // 8
    return total
