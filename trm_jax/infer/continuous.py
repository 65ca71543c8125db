"""Continuous batching: questions enter and leave a compiled program between its calls.

A program has a fixed number of rows, each with or without a question. A call puts new questions
into rows and advances all slots by a few supervision steps; it returns as soon as a row is done.
The state stays on the device.
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
"""Change of a row before a call: none, a new question enters, the question is given up."""


class Entering(struct.PyTreeNode):
    """The changes of M rows before a call.

    Attributes:
      inputs: uint8 [M, S], the new questions; used in rows with ENTERS.
      change: int8 [M], STAYS, ENTERS or LEAVES.
    """

    inputs: Any
    change: Any


class Report(struct.PyTreeNode):
    """M rows after a call.

    Attributes:
      done: bool [M], whether the row has ended in this call.
      answers: uint8 [M, S], token ids; valid if `done`.
      confident: bool [M], whether the row ended because the model was confident or the search found
        an answer; otherwise its steps or passes are used up.
      confidence: float32 [M], halting probability; for a search 1 with an answer and 0 without.
      steps: int32 [M], number of supervision steps, or of rounds of a search.
      passes: int32 [M], number of network passes; for a search, of all chains.
      taken: int32 (), number of steps of all slots in this call.
    """

    done: Any
    answers: Any
    confident: Any
    confidence: Any
    steps: Any
    passes: Any
    taken: Any


class Advanced(NamedTuple):
    """The results of a call, as NumPy arrays.

    Attributes:
      report: report of all rows.
      record: record of the steps, for `Continuous.part_of`; None if it was not requested.
    """

    report: Report
    record: Any


class Continuous(abc.ABC):
    """A model's program for continuous batching; the constructor compiles it.

    Attributes:
      rows: M, maximum number of questions in the program.
      slots: B, number of slots of the batch.
      abstains: whether the model gives no answer if it is not confident.
    """

    rows: int
    slots: int
    abstains: ClassVar[bool] = False

    def __init__(self, weights: Any, mesh: Mesh, cells: int, rows: int, slots: int) -> None:
        """Compiles the program in two forms, with and without a record of each step.

        Args:
          weights: the weights that `_advance` takes.
          mesh: mesh that the slots are split over.
          cells: S, number of cells of a question.
          rows: M, number of rows.
          slots: B, number of slots.
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
        """No change of any row, as new arrays that may be written to."""
        inputs = np.zeros((self.rows, self._cells), np.uint8)
        return Entering(inputs, np.zeros((self.rows,), np.int8))

    def advance(self, entering: Entering, *, record: bool = False) -> Advanced:
        """Advances all rows until one is done, at most by the steps of one call.

        Args:
          entering: changes of the rows; a question that enters replaces the one in its row.
          record: whether each step is recorded.
        """
        self._state, report, kept = self._programs[record](self._weights, self._state, entering)
        report, kept = jax.device_get((report, kept))
        return Advanced(report, kept if record else None)

    @abc.abstractmethod
    def part_of(self, row: int, advanced: Advanced) -> Any:
        """The steps of a row in a call with a record."""

    @abc.abstractmethod
    def path_of(self, parts: list[Any]) -> Answers | Watched:
        """The path of a question, from the parts of all its calls."""

    @abc.abstractmethod
    def _begin(self) -> Any:
        """The state of M empty rows, on the mesh."""

    @abc.abstractmethod
    def _advance(
        self, weights: Any, state: Any, entering: Entering, *, record: bool
    ) -> tuple[Any, Report, Any]:
        """Returns the state after a call, the report, and the record or (); traced by JAX."""
