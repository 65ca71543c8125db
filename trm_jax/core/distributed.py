"""Being one of several processes. One process alone is never asked to be."""

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
"""In what the runtime says when an exchange failed because another process is gone."""

HEARTBEAT_SECONDS = 30
"""A process that says nothing for so long is given up, and with it the others."""


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process_id: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Joins the other processes of a run, if there are any; before anything else of JAX.

    What is not given comes from the environment: TRM_COORDINATOR, TRM_NUM_PROCESSES and
    TRM_PROCESS_ID. With TRM_DISTRIBUTED=auto JAX finds out, from the metadata of Cloud TPU or the
    variables of SLURM or Kubernetes. With none of these there is nothing to join.

    Args:
      coordinator: HOST:PORT where process 0 can be reached.
      processes: how many there are.
      process_id: which one this is, from 0.
      environment: variables.

    Raises:
      UserError: only a part of it is known, or it makes no sense, or the others are not there.
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
            f"--num-processes and --process-id, or {', '.join(VARIABLES)}."
        )
    if ":" not in place or count < 1 or not 0 <= number < count:
        raise UserError(
            f"process {number} of {count} at {place!r} makes no sense; give HOST:PORT, and an id "
            "from 0 to one less than the number of processes."
        )
    if count > 1:
        _initialize(place, count, number)


def is_first() -> bool:
    """Whether this process is the one that writes and talks."""
    return jax.process_index() == 0


def check_agree(text: str, what: str) -> None:
    """Makes sure that all processes have the same.

    Args:
      text: of this process.
      what: it is, for the error.

    Raises:
      UserError: they differ.
    """
    if jax.process_count() == 1:
        return
    mine = np.frombuffer(hashlib.sha256(text.encode()).digest()[:4], np.int32)
    everyone = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1)
    if len(set(everyone.tolist())) > 1:
        different = [i for i, value in enumerate(everyone) if value != everyone[0]]
        raise UserError(
            f"process {', '.join(map(str, different))} has another {what} than process 0; "
            "give all processes the same command and the same data."
        )


def from_first(compute: Callable[[], int]) -> int:
    """A whole number that process 0 finds, and all others are told; what it does, is done then."""
    number = compute() if is_first() else 0
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.broadcast_one_to_all(np.int64(number).astype(np.int32)))


class Agreement:
    """A wish of one process that all of them learn of at the same time.

    It is asked for with one update and read with the next, so that nobody waits for it.
    """

    def __init__(self, mesh: Mesh) -> None:
        where = NamedSharding(mesh, PartitionSpec())
        self._split = NamedSharding(mesh, PartitionSpec(SLOTS))
        self._devices = mesh.size // jax.process_count()
        self._any = jax.jit(lambda wishes: wishes.max(), out_shardings=where)
        self._asked: jax.Array | None = None

    def exchange(self, wish: bool) -> bool:
        """Whether any process wished before, whatever this one wishes now.

        With a single process its own wish counts at once. All processes call this equally often.
        """
        if jax.process_count() == 1:
            return wish
        before, mine = self._asked, np.full(self._devices, wish, np.int32)
        self._asked = self._any(to_global(mine, self._split))
        return before is not None and bool(jax.device_get(before))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Work that all processes do: what fails in one of them ends it at once, see `leave`."""
    try:
        yield
    except BaseException as error:
        if jax.process_count() > 1:
            leave(error)
        raise


def leave(error: BaseException) -> NoReturn:
    """Ends this process at once: others that wait for it would wait in vain.

    A proper exit waits for all processes, and some of them may wait in a step for this one. So it
    says what is wrong, and is gone; the others then notice, and say so.
    """
    code = error.exit_code if isinstance(error, UserError) else 1
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if isinstance(error, jax.errors.JaxRuntimeError) and _LOST.search(str(error)):
        code = EXIT_RESTART_ME
        text = (
            f"another process of this run has ended or cannot be reached ({_first_line(error)}); "
            "start all of them again, they go on from the newest checkpoint."
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
