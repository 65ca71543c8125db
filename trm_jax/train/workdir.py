"""The work directory of an experiment: its paths, config.json, and evaluation results."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from etils import epath

from trm_jax.config.dotted import identity
from trm_jax.config.experiment import Experiment, from_dict
from trm_jax.core.errors import UserError
from trm_jax.core.files import open_own, write_whole, writing
from trm_jax.tasks.task import TASKS
from trm_jax.train.soundness import numbered

CONVERTED = "converted"
"""Kind of source, in the manifest, of a work directory with weights converted from a file."""


NEEDED = {"task": str, "vocab": int, "cells": int, "table_rows": int, "fingerprint": str}
NEEDED |= {"source": dict, "counts": dict}
"""Keys and types of the manifest in a config.json, besides those that a task adds."""


T = TypeVar("T")

BUCKETS = ("gs", "s3", "az")
"""URL schemes of buckets that may hold a work directory."""


def place_of(root: epath.PathLike) -> epath.Path:
    """Absolute path of a work directory, which need not exist; Orbax fails late on relative ones.

    Raises:
      UserError: no directory can have this path.
    """
    text = os.fspath(root)
    wants = "give the path of a work directory."
    if not text.strip():
        raise UserError(f"The path of the work directory is empty; {wants}")
    scheme, bucket, rest = text.partition("://")
    if bucket and (scheme not in BUCKETS or not rest.strip("/")):
        raise UserError(
            f"{text} is not an address of a work directory; give a local path, or one like "
            "gs://BUCKET/RUN."
        )
    try:
        place = epath.Path(text).expanduser()
        if not bucket:
            if text.startswith("~") and str(place).startswith("~"):
                raise ValueError("there is no such user")
            os.stat(place)  # raises for impossible names; epath would not
            place = place.resolve()
            os.stat(place / "config.json")
    except (FileNotFoundError, NotADirectoryError):
        return place.resolve()
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"{text[:200]} cannot be a work directory ({reason}); {wants}") from error
    return place


def reached(place: epath.Path, ask: Callable[[], T]) -> T:
    """The answer to a question about a path, which may be the first access to a bucket.

    Raises:
      UserError: the library that reaches the bucket is missing, or reports an error.
    """
    try:
        return ask()
    except Exception as error:  # of a library of the bucket's provider
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{place} cannot be reached ({reason}); fix that, or give a local path."
        ) from error


class WorkDir:
    """Paths of a work directory, local or in a bucket, and its config.json."""

    def __init__(self, root: epath.PathLike) -> None:
        """Sets the paths; nothing is created or read.

        Raises:
          UserError: no directory can have this path.
        """
        self.root = place_of(root)
        if "://" not in str(root):
            self._refuse_file()
        self.config = self.root / "config.json"
        self.metrics = self.root / "metrics.jsonl"
        self.checkpoints = self.root / "checkpoints"
        self.evaluations = self.root / "eval"
        self.data = self.root / "data"
        if "://" in str(root):  # datasets are on each machine's local disk
            name = str(self.root).replace("://", "-").replace("/", "-")
            self.data = epath.Path("~/.cache/trm_jax").expanduser() / name / "data"

    def read(self) -> tuple[Experiment, dict[str, Any]]:
        """Reads the experiment and the manifest of its dataset.

        Raises:
          UserError: there is no experiment, or its config.json is damaged.
        """
        if not self.has_config():
            raise UserError(
                f"{self.root} is not a work directory (it has no config.json); "
                "give the one that `trm train` wrote."
            )
        record = self._record()
        experiment = self._experiment(record["config"])
        self._refuse_form(experiment, record["data"])
        return experiment, record["data"]

    def has_config(self) -> bool:
        """Whether config.json exists; for a bucket the first access.

        Raises:
          UserError: a bucket cannot be reached.
        """
        return reached(self.root, lambda: bool(self.config.exists()))

    def has_checkpoints(self) -> bool:
        """Whether a complete checkpoint exists.

        Raises:
          UserError: a bucket cannot be reached.
        """
        return reached(self.root, lambda: bool(numbered(self.checkpoints)))

    def _refuse_file(self) -> None:
        for place in (self.root, *self.root.parents):
            if place.is_dir():
                return
            if os.path.lexists(place):
                which = "is" if place == self.root else f"cannot be a directory, since {place} is"
                what = "a file" if place.exists() else "a symbolic link that leads nowhere"
                raise UserError(f"{self.root} {which} {what}; give the path of a work directory.")

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self.config} is damaged: {reason}; restore it, or train in a new directory."
        )

    def _record(self) -> dict[str, Any]:
        """Content of config.json: two mappings, `config` and `data`."""
        try:
            record = json.loads(self.config.read_text())
        except (ValueError, OSError, RecursionError) as error:
            raise self._damaged(f"it cannot be read ({error})") from error
        if not isinstance(record, dict):
            raise self._damaged(f"it holds a {type(record).__name__} instead of settings")
        for part in ("config", "data"):
            if not isinstance(record.get(part), dict):
                raise self._damaged(f"its {part!r} is missing or not a mapping")
        for key, kind in NEEDED.items():
            value = record["data"].get(key)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise self._damaged(f"its 'data' has no {key!r} of type {kind.__name__}")
        return record

    def _refuse_form(self, experiment: Experiment, manifest: Mapping[str, Any]) -> None:
        """Refuses a manifest of another task, or one that lacks the shape of its puzzles."""
        task = TASKS.get(experiment.data.task)
        if manifest["task"] != task.name:
            raise self._damaged(
                f"its dataset is of the task {manifest['task']!r} and config.data.task is "
                f"{task.name!r}"
            )
        for key in task.shape_keys:
            if key not in manifest:
                raise self._damaged(f"its 'data' has no {key!r}")

    def _experiment(self, config: Mapping[str, Any]) -> Experiment:
        """The experiment of a config.json.

        Its plugins are programs, so they are not loaded from here: a work directory, which may come
        from anywhere, must not run code unless the user names the plugins.
        """
        try:
            return from_dict(config)
        except UserError as error:
            plugins = config.get("plugins", ())
            listed = isinstance(plugins, list) and all(isinstance(each, str) for each in plugins)
            hint = f" This run was trained with --plugin={','.join(plugins)}." if listed else ""
            raise UserError(f"{self.config}: {error}{hint if plugins else ''}") from error

    def claim(self, experiment: Experiment, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Writes config.json, or checks that the existing one is of the same experiment.

        Returns:
          What was written.

        Raises:
          UserError: the directory holds another experiment.
        """
        record = self.refuse_claim(experiment, manifest)
        write_whole(self.config, json.dumps(record, indent=2) + "\n")
        return record

    def refuse_claim(self, experiment: Experiment, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Refuses a directory that holds another experiment; writes nothing.

        Returns:
          What `claim` would write.

        Raises:
          UserError: the directory holds another experiment.
        """
        if self.has_config():
            before, data = self.read()
            source = data.get("source", {})
            if source.get("kind") == CONVERTED:
                raise UserError(
                    f"{self.root} holds weights converted from {source['name']} without the rest "
                    "of a train state; give a new --workdir."
                )
            self.refuse_other(before, experiment)
            if experiment.optimizer.lr_min_ratio < 1 and before.steps != experiment.steps:
                raise UserError(
                    f"{self.root} holds a run of config.steps = {before.steps} whose learning rate "
                    f"decays over these steps; set it back from {experiment.steps}, or give a new "
                    "--workdir."
                )
            if experiment.curriculum and before.steps != experiment.steps:
                raise UserError(
                    f"{self.root} holds a run of config.steps = {before.steps} and the stages of "
                    f"config.curriculum are fractions of these; set it back from "
                    f"{experiment.steps}, or give a new --workdir."
                )
            if data["fingerprint"] != manifest["fingerprint"]:
                raise UserError(
                    f"{self.root} was trained on dataset {data['fingerprint'][:12]} and "
                    f"config.data now gives {manifest['fingerprint'][:12]}; "
                    "give the old data, or a new --workdir."
                )
        return {"config": experiment.to_dict(), "data": dict(manifest)}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Context that locks the directory, so that no other process trains in it.

        Without effect in a bucket, and on a file system without locks.

        Raises:
          UserError: another process is training here.
        """
        if "://" in str(self.root):
            yield
            return
        with writing(self.root / "lock"):
            lock = open_own(self.root / "lock", os.O_RDWR)
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"Another process is training in {self.root}; wait for it, stop it, or give a "
                    "new --workdir."
                ) from error
            except OSError:
                pass  # the file system has no locks
            yield

    def refuse_other(self, before: Experiment, wanted: Experiment, flag: str = "--workdir") -> None:
        """Refuses to run `wanted` in place of the experiment `before`, which this directory holds.

        Args:
          before: the experiment that `read` returned.
          wanted: the experiment to run.
          flag: command-line flag that gave this directory.

        Raises:
          UserError: they differ in settings that must not change.
        """
        new = identity(wanted)
        for key, value in identity(before).items():
            if new[key] != value:
                raise UserError(
                    f"{self.root} holds a run with config.{key} = {value!r}, not {new[key]!r}; "
                    f"set it back, or give a new {flag}."
                )

    def write_evaluation(
        self, result: Mapping[str, Any], *, data: str, split: str, fingerprint: str, checkpoint: int
    ) -> dict[str, Any]:
        """Writes a result of `evaluate.evaluate` to eval/, in a file named after what was scored.

        A submission in the result is written to a file of its own and replaced by its path.

        Args:
          result: the measurements.
          data: path of the dataset.
          split: split of the dataset.
          fingerprint: fingerprint of the dataset.
          checkpoint: step of the checkpoint.

        Returns:
          The content that was written, and its `file`.
        """
        about = {"data": data, "split": split, "fingerprint": fingerprint, "checkpoint": checkpoint}
        record: dict[str, Any] = about | dict(result)
        source = epath.Path(data).name.partition(".")[0]
        how = record.get("how") or f"depth{record['steps_used']}"
        name = f"{source}-{split}-checkpoint{checkpoint}-{how}"
        if "voting" in record:
            name += f"-{record['voting']}-{record['examples']}copies"
        if "submission" in record:
            path = self.evaluations / name / "submission.json"
            write_whole(path, json.dumps(record["submission"]) + "\n")
            record["submission"] = str(path)
        path = self.evaluations / f"{name}.json"
        write_whole(path, json.dumps(record, indent=2) + "\n")
        return record | {"file": str(path)}
