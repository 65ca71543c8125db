"""A trace of a few steady calls, and which operations took the time."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

BY_OPERATION = "XLA Ops"
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
      Of each kind of operation (its name in the compiled program without the number) `operation`,
      `count` and `ms` per call, and `share` of the time of all operations. Where several run at
      once their times add up, so the sum may exceed the time of a call. Empty if there are none.
    """
    spent: dict[str, list[float]] = {}
    for name, milliseconds in _operations(trace):
        spent.setdefault(re.sub(r"(\.\d+)+$", "", name), []).append(milliseconds)
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
    """Name and milliseconds of every operation that ran, on the devices where they have a clock."""
    planes = list(jax.profiler.ProfileData.from_file(str(trace)).planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    # the host's threads tell of a device's operations too, when they hand them over
    on_devices = [found for plane in devices for found in _of_plane(plane)]
    return on_devices or [found for plane in planes for found in _of_plane(plane)]


def _of_plane(plane: Any) -> Iterator[tuple[str, float]]:
    lines = list(plane.lines)
    # an accelerator's time may be told several times over: by module, by step, by operation
    only = [line for line in lines if line.name == BY_OPERATION]
    for line in only or lines:
        for event in line.events:
            named = dict(event.stats).get("hlo_op")
            if only and named is None:
                named = event.name.partition(" = ")[0].lstrip("%")
            if named and str(named).partition(".")[0] not in CONTAINERS:
                yield str(named), event.duration_ns / 1e6


def _age(path: Path) -> float:
    return path.stat().st_mtime
