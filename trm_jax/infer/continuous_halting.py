"""Continuous batching of recursive models: a row is a slot, and halts as in `infer.halting`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh

from trm_jax.core.mesh import over_slots, whole_slots
from trm_jax.infer.continuous import ENTERS, LEAVES, Advanced, Continuous, Entering, Report
from trm_jax.infer.halting import Attempts, Halt, begin_again, take_step
from trm_jax.infer.rollout import Answers, OnDevices, answers_and_confidence
from trm_jax.models import AnyModel, puzzle_table
from trm_jax.models.weights import Weights


class _Rows(struct.PyTreeNode):
    """B rows with questions `inputs`, int32 [B, S]; `busy`, bool [B], says which have one."""

    attempts: Attempts
    inputs: jax.Array
    busy: jax.Array


class _Loop(struct.PyTreeNode):
    """The carry of a call's loop: `done` and `confident` bool [B], `halt_logits` float32 [B]."""

    rows: _Rows
    taken: jax.Array
    done: jax.Array
    confident: jax.Array
    halt_logits: jax.Array
    record: Any


class ContinuousHalting(Continuous):
    """The program of a recursive model; its answers are those of `trm eval --halt`."""

    def __init__(
        self,
        model: AnyModel,
        weights: Weights,
        mesh: Mesh,
        batch_size: int,
        halt: Halt,
        steps_per_call: int,
    ) -> None:
        """Compiles the program.

        Args:
          model: from the registry, not a lattice model.
          weights: usually the averaged ones.
          mesh: mesh that the rows are split over.
          batch_size: number of rows; rounded up to a multiple of the devices.
          halt: the halting rule.
          steps_per_call: maximum number of supervision steps of a call.
        """
        self.model, self.mesh, self.halt = model, mesh, halt
        self.steps_per_call = steps_per_call
        self._on_devices = OnDevices(model, mesh)
        rows = whole_slots(batch_size, mesh)
        self.rows = rows
        super().__init__(weights, mesh, model.config.cells, rows, rows)

    def part_of(self, row: int, advanced: Advanced) -> Answers:
        """See `Continuous`: arrays [t, ...] of the t steps of the call."""
        taken = int(advanced.report.taken)
        part: Answers = jax.tree.map(lambda a: np.array(a[:taken, row]), advanced.record)
        return part

    def path_of(self, parts: list[Any]) -> Answers:
        """See `Continuous`: the answers after all steps, [N, S] and [N]."""
        path: Answers = jax.tree.map(lambda *a: np.concatenate(a), *parts)
        return path

    def _begin(self) -> _Rows:
        config, split = self.model.config, over_slots(self.mesh)

        def empty(weights: Weights) -> _Rows:
            count = jnp.zeros((self.rows,), jnp.int32)
            inputs = jnp.zeros((self.rows, config.cells), jnp.int32)
            attempts = Attempts(
                latents=self.model.start(weights.initial, inputs),
                steps=count,
                same=count,
                last=inputs.astype(jnp.uint8),
            )
            return _Rows(attempts, inputs, jnp.zeros((self.rows,), bool))

        return jax.jit(empty, out_shardings=split)(self._weights)

    def _advance(
        self, weights: Weights, state: _Rows, entering: Entering, *, record: bool
    ) -> tuple[_Rows, Report, Any]:
        new = entering.change == ENTERS
        inputs = jnp.where(new[:, None], entering.inputs.astype(jnp.int32), state.inputs)
        busy = new | (state.busy & (entering.change != LEAVES))
        begin = self.model.start(weights.initial, inputs)
        attempts = begin_again(state.attempts, new, begin)
        # puzzles without their own row use row 0 of the table
        ids = jnp.zeros((self.rows,), jnp.int32)
        table_rows = puzzle_table.lookup(weights.table, ids, self.mesh)
        no_rows = jnp.zeros((self.rows,), bool)
        start = _Loop(
            rows=_Rows(attempts, inputs, busy),
            taken=jnp.zeros((), jnp.int32),
            done=no_rows,
            confident=no_rows,
            halt_logits=jnp.zeros((self.rows,), jnp.float32),
            record=self._empty_record() if record else (),
        )

        def step(now: _Loop) -> _Loop:
            attempts, output, confident = take_step(
                self._on_devices, weights.params, now.rows.attempts, inputs, table_rows, self.halt
            )
            kept = now.record
            if record:
                said = answers_and_confidence(output)
                kept = jax.tree.map(lambda a, new: a.at[now.taken].set(new), kept, said)
            return _Loop(
                rows=now.rows.replace(attempts=attempts),
                taken=now.taken + 1,
                done=busy & (confident | (attempts.steps >= self.halt.max_steps)),
                confident=confident,
                halt_logits=output.halt_logits,
                record=kept,
            )

        end = jax.lax.while_loop(self._goes_on, step, start)
        report = Report(
            done=end.done,
            answers=end.rows.attempts.last,
            confident=end.confident,
            confidence=jax.nn.sigmoid(end.halt_logits),
            steps=end.rows.attempts.steps,
            passes=end.rows.attempts.steps,
            taken=end.taken,
        )
        return end.rows.replace(busy=busy & ~end.done), report, end.record

    def _goes_on(self, now: _Loop) -> jax.Array:
        left = (now.taken < self.steps_per_call) & jnp.any(now.rows.busy)
        return left & ~jnp.any(now.done)

    def _empty_record(self) -> Answers:
        form = (self.steps_per_call, self.rows)
        cells = (*form, self.model.config.cells)
        return Answers(
            jnp.zeros(cells, jnp.uint8), jnp.zeros(form, jnp.float32), jnp.zeros(cells, jnp.float16)
        )
