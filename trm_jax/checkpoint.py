"""Checkpoints of the whole experiment, by Orbax: one save holds all that a resume needs.

The position in the data stream is the step itself (batches are a function of the seed and the
step), so no iterator state is saved, and a run may resume on another number of processes.
"""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import Mesh
from orbax.checkpoint import checkpoint_managers as ocm

from trm_jax.errors import UserError
from trm_jax.mesh import replicated
from trm_jax.state import TrainState, Weights

SCORE = "exact_accuracy"
KEEP_LATEST = 2
KEEP_BEST = 1


def _score(metrics: Mapping[str, float]) -> float:
    return metrics[SCORE]


def _is_news(record: logging.LogRecord) -> bool:
    """Orbax warns of what is meant here: saves without a score, and opening read-only."""
    message = record.getMessage()
    return not any(words in message for words in ("tracked_metric", "read_only", "read only"))


logging.getLogger("absl").addFilter(_is_news)


class Checkpoints:
    """The checkpoints of one work directory: the newest two, and the best on held-out puzzles.

    Saving is asynchronous; leave through `close` or a `with` block, which wait for it.
    A save that was cut short is never seen: Orbax renames it into place when it is complete.
    """

    def __init__(self, directory: epath.PathLike, *, read_only: bool = False) -> None:
        """Opens an absolute directory, and makes it if need be and allowed."""
        self.directory = epath.Path(directory)
        # Not max_to_keep with best_fn: that pair deletes the newest checkpoint if it scores badly.
        keep = ocm.AnyPreservationPolicy(
            [
                ocm.LatestN(KEEP_LATEST),
                ocm.BestN(
                    get_metric_fn=_score, n=KEEP_BEST, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=keep,
            best_fn=_score,
            best_mode="max",
            create=not read_only,
            read_only=read_only,
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> Self:
        """Gives itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for the saves under way."""
        self.close()

    def steps(self) -> list[int]:
        """The complete checkpoints, oldest first."""
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """The newest complete checkpoint, None where there is none."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The one that scored best on held-out puzzles; the newest where none was scored."""
        return self._manager.best_step() or self.latest_step()

    def save(
        self,
        step: int,
        state: TrainState | Mapping[str, Any],
        meta: Mapping[str, Any],
        score: float | None,
    ) -> None:
        """Starts saving; the state may be donated as soon as this returns.

        Args:
          step: updates done.
          state: the whole experiment; or its `weights` and `ema` alone, for `restore_weights`.
          meta: plain data kept beside it.
          score: exact accuracy on the held-out slice, None where it was not measured.
        """
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(dict(meta))
            ),
            metrics=None if score is None else {SCORE: score},
            force=True,
        )

    def restore(self, step: int, shapes: TrainState, shardings: TrainState) -> TrainState:
        """Reads a whole experiment onto a mesh, which may differ from the one that saved it.

        Args:
          step: one of the saved.
          shapes: a tree of `jax.ShapeDtypeStruct`, as `jax.eval_shape` gives.
          shardings: where each array goes.

        Raises:
          UserError: the checkpoint has other shapes than `shapes`.
        """
        target = jax.tree.map(
            lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
            shapes,
            shardings,
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(target))
        try:
            return self._manager.restore(step, args=args)["state"]
        except (ValueError, KeyError) as error:
            raise UserError(
                f"Checkpoint {step} in {self.directory} does not fit this configuration "
                f"({str(error).splitlines()[0]}); use the work directory's own."
            ) from error

    def restore_weights(
        self, step: int, weights: Weights, ema: Mapping[str, Any], mesh: Mesh
    ) -> Weights:
        """Reads the weights alone, for evaluation; each device gets all of them.

        Args:
          step: one of the saved.
          weights: their shapes.
          ema: shapes of the averages that are to take the weights' place, if any.
          mesh: of the devices that shall have them.
        """
        want = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=replicated(mesh)),
            {"weights": weights} | ({"ema": dict(ema)} if ema else {}),
        )
        restore = ocp.args.PyTreeRestore(
            item=want,
            restore_args=ocp.checkpoint_utils.construct_restore_args(want),
            partial_restore=True,
        )
        self._manager.wait_until_finished()
        # a manager of its own: each remembers how it has read an item before
        options = ocp.CheckpointManagerOptions(read_only=True)
        with ocp.CheckpointManager(self.directory, options=options) as manager:
            found = manager.restore(step, args=ocp.args.Composite(state=restore))["state"]
        return found["weights"].replace(**found.get("ema", {}))

    def close(self) -> None:
        """Waits for the saves under way and lets go."""
        self._manager.wait_until_finished()
        self._manager.close()
