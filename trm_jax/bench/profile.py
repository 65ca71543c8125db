"""Traces a few calls of a program, and lists the operations that took longest."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

BY_OPERATION = "XLA Ops"
GPU, BY_KERNEL = "/device:GPU", "Stream"
"""Prefixes of the names of a GPU's planes in a trace, and of the lines of its kernels in them."""
CALLS = 3
TOP = 15
# The operations inside of these are listed by themselves.
CONTAINERS = {"while", "call", "conditional"}


def profile(call: Callable[[], Any], directory: str) -> dict[str, Any]:
    """Traces a few calls of a program that is already compiled and warm.

    Args:
      call: calls the program, and returns its result to wait for.
      directory: folder in which the profiler makes a folder for this trace.

    Returns:
      `trace`, the folder of the trace, and `top_operations`, see `top_operations`.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python calls would hide the rest
    with jax.profiler.trace(directory, profiler_options=options):
        for number in range(CALLS):
            with jax.profiler.StepTraceAnnotation("call", step_num=number):
                jax.block_until_ready(call())
    trace = max(Path(directory).glob("plugins/profile/*/*.xplane.pb"), key=_age)
    return {"trace": str(trace.parent), "top_operations": top_operations(trace, CALLS)}


def top_operations(trace: Path, calls: int) -> list[dict[str, Any]]:
    """The kinds of operations of a trace that took longest, longest first.

    Args:
      trace: an .xplane.pb file.
      calls: number of calls of the program in the trace.

    Returns:
      For each kind (the operation's name in the compiled program without its number, or on GPU the
      kernel's name): `operation`, `count` and `ms` per call, and `share` of the time of all
      operations. Times of operations that run at the same time are added, so their sum may exceed
      the time of a call. Empty if the trace has no operations.
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
    """Kind and milliseconds of each operation on the devices, or on the host if there are none."""
    planes = list(jax.profiler.ProfileData.from_file(str(trace)).planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    # the host's threads list operations of devices as well, when they dispatch them
    on_devices = [found for plane in devices for found in _of_plane(plane)]
    return on_devices or [found for plane in planes for found in _of_plane(plane)]


def _of_plane(plane: Any) -> Iterator[tuple[str, float]]:
    lines = list(plane.lines)
    streams = [line for line in lines if line.name.startswith(BY_KERNEL)]
    if plane.name.startswith(GPU) and streams:
        # by kernel, not by operation: a command buffer is one operation with many kernels
        for line in streams:
            for event in line.events:
                yield kernel_kind(event.name), event.duration_ns / 1e6
        return
    # a trace may list an accelerator's time several times: by module, by step, by operation
    only = [line for line in lines if line.name == BY_OPERATION]
    for line in only or lines:
        for event in line.events:
            named = dict(event.stats).get("hlo_op")
            if only and named is None:
                named = event.name.partition(" = ")[0].lstrip("%")
            if named and str(named).partition(".")[0] not in CONTAINERS:
                yield re.sub(r"(\.\d+)+$", "", str(named)), event.duration_ns / 1e6


def kernel_kind(name: str) -> str:
    """The kind of a kernel, from its name.

    Numbers at the end of XLA's names are removed, as in `loop_multiply_fusion_12`, and arguments of
    library kernels, which are C++ functions such as `void cutlass::Kernel2<...>(...)`.
    """
    if "(" in name or "<" in name:
        return name.removeprefix("void ").partition("(")[0]
    return re.sub(r"([._]+\d+)+$", "", name) or name


def _age(path: Path) -> float:
    return path.stat().st_mtime
