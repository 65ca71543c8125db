"""Decides by exit codes whether a job is restarted."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from .errors import DONE, MISTAKE, NON_FINITE, RESTART


class Next(Enum):
    """What to do next with all processes of a job."""

    WAIT = "wait"
    STOP = "stop"
    AGAIN = "again"


class Verdict(NamedTuple):
    """What to do next, and the job's exit code so far."""

    next: Next
    code: int


def judge(codes: Sequence[int | None], peers_elsewhere: bool) -> Verdict:
    """Decides what to do from the exit codes of a job's processes.

    3 (non-finite loss) and 2 (wrong usage or input) would only repeat, so they are final. 42 is
    restarted. Any other code is a crash: it is final on one machine, but with several machines it
    may be caused by the loss of another one, and the job is restarted.

    Args:
      codes: exit code of each process, None while it runs; negative for signals, as in Python.
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
    """An exit code as a shell reports it: -9 (a signal) becomes 137."""
    return 128 - code if code < 0 else code


def sentence(code: int) -> str:
    """A description of an exit code of `trm train`."""
    known = {
        DONE: "finished",
        MISTAKE: "wrong command or config; it is not started again",
        NON_FINITE: "the loss or a weight is not finite; it is not started again",
        RESTART: "interrupted after saving a checkpoint",
    }
    return known.get(code, f"crashed (exit code {code})")
