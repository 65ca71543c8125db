"""Checkpoints of the whole experiment, saved with Orbax.

The position in the data stream is the step itself (batches are a function of the seed and the
step), so no iterator state is saved, and a run may resume on another number of processes.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers as ocm

from trm_jax.core.distributed import from_first
from trm_jax.core.errors import UserError
from trm_jax.core.files import writing
from trm_jax.data.rows import BLANK_ROWS, Rows
from trm_jax.models.weights import Weights
from trm_jax.train import hashes, soundness
from trm_jax.train.hashes import UnsoundError
from trm_jax.train.orbax_words import first_words, misfit, quiet
from trm_jax.train.soundness import DamagedError
from trm_jax.train.state import TrainState

KEEP_LATEST = 2
KEEP_BEST = 1


def _score(metrics: Mapping[str, float]) -> float:
    return metrics[soundness.SCORE]


class Checkpoints:
    """The checkpoints of a work directory: the newest two, and the best on held-out puzzles.

    Saving is asynchronous; `close`, or leaving a `with` block, waits for it. Incomplete saves are
    never read: Orbax renames a checkpoint into place when it is complete, after its files have been
    hashed (`hashes`). Whatever is read is checked against these hashes.
    """

    def __init__(self, directory: epath.PathLike, *, read_only: bool = False) -> None:
        """Opens an absolute directory, and creates it unless `read_only`."""
        self.directory = epath.Path(directory)
        self._read_only = read_only
        self._saving: int | None = None
        self._sound: set[int] = set()
        self._unsound: dict[int, str] = {}
        self._manager: ocp.CheckpointManager | None = None
        if not read_only:
            with writing(self.directory):
                self.directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        """Returns self."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for pending saves."""
        self.close()

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, in ascending order; some may be damaged."""
        return soundness.numbered(self.directory)

    def torn(self) -> list[str]:
        """Names of incomplete saves, which are never read."""
        return soundness.torn(self.directory)

    def go_on_from(self) -> tuple[int | None, list[str]]:
        """Finds the newest sound checkpoint to resume from, and sets damaged ones aside.

        With several processes, process 0 searches and the others get its result.

        Returns:
          The step, None if there is no checkpoint, and a message about each that was set aside.

        Raises:
          UserError: there are checkpoints but none of them is sound.
        """
        words: list[str] = []
        found = from_first(lambda: self._newest_sound(words))
        if self._manager is not None:
            self._manager.reload()
        if found < 0:
            return None, words
        self._sound.add(found)
        return found, words

    def _newest_sound(self, words: list[str]) -> int:
        """See `go_on_from`; -1 if there is no checkpoint."""
        found = soundness.unsound(self.directory, self._unsound)
        sound = [step for step in soundness.numbered(self.directory) if step not in found]
        lost = [step for step in found if soundness.held_work(self.directory, step)]
        if lost and not sound:
            raise UserError(
                f"Checkpoint {lost[-1]} in {self.directory} is damaged ({found[lost[-1]]}) and no "
                f"other one is sound; restore its files, or move {self.directory} away to start "
                "the training anew."
            )
        for step, reason in found.items():
            name = soundness.set_aside(self.directory, step)
            words.append(
                f"skipping {step} in {self.directory}, which is not a sound checkpoint ({reason}); "
                f"it was renamed to {name}"
            )
        self._unsound.clear()
        if not sound:
            return -1
        self._refuse_unsound(sound[-1])  # warns if it has no hashes
        return sound[-1]

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint; None if there is none."""
        return max(self.steps(), default=None)

    def best_step(self) -> int | None:
        """Step of the best checkpoint on held-out puzzles, or of the newest if none was scored."""
        scores = {step: soundness.score(self.directory / str(step)) for step in self.steps()}
        scored = [(score, step) for step, score in scores.items() if score is not None]
        return max(scored)[1] if scored else self.latest_step()

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
          step: number of updates done.
          state: the train state; or only its `weights` and `ema`, for `restore_weights`.
          meta: plain data to save with it.
          score: main score on the held-out split; None if it was not evaluated.
          rows: names of the puzzle table's rows.
        """
        marked = {**meta, soundness.MARK: hashes.FORMAT, soundness.NUMBER: step}
        items = {"state": ocp.args.StandardSave(state), "meta": ocp.args.JsonSave(marked)}
        if rows.grouped:
            names = {"first": rows.first, "transforms": rows.transforms}
            items["rows"] = ocp.args.StandardSave(names)
        if self._manager is None:  # not earlier: it fails on damaged checkpoints
            self._manager = _manager(self.directory, self._vouch)
        self._manager.wait_until_finished()  # as `save` would; until then the last one is hashed
        self._saving = step
        self._manager.save(
            step,
            args=ocp.args.Composite(**items),
            metrics=None if score is None else {soundness.SCORE: score},
            force=True,
        )

    def _vouch(self) -> None:
        """Hashes the checkpoint being saved; runs on process 0 once all files are written.

        Orbax calls it in the background before it renames the checkpoint into place, so that a
        kill at any time leaves no checkpoint in place without hashes.
        """
        place = self.directory / str(self._saving)
        draft = place.parent / f"{place.name}{soundness.TORN}"
        hashes.write(draft if draft.exists() else place)  # in a bucket it has its final name

    def restore(self, step: int, shapes: TrainState, shardings: TrainState) -> TrainState:
        """Restores a train state onto a mesh, which may differ from the one that saved it.

        Args:
          step: step of the checkpoint.
          shapes: a tree of `jax.ShapeDtypeStruct`, as from `jax.eval_shape`.
          shardings: sharding of each array.

        Raises:
          UserError: the checkpoint has other shapes than `shapes`, or is damaged.
        """
        target = jax.tree.map(
            lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
            shapes,
            shardings,
        )
        with self._reading(step, target):
            return self._read(step, state=ocp.args.StandardRestore(target))["state"]

    def rows(self, step: int, manifest: Mapping[str, Any]) -> Rows:
        """Restores the names of the puzzle table's rows.

        Args:
          step: step of the checkpoint.
          manifest: manifest of the dataset that was trained on, which names the puzzles.

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
        """Restores only the weights, for evaluation.

        Args:
          step: step of the checkpoint.
          weights: shapes of the weights.
          ema: shapes of the averages that replace weights; empty for none.
          shardings: sharding of each of the weights.

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
        """Reads items of a checkpoint."""
        # not with a manager, which reads the other checkpoints too, and with a new checkpointer
        # each time, since it remembers how it has read an item
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            return reader.restore(self.directory / str(step), args=ocp.args.Composite(**items))

    @contextlib.contextmanager
    def _reading(self, step: int, want: Any = None) -> Iterator[None]:
        """Context that turns errors of Orbax and its storage into a `UserError`."""
        if self._manager is not None:
            self._manager.wait_until_finished()
        self._refuse_unsound(step)
        other = None if want is None else misfit(self.directory / str(step) / "state", want)
        if other:  # checked first, since Orbax prints much besides raising an error
            raise UserError(
                f"Checkpoint {step} in {self.directory} does not fit this configuration "
                f"({other}); use the config.json with which it was trained."
            )
        try:
            with quiet():
                yield
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise self._damaged(step, f"it cannot be read: {first_words(error)}") from error

    def _refuse_unsound(self, step: int) -> None:
        """Checks a checkpoint against its hashes, once; warns if it has none."""
        if step in self._sound:
            return
        try:
            hashed = soundness.check(self.directory / str(step))
        except UnsoundError as error:
            raise self._damaged(step, str(error)) from error
        if not hashed:
            print(
                f"trm: checkpoint {step} in {self.directory} has no hashes, as an older version "
                "wrote it; it is read without a check",
                file=sys.stderr,
            )
        self._sound.add(step)

    def _damaged(self, step: int, reason: str) -> DamagedError:
        self._unsound[step] = reason
        return DamagedError(
            f"Checkpoint {step} in {self.directory} is damaged ({reason}); restore its files, or "
            f"{self._instead(step)}."
        )

    def _instead(self, step: int) -> str:
        """The remedy for a damaged checkpoint."""
        newest = soundness.newest_sound(self.directory, {step: "", **self._unsound})
        if newest is None:
            return "train in a new --workdir, since there is no other sound checkpoint"
        return (
            f"take another one with --checkpoint (the newest sound one is {newest}, from which "
            "`trm train` resumes)"
        )

    def close(self) -> None:
        """Waits for pending saves and releases Orbax's resources."""
        if self._manager is not None:
            self._manager.wait_until_finished()
            self._manager.close()


def _manager(directory: epath.Path, vouch: Callable[[], None]) -> ocp.CheckpointManager:
    """Orbax's manager, which saves checkpoints and deletes those that are not kept."""
    # Not max_to_keep with best_fn: that pair deletes the newest checkpoint if it scores badly.
    best = ocm.BestN(get_metric_fn=_score, n=KEEP_BEST, keep_checkpoints_without_metrics=False)
    options = ocp.CheckpointManagerOptions(
        preservation_policy=ocm.AnyPreservationPolicy([ocm.LatestN(KEEP_LATEST), best]),
        best_fn=_score,
        best_mode="max",
        create=True,
        async_options=ocp.AsyncOptions(post_finalization_callback=vouch),
    )
    return ocp.CheckpointManager(directory, options=options)
