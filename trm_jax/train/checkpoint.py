"""Checkpoints of the whole experiment, by Orbax: one save holds all that a resume needs.

The position in the data stream is the step itself (batches are a function of the seed and the
step), so no iterator state is saved, and a run may resume on another number of processes.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers as ocm

from trm_jax.core.errors import UserError
from trm_jax.data.rows import BLANK_ROWS, Rows
from trm_jax.models.weights import Weights
from trm_jax.train.state import TrainState

SCORE = "exact_accuracy"  # its name on disk, whatever the task's main score is
KEEP_LATEST = 2
KEEP_BEST = 1
MOST_REASON = 240


def _score(metrics: Mapping[str, float]) -> float:
    return metrics[SCORE]


def _is_news(record: logging.LogRecord) -> bool:
    """Orbax warns of what is meant here: saves without a score, opening read-only, and looking."""
    if record.exc_info and "orbax" in record.pathname:
        return False  # of a save in the background: it is raised in the foreground as well
    message = record.getMessage()
    meant = ("tracked_metric", "read_only", "read only", "Metadata file does", "get item metadata")
    return not any(words in message for words in meant)


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

    def torn(self) -> list[str]:
        """Names of saves that were cut short; they are never read."""
        if not self.directory.exists():
            return []
        names = (path.name for path in self.directory.iterdir())
        return sorted(name for name in names if ".orbax-checkpoint-tmp" in name)

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
        rows: Rows = BLANK_ROWS,
    ) -> None:
        """Starts saving; the state may be donated as soon as this returns.

        Args:
          step: updates done.
          state: the whole experiment; or its `weights` and `ema` alone, for `restore_weights`.
          meta: plain data kept beside it.
          score: the main score on the held-out slice, None where it was not measured.
          rows: whose the rows of the puzzle table are.
        """
        items = {"state": ocp.args.StandardSave(state), "meta": ocp.args.JsonSave(dict(meta))}
        if rows.grouped:
            names = {"first": rows.first, "transforms": rows.transforms}
            items["rows"] = ocp.args.StandardSave(names)
        self._manager.save(
            step,
            args=ocp.args.Composite(**items),
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
          UserError: the checkpoint has other shapes than `shapes`, or is damaged.
        """
        target = jax.tree.map(
            lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
            shapes,
            shardings,
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(target))
        with self._reading(step, target):
            return self._manager.restore(step, args=args)["state"]

    def rows(self, step: int, manifest: Mapping[str, Any]) -> Rows:
        """Whose the rows of the puzzle table are that a checkpoint holds.

        Args:
          step: one of the saved.
          manifest: of the data set that was trained on, which names the tasks.

        Raises:
          UserError: the checkpoint is damaged.
        """
        if "row_tasks" not in manifest:
            return BLANK_ROWS
        with self._reading(step):
            found = self._read(step, rows=ocp.args.StandardRestore())["rows"]
        first, transforms = np.asarray(found["first"]), np.asarray(found["transforms"])
        return Rows(tuple(manifest["row_tasks"]), first, transforms)

    def restore_weights(
        self, step: int, weights: Weights, ema: Mapping[str, Any], shardings: Weights
    ) -> Weights:
        """Reads the weights alone, for evaluation.

        Args:
          step: one of the saved.
          weights: their shapes.
          ema: shapes of the averages that are to take the weights' place, if any.
          shardings: where each of the weights goes.

        Raises:
          UserError: the checkpoint has other shapes, or is damaged.
        """
        want = jax.tree.map(
            lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
            {"weights": weights} | ({"ema": dict(ema)} if ema else {}),
            {"weights": shardings}
            | ({"ema": {name: getattr(shardings, name) for name in ema}} if ema else {}),
        )
        restore = ocp.args.PyTreeRestore(
            item=want,
            restore_args=ocp.checkpoint_utils.construct_restore_args(want),
            partial_restore=True,
        )
        with self._reading(step, want):
            found = self._read(step, state=restore)["state"]
        return found["weights"].replace(**found.get("ema", {}))

    def _read(self, step: int, **items: Any) -> Any:
        """Reads items of a checkpoint otherwise than `restore` does."""
        # a manager of its own: each remembers how it has read an item before
        options = ocp.CheckpointManagerOptions(read_only=True)
        with ocp.CheckpointManager(self.directory, options=options) as manager:
            return manager.restore(step, args=ocp.args.Composite(**items))

    @contextlib.contextmanager
    def _reading(self, step: int, want: Any = None) -> Iterator[None]:
        """Turns what Orbax and its storage say against reading a checkpoint into one sentence."""
        self._manager.wait_until_finished()
        misfit = None if want is None else self._misfit(step, want)
        if misfit:  # looked for first: Orbax fails loudly, and not only by raising
            raise UserError(
                f"Checkpoint {step} in {self.directory} does not fit this configuration "
                f"({misfit}); use the config.json with which it was trained."
            )
        try:
            with _quiet():
                yield
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise UserError(
                f"Checkpoint {step} in {self.directory} cannot be read ({_reason(error)}); restore "
                f"its files, or {self._instead(step)}."
            ) from error

    def _misfit(self, step: int, want: Any) -> str | None:
        """The first array that is saved in another shape than wanted, or not at all, in words."""
        try:
            with ocp.StandardCheckpointer() as reader:
                kept = _shapes(reader.metadata(self.directory / str(step) / "state").item_metadata)
        except (ValueError, KeyError, TypeError, OSError):
            kept = {}
        if not kept:
            return None  # it does not even say what it holds
        for name, shape in _shapes(want).items():
            if name not in kept:
                return f"it has no {name}"
            if kept[name] != shape:
                return f"{name} is {kept[name]} there and {shape} here"
        return None

    def _instead(self, step: int) -> str:
        """What to do about a checkpoint that is lost."""
        others = [other for other in self.steps() if other != step]
        if not others:
            return "train in a new --workdir, since there is no other checkpoint"
        return (
            f"take another one with --checkpoint (there are {', '.join(map(str, others))}); "
            f"training goes on from {others[-1]} once {self.directory / str(step)} is moved away"
        )

    def close(self) -> None:
        """Waits for the saves under way and lets go."""
        self._manager.wait_until_finished()
        self._manager.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps a failed read from printing tracebacks of what was still under way.

    They come from the storage's own threads, also after the read has failed; so the hook stays.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if str(error) != "Event loop is closed":
            before(kind, error, trace)

    sys.excepthook = hook
    yield
    sys.excepthook = before


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a tree, by its dotted name, whatever the tree is made of.

    Random keys are left out, whose shape on disk is that of their raw words.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_dotted(path): tuple(leaf.shape) for path, leaf in leaves if _is_plain(leaf)}


def _is_plain(leaf: Any) -> bool:
    """Whether a leaf is an array, or stands for one, and holds no random keys."""
    return hasattr(leaf, "shape") and not jax.numpy.issubdtype(leaf.dtype, jax.dtypes.extended)


def _dotted(path: tuple[Any, ...]) -> str:
    """A place in a tree as Orbax names it, whether its containers are classes, dicts or lists."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _reason(error: Exception) -> str:
    """The beginning of what an error says, in one line; the rest is for those who wrote Orbax."""
    text = " ".join((str(error) or type(error).__name__).split(" [")[0].split())
    return text if len(text) <= MOST_REASON else f"{text[:MOST_REASON]}..."
