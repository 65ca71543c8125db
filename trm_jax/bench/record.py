"""The record of a benchmark: its measurements, and all that is needed to repeat them."""

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
"""Disables command buffers, each of which hides many kernels in a trace."""
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
      repeats: number of timed calls of each part.
      scratch: folder for temporary files; None for the system's.
      trace: folder for traces of the programs; None for no traces.
      peer: peer to time in alternation with this package's programs, if any.
      rounds: number of turns of each.
      lock: lock file with which processes take turns on the device (`turns`); None for no lock.
      compile_limit: seconds that compiling may take under that lock; 0 for no limit.
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
        """Measures one or all parts, each in a process of its own.

        Args:
          what: one of PARTS, or "all": the record of the train step, with those of the other
            parts under their names.

        Returns:
          `seconds` and the other measurements (see `measures`), settings, date, versions and
          device.

        Raises:
          UserError: a part cannot be measured.
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
        """Times the program and the peer in alternation, and computes rates and ratios."""
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
        """Traces in a separate process; on GPU it runs without command buffers."""
        environment = dict(NO_CACHE)
        if platform == "gpu":
            before = os.environ.get("XLA_FLAGS", "")
            environment["XLA_FLAGS"] = f"{before} {NO_COMMAND_BUFFERS}".strip()
        return self._work(part, self.trace, environment)

    def _startup(self) -> dict[str, Any]:
        """Times start-up to the first update twice, without and with the compilation cache."""
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
    """Combines the reports of several turns of a program, and computes its rates.

    Seconds and ceiling are medians, the spread is over all turns, other entries are the first's.

    Args:
      turns: reports of the turns.
      batch_size: examples per update or rollout.
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
    """The settings, date, versions and machine."""
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
    """The commit of the source tree, followed by + if it has changes; None outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def _processor() -> str:
    """Name of the processor, if the system reports it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
