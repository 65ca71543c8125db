"""Continuous batching: questions enter and leave a compiled program between its calls.

A program has a fixed number of rows, each with a question or without one. A call puts new
questions into rows and advances all slots by a few supervision steps; it returns as soon as a row
is done. The state stays on the device.
"""

import abc
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.mesh import replicated
from trm_jax.infer.rollout import Answers
from trm_jax.infer.watch import Watched

STAYS, ENTERS, LEAVES = range(3)
"""What happens to a row before a call: nothing, a new question comes, its question is given up."""


class Entering(struct.PyTreeNode):
    """What changes in M rows before a call.

    Attributes:
      inputs: uint8 [M, S], the questions of rows that one enters.
      change: int8 [M], one of the constants above.
    """

    inputs: Any
    change: Any


class Report(struct.PyTreeNode):
    """M rows after a call.

    Attributes:
      done: bool [M], the row has come to its end in this call.
      answers: uint8 [M, S], token ids; of use where `done`.
      confident: bool [M], whether it ended because the model was confident of its answer, or the
        search found one; else its steps or passes were used up.
      confidence: float32 [M], halting probability; of a search 1 for an answer, 0 for none.
      steps: int32 [M], supervision steps, or rounds of a search.
      passes: int32 [M], network passes; of a search those of all chains.
      taken: int32 (), steps that all slots took in this call.
    """

    done: Any
    answers: Any
    confident: Any
    confidence: Any
    steps: Any
    passes: Any
    taken: Any


class Advanced(NamedTuple):
    """What a call gives, as NumPy arrays.

    Attributes:
      report: of all rows.
      record: of the steps taken, for `Continuous.part_of`; None where none was asked for.
    """

    report: Report
    record: Any


class Continuous(abc.ABC):
    """A model's program for continuous batching, compiled when it is made.

    Attributes:
      rows: M, questions in the program at most.
      slots: B, of a batch.
      abstains: whether there is no answer where the model is not confident of one.
    """

    rows: int
    slots: int
    abstains: ClassVar[bool] = False

    def __init__(self, weights: Any, mesh: Mesh, cells: int, rows: int, slots: int) -> None:
        """Compiles the program in two forms, with and without a record of each step.

        Args:
          weights: what `_advance` takes.
          mesh: slots are split over it.
          cells: S.
          rows: M.
          slots: B.
        """
        self.rows, self.slots = rows, slots
        self._weights, self._cells = weights, cells
        self._state = self._begin()
        places = jax.tree.map(lambda a: a.sharding, self._state)
        everywhere = replicated(mesh)
        self._programs: dict[bool, Any] = {}
        for record in (False, True):
            advance = functools.partial(self._advance, record=record)
            jitted = jax.jit(
                advance,
                in_shardings=(None, places, everywhere),
                out_shardings=(places, everywhere, everywhere),
                donate_argnums=1,
            )
            lowered = jitted.lower(weights, self._state, self.nothing())
            self._programs[record] = lowered.compile()
            self.advance(self.nothing(), record=record)

    def nothing(self) -> Entering:
        """No change in any row; its arrays are new, to be written into."""
        inputs = np.zeros((self.rows, self._cells), np.uint8)
        return Entering(inputs, np.zeros((self.rows,), np.int8))

    def advance(self, entering: Entering, *, record: bool = False) -> Advanced:
        """Advances all rows until one is done, or by the steps of a call.

        Args:
          entering: NumPy arrays; a question that enters a row takes the place of one in it.
          record: whether each step is recorded.
        """
        self._state, report, kept = self._programs[record](self._weights, self._state, entering)
        report, kept = jax.device_get((report, kept))
        return Advanced(report, kept if record else None)

    @abc.abstractmethod
    def part_of(self, row: int, advanced: Advanced) -> Any:
        """What a row did in a call with a record."""

    @abc.abstractmethod
    def path_of(self, parts: list[Any]) -> Answers | Watched:
        """The whole path of a question, from what its row did in all of its calls."""

    @abc.abstractmethod
    def _begin(self) -> Any:
        """The state of M empty rows, on the mesh."""

    @abc.abstractmethod
    def _advance(
        self, weights: Any, state: Any, entering: Entering, *, record: bool
    ) -> tuple[Any, Report, Any]:
        """Traced: the state after a call, the report, and the record, () for none."""
