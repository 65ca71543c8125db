"""A trace of a few steady calls, and which operations took the time."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

BY_OPERATION = "XLA Ops"
GPU, BY_KERNEL = "/device:GPU", "Stream"
"""How the names of a GPU's planes, and in them of the lines of what ran on it, begin."""
CALLS = 3
TOP = 15
# What these take is what the operations inside them take, which are listed by themselves.
CONTAINERS = {"while", "call", "conditional"}


def profile(call: Callable[[], Any], directory: str) -> dict[str, Any]:
    """Traces a few calls of a program that has been called before.

    Args:
      call: gives something to wait for.
      directory: where the profiler makes a folder for this trace.

    Returns:
      `trace`, that folder, and `top_operations`; see `top_operations`.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python's own calls would bury the rest
    with jax.profiler.trace(directory, profiler_options=options):
        for number in range(CALLS):
            with jax.profiler.StepTraceAnnotation("call", step_num=number):
                jax.block_until_ready(call())
    trace = max(Path(directory).glob("plugins/profile/*/*.xplane.pb"), key=_age)
    return {"trace": str(trace.parent), "top_operations": top_operations(trace, CALLS)}


def top_operations(trace: Path, calls: int) -> list[dict[str, Any]]:
    """The operations of a trace that took longest, longest first.

    Args:
      trace: an .xplane.pb file.
      calls: of the program, in it.

    Returns:
      Of each kind of operation (its name in the compiled program without the number; on a GPU the
      kernel's own name) `operation`, `count` and `ms` per call, and `share` of the time of all
      operations. Where several run at once their times add up, so the sum may exceed the time of a
      call. Empty if there are none.
    """
    spent: dict[str, list[float]] = {}
    for name, milliseconds in _operations(trace):
        spent.setdefault(name, []).append(milliseconds)
    total = sum(sum(each) for each in spent.values())
    ordered = sorted(spent.items(), key=lambda item: -sum(item[1]))[:TOP]
    return [
        {
            "operation": name,
            "count": len(each) // calls,
            "ms": round(sum(each) / calls, 4),
            "share": round(sum(each) / total, 4) if total else 0.0,
        }
        for name, each in ordered
    ]


def _operations(trace: Path) -> list[tuple[str, float]]:
    """Kind and milliseconds of every operation that ran, on the devices where they have a clock."""
    planes = list(jax.profiler.ProfileData.from_file(str(trace)).planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    # the host's threads tell of a device's operations too, when they hand them over
    on_devices = [found for plane in devices for found in _of_plane(plane)]
    return on_devices or [found for plane in planes for found in _of_plane(plane)]


def _of_plane(plane: Any) -> Iterator[tuple[str, float]]:
    lines = list(plane.lines)
    streams = [line for line in lines if line.name.startswith(BY_KERNEL)]
    if plane.name.startswith(GPU) and streams:
        # not by the operation of the program: a command buffer is one, of many kernels
        for line in streams:
            for event in line.events:
                yield kernel_kind(event.name), event.duration_ns / 1e6
        return
    # an accelerator's time may be told several times over: by module, by step, by operation
    only = [line for line in lines if line.name == BY_OPERATION]
    for line in only or lines:
        for event in line.events:
            named = dict(event.stats).get("hlo_op")
            if only and named is None:
                named = event.name.partition(" = ")[0].lstrip("%")
            if named and str(named).partition(".")[0] not in CONTAINERS:
                yield re.sub(r"(\.\d+)+$", "", str(named)), event.duration_ns / 1e6


def kernel_kind(name: str) -> str:
    """A kernel's name without what tells it from others of its kind.

    XLA's own end in numbers, as `loop_multiply_fusion_12`; those of libraries are C++ functions,
    as `void cutlass::Kernel2<...>(...)`, of which the arguments are left out.
    """
    if "(" in name or "<" in name:
        return name.removeprefix("void ").partition("(")[0]
    return re.sub(r"([._]+\d+)+$", "", name) or name


def _age(path: Path) -> float:
    return path.stat().st_mtime
