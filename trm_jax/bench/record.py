"""One record of a benchmark: everything measured, and what it takes to measure it again."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.bench.peer import Peer, check, compared
from trm_jax.bench.processes import TUNABLES, Job, run_worker
from trm_jax.config.experiment import Experiment

PARTS = ("train", "rollout", "input", "checkpoint", "startup")
PROGRAMS = PARTS[:2]
LIBRARIES = ("trm-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
NO_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
NO_COMMAND_BUFFERS = "--xla_gpu_enable_command_buffer="
"""An empty list of what goes into command buffers, each of which hides many kernels in a trace."""
WHOLE_CACHE = {
    "JAX_ENABLE_COMPILATION_CACHE": "true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


@dataclasses.dataclass(frozen=True)
class Bench:
    """A benchmark.

    Attributes:
      experiment: its model, batch size, kind of puzzle, table and mesh are used.
      repeats: timed calls of each part.
      scratch: where temporary files go; None for the system's place.
      trace: where traces of the programs go; None for no traces.
      peer: to be timed in turn with our programs, if any.
      rounds: turns that each of the two has.
      lock: file that says whose turn on the device it is (`turns`); None where nobody else runs.
      compile_limit: seconds that compiling may take under that lock, 0 for any.
    """

    experiment: Experiment
    repeats: int = 10
    scratch: str | None = None
    trace: str | None = None
    peer: Peer | None = None
    rounds: int = 1
    lock: str | None = None
    compile_limit: float = 0.0

    def record(self, what: str) -> dict[str, Any]:
        """Measures, each part in a process of its own.

        Args:
          what: one of PARTS, or "all", which is the train step's record with the others in it,
            each under its name.

        Returns:
          `seconds` and the rest of what is measured (see `measures`), the settings, date, versions
          and device.

        Raises:
          UserError: something cannot be measured.
        """
        if self.peer:
            check(self.experiment)
        parts = {"all": PARTS, "input": ("train", "input")}.get(what, (what,))
        found = {}
        for part in parts:
            found[part] = self._part(part)
            print(f"{part}: {found[part]['seconds']:.4g} s", file=sys.stderr)
        if "input" in found:
            consumed = found["train"]["examples_per_s"]
            found["input"]["train_examples_per_s"] = consumed
            ratio = found["input"]["examples_per_s"] / consumed
            found["input"]["times_the_train_step"] = round(ratio, 2)
        main = found.pop("train" if what == "all" else what)
        others = found if what == "all" else {}
        return {"peer": "trm_jax", "what": what, **_about(self.experiment), **main, **others}

    def _part(self, part: str) -> dict[str, Any]:
        if part in PROGRAMS:
            return self._program(part)
        if part == "startup":
            return self._startup()
        found = self._work(part)
        if part == "input":
            found["examples_per_s"] = round(self.experiment.batch_size / found["seconds"], 2)
        return found

    def _program(self, part: str) -> dict[str, Any]:
        """Our turns and the peer's, one after the other, and what follows from their seconds."""
        ours: list[dict[str, Any]] = []
        theirs = []
        for _ in range(self.rounds):
            ours.append(self._work(part))
            if self.peer:
                theirs.append(self.peer.run(self.experiment, ours[0], part, self.repeats))
        found = speed(ours, self.experiment.batch_size)
        if theirs:
            found |= compared([turn["seconds"] for turn in ours], theirs)
        return found | self._profile(part, ours[0]["platform"]) if self.trace else found

    def _profile(self, part: str, platform: str) -> dict[str, Any]:
        """A trace, from a process that times nothing: on a GPU it runs without command buffers."""
        environment = dict(NO_CACHE)
        if platform == "gpu":
            before = os.environ.get("XLA_FLAGS", "")
            environment["XLA_FLAGS"] = f"{before} {NO_COMMAND_BUFFERS}".strip()
        return self._work(part, self.trace, environment)

    def _startup(self) -> dict[str, Any]:
        """From nothing to the first update, twice: the second process finds it compiled."""
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="trm-bench-") as cache:
            environment = WHOLE_CACHE | {"JAX_COMPILATION_CACHE_DIR": cache}
            first = self._work("startup", environment=environment)
            second = self._work("startup", environment=environment)
        cached = {key: value for key, value in second.items() if key.endswith("seconds")}
        return first | {"with_cache": cached}

    def _work(
        self, part: str, trace: str | None = None, environment: Mapping[str, str] = NO_CACHE
    ) -> dict[str, Any]:
        job = Job(
            part=part,
            experiment=self.experiment.to_dict(),
            repeats=self.repeats,
            trace=trace,
            scratch=self.scratch,
            started=0.0,
            lock=self.lock,
            compile_limit=self.compile_limit,
        )
        return run_worker(job, environment)


def speed(turns: Sequence[dict[str, Any]], batch_size: int) -> dict[str, Any]:
    """One report of a program from those of several turns, and the rates that follow from it.

    Seconds and ceiling are medians, the spread is over all turns, the rest is the first turn's.
    """
    found = dict(turns[0])
    flops, seconds = found.pop("flops"), statistics.median(turn["seconds"] for turn in turns)
    ceiling = statistics.median(turn["ceiling"] for turn in turns)
    del found["ceiling"]
    spreads = [turn["spread"] for turn in turns]
    return found | {
        "seconds": round(seconds, 5),
        "spread": [min(low for low, _ in spreads), max(high for _, high in spreads)],
        "compile_seconds": round(found["compile_seconds"], 2),
        "examples_per_s": round(batch_size / seconds, 2),
        "tflop_per_step": round(flops / 1e12, 4),
        "tflops_per_s": round(flops / seconds / 1e12, 3),
        "ceiling_tflops_per_s": round(ceiling / 1e12, 3),
        "share_of_ceiling": round(flops / seconds / ceiling, 4),
    }


def _about(experiment: Experiment) -> dict[str, Any]:
    """Settings, date, versions, machine."""
    config = experiment.to_dict()
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "name": experiment.name,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "jax": importlib.metadata.version("jax"),
        "versions": {library: _version(library) for library in LIBRARIES},
        "processor": _processor(),
        "cores": cores,
        "glibc_tunables": os.environ.get(TUNABLES, ""),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "batch": experiment.batch_size,
        "model": config.pop("model"),
        "config": config,
    }


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source tree, with a + where something in it is changed; None elsewhere."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    """Name of the processor, so far as the system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
