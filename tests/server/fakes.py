"""A program without a model, to try what is around it."""

import threading
import time

import numpy as np

from trm_jax.infer.continuous import ENTERS, LEAVES, Advanced, Entering, Report
from trm_jax.infer.rollout import Answers


class FakeProgram:
    """Answers a question of S cells with other tokens after as many calls as its first cell says.

    Attributes:
      gate: calls wait until it is set.
      error: is raised by the next call, where it is not None.
      calls: so many there have been.
      flip: answers are questions whose tokens are XORed with it.
    """

    abstains = False

    def __init__(self, rows=2, cells=4, seconds=0.0):
        self.rows = self.slots = rows
        self.cells, self.seconds = cells, seconds
        self.gate, self.error, self.calls = threading.Event(), None, 0
        self.gate.set()
        self.flip = 1
        self.entered = []
        self._left = np.zeros(rows, int)
        self._inputs = np.zeros((rows, cells), np.uint8)

    def nothing(self):
        return Entering(np.zeros((self.rows, self.cells), np.uint8), np.zeros(self.rows, np.int8))

    def advance(self, entering, *, record=False):
        self.calls += 1
        assert self.gate.wait(120)
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        enters = entering.change == ENTERS
        self.entered += entering.inputs[enters].tolist()
        self._inputs[enters] = entering.inputs[enters]
        self._left[enters] = entering.inputs[enters, 0]
        self._left[entering.change == LEAVES] = 0
        busy = self._left > 0
        self._left[busy] -= 1
        ones = np.ones(self.rows)
        done = busy & (self._left == 0)
        steps = self._inputs[:, 0].astype(int)
        answers = self._inputs ^ np.uint8(self.flip)
        report = Report(done, answers, done, 0.75 * ones, steps, steps, np.int32(1))
        return Advanced(report, () if record else None)

    def part_of(self, row, advanced):
        return row

    def path_of(self, parts):
        return parts


class TracedProgram(FakeProgram):
    """Answers with the question itself, and records this for traces."""

    def __init__(self, cells):
        super().__init__(rows=1, cells=cells)
        self.flip = 0

    def part_of(self, row, advanced):
        return advanced.report.answers[row].copy()

    def path_of(self, parts):
        path = np.stack(parts)
        return Answers(path, np.zeros(len(path), np.float32), np.ones(path.shape, np.float16))
