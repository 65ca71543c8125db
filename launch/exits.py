"""What follows from exit codes: the one place that decides whether a job starts again."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from .errors import DONE, MISTAKE, NON_FINITE, RESTART


class Next(Enum):
    """What to do with all processes of a job."""

    WAIT = "wait"
    STOP = "stop"
    AGAIN = "again"


class Verdict(NamedTuple):
    """What to do, and the job's exit code so far."""

    next: Next
    code: int


def judge(codes: Sequence[int | None], peers_elsewhere: bool) -> Verdict:
    """Reads the exit codes of a job's processes, None for those that still run.

    3 (a non-finite loss) and 2 (a mistake) would only repeat themselves and are never started
    again. 42 is. Any other code is a crash: final on one machine; where processes run on several
    machines it may be the echo of a lost neighbour, and is started again.

    Args:
      codes: one for each process; negative ones are signals, as Python reports them.
      peers_elsewhere: whether the processes run on more than one machine.
    """
    ended = [code for code in codes if code is not None]
    for final in (NON_FINITE, MISTAKE):
        if final in ended:
            return Verdict(Next.STOP, final)
    crashes = [code for code in ended if code not in (DONE, RESTART)]
    if crashes:
        return Verdict(Next.AGAIN if peers_elsewhere else Next.STOP, shell_code(crashes[0]))
    if len(ended) < len(codes):
        return Verdict(Next.WAIT, DONE)
    return Verdict(Next.AGAIN, RESTART) if RESTART in ended else Verdict(Next.STOP, DONE)


def shell_code(code: int) -> int:
    """A signal's negative number as a shell reports it: -9 is 137."""
    return 128 - code if code < 0 else code


def sentence(code: int) -> str:
    """What an exit code of `trm train` says."""
    known = {
        DONE: "done",
        MISTAKE: "a mistake in the command or config; it is not started again",
        NON_FINITE: "the loss or a weight is not finite; it is not started again",
        RESTART: "checkpointed and wants a restart",
    }
    return known.get(code, f"crashed (exit code {code})")
