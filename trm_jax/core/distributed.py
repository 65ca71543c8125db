"""Runs of several processes: joining them, agreeing on values, ending together.

With a single process, nothing here needs to be configured.
"""

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trm_jax.core.errors import EXIT_RESTART_ME, UserError
from trm_jax.core.mesh import SLOTS, to_global

VARIABLES = ("TRM_COORDINATOR", "TRM_NUM_PROCESSES", "TRM_PROCESS_ID")
AUTOMATIC = "TRM_DISTRIBUTED"
_LOST = re.compile(r"gloo|connection|socket|peer|heartbeat|coordination|unavailable", re.IGNORECASE)
"""Matches the runtime's error messages when communication fails because a process has ended."""

HEARTBEAT_SECONDS = 30
"""Seconds without a heartbeat after which a process counts as lost and the run ends."""


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Joins the other processes of a run, if there are any. Call it before any other use of JAX.

    Arguments that are None are read from the environment: TRM_COORDINATOR, TRM_NUM_PROCESSES and
    TRM_PROCESS_ID. With TRM_DISTRIBUTED=auto JAX detects them, from the metadata of Cloud TPU or
    the variables of SLURM or Kubernetes. With none of these, the process runs alone.

    Args:
      coordinator: address of process 0, HOST:PORT.
      processes: number of processes.
      process_id: index of this process, from 0.
      environment: environment variables.

    Raises:
      UserError: the three values are given only in part or are invalid, or the other processes
        cannot be reached.
    """
    place, *numbers = (environment.get(name) for name in VARIABLES)
    place = coordinator or place
    given = (processes, process_id)
    count, number = (
        _number(name, text) if value is None else value
        for name, text, value in zip(VARIABLES[1:], numbers, given, strict=True)
    )
    known = [value is not None for value in (place or None, count, number)]
    if not any(known):
        automatic = environment.get(AUTOMATIC, "")
        if automatic not in ("", "0", "auto"):
            raise UserError(f"{AUTOMATIC} is {automatic!r}; set it to 'auto', or leave it out.")
        if automatic == "auto":
            _initialize()
        return
    if place is None or count is None or number is None:
        missing = [name for name, there in zip(VARIABLES, known, strict=True) if not there]
        raise UserError(
            f"{' and '.join(missing)} missing; several processes need --coordinator, "
            f"--num_processes and --process_id, or {', '.join(VARIABLES)}."
        )
    if ":" not in place or count < 1 or not 0 <= number < count:
        raise UserError(
            f"process {number} of {count} at {place!r} is invalid; give HOST:PORT, and an id "
            "from 0 to one less than the number of processes."
        )
    if count > 1:
        _initialize(place, count, number)


def is_first() -> bool:
    """Whether this is process 0, which alone writes logs and prints."""
    return jax.process_index() == 0


def check_agree(text: str, what: str) -> None:
    """Checks that all processes have the same text.

    Args:
      text: this process's text.
      what: name of the text in the error message.

    Raises:
      UserError: the texts differ.
    """
    if jax.process_count() == 1:
        return
    mine = np.frombuffer(hashlib.sha256(text.encode()).digest()[:4], np.int32)
    everyone = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1)
    if len(set(everyone.tolist())) > 1:
        different = [i for i, value in enumerate(everyone) if value != everyone[0]]
        raise UserError(
            f"process {', '.join(map(str, different))} has a different {what} than process 0; "
            "give all processes the same command and the same data."
        )


def from_first(compute: Callable[[], int]) -> int:
    """Runs `compute` on process 0 alone and returns its result, an integer, on all processes."""
    number = compute() if is_first() else 0
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.broadcast_one_to_all(np.int64(number).astype(np.int32)))


class Agreement:
    """A request of any process, such as to stop, that all processes see at the same update.

    It is sent with one update and read with the next, so that no process has to wait for it.
    """

    def __init__(self, mesh: Mesh) -> None:
        where = NamedSharding(mesh, PartitionSpec())
        self._split = NamedSharding(mesh, PartitionSpec(SLOTS))
        self._devices = mesh.size // jax.process_count()
        self._any = jax.jit(lambda wishes: wishes.max(), out_shardings=where)
        self._asked: jax.Array | None = None

    def exchange(self, wish: bool) -> bool:
        """Sends this process's request; returns whether any process made one in the last call.

        A single process gets its own request back at once. All processes must call this equally
        often.
        """
        if jax.process_count() == 1:
            return wish
        before, mine = self._asked, np.full(self._devices, wish, np.int32)
        self._asked = self._any(to_global(mine, self._split))
        return before is not None and bool(jax.device_get(before))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Context for work that all processes do together: an error ends this process, see `leave`."""
    try:
        yield
    except BaseException as error:
        if jax.process_count() > 1:
            leave(error)
        raise


def leave(error: BaseException) -> NoReturn:
    """Prints the error and ends this process at once, without a regular shutdown.

    JAX's regular shutdown waits for all processes, and some of them may be waiting for this one
    inside a training step. The others notice the missing heartbeat and end with an error too.
    """
    code = error.exit_code if isinstance(error, UserError) else 1
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if isinstance(error, jax.errors.JaxRuntimeError) and _LOST.search(str(error)):
        code = EXIT_RESTART_ME
        text = (
            f"another process of this run has ended or cannot be reached ({_first_line(error)}); "
            "start all of them again, and they resume from the newest checkpoint."
        )
    print(f"trm: process {jax.process_index()}: {text}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def _initialize(
    coordinator: str | None = None, processes: int | None = None, process_id: int | None = None
) -> None:
    try:
        jax.distributed.initialize(
            coordinator, processes, process_id, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
        )
    except (RuntimeError, ValueError) as error:
        at = f" at {coordinator}" if coordinator else ""
        raise UserError(
            f"the other processes{at} could not be joined ({_first_line(error)}); start all of "
            "them within five minutes, with the same address."
        ) from error


def _number(name: str, text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not text.isdigit():
        raise UserError(f"{name} is {text!r}; it must be a whole number.")
    return int(text)


def _first_line(error: BaseException) -> str:
    lines = [line.strip().rstrip(".:") for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]
