"""Logs of a run: metrics.jsonl, TensorBoard, and optionally Weights & Biases."""

import importlib.util
import json
import math
import netrc
import os
import sys
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from etils import epath
from tensorboardX import SummaryWriter

from trm_jax.core.errors import UserError
from trm_jax.core.files import append_text, write_whole

MAX_NAMED = 5
"""Max number of damaged lines that a warning lists."""


class Logbook:
    """Appends metrics by step; when a run is resumed, lines after its checkpoint are dropped."""

    def __init__(
        self, metrics: epath.Path, *, resume_step: int, wandb_project: str, name: str
    ) -> None:
        """Opens the logs.

        Args:
          metrics: path of metrics.jsonl; TensorBoard's events go to the same directory.
          resume_step: number of updates done; later lines, and an incomplete last one, are dropped.
          wandb_project: wandb project to log to as well; empty for none.
          name: name of the run at wandb.
        """
        self._path = metrics
        self._lines = [f"{json.dumps(entry)}\n" for entry in read(metrics, up_to=resume_step)]
        write_whole(metrics, "".join(self._lines))
        self._events = SummaryWriter(str(metrics.parent), purge_step=resume_step + 1)
        self._wandb = _wandb_run(wandb_project, name) if wandb_project else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one line of metrics; non-finite values become null in metrics.jsonl."""
        entry: dict[str, Any] = {"step": step, "time": round(time.time(), 3)}
        entry |= {k: v if math.isfinite(v) else None for k, v in values.items()}
        self._lines.append(f"{json.dumps(entry)}\n")
        if "://" in str(self._path):  # objects in a bucket cannot be appended to
            self._path.write_text("".join(self._lines))
        else:
            append_text(self._path, self._lines[-1])
        finite = {k: v for k, v in values.items() if math.isfinite(v)}
        for key, value in finite.items():
            self._events.add_scalar(key, value, step)
        if self._wandb:
            self._wandb.log(finite, step=step)

    def close(self) -> None:
        """Flushes and closes all logs."""
        self._events.close()
        if self._wandb:
            self._wandb.finish()


def read(metrics: epath.Path, up_to: int | None = None) -> list[dict[str, Any]]:
    """Reads the lines of a metrics.jsonl, up to a step.

    An incomplete last line is dropped; other damaged lines are dropped with a warning.

    Raises:
      UserError: the file cannot be read.
    """
    if not metrics.exists():
        return []
    try:
        if "://" not in str(metrics) and not metrics.is_file():
            raise UserError(f"{metrics} is not a file; move it away, and it is created anew.")
        text = metrics.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{metrics} cannot be read ({reason}); move it away.") from error
    entries, damaged = [], []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is None:
            if line.strip() and number < len(lines):
                damaged.append(number)
        elif up_to is None or entry["step"] <= up_to:
            entries.append(entry)
    if damaged:
        which = ", ".join(map(str, damaged[:MAX_NAMED])) + ", ..." * (len(damaged) > MAX_NAMED)
        plural = "s" * (len(damaged) > 1)
        print(
            f"trm: {metrics} has {len(damaged)} damaged line{plural} ({which}), left out",
            file=sys.stderr,
        )
    return entries


def _entry(line: str) -> dict[str, Any] | None:
    """Parses a line; None if it is damaged."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and type(entry.get("step")) is int else None


def check_mirror(project: str) -> None:
    """Checks that metrics can be sent to wandb, before anything is written.

    Raises:
      UserError: wandb is not installed, or the user is not logged in.
    """
    if not project:
        return
    if not sys.modules.get("wandb") and importlib.util.find_spec("wandb") is None:
        raise UserError(
            f"config.wandb_project is {project!r} and wandb is not installed; "
            "run `pip install 'trm-jax[wandb]'`, or leave it empty."
        )
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return
    if not (os.environ.get("WANDB_API_KEY") or _in_netrc()):
        raise UserError(
            f"config.wandb_project is {project!r} and you are not logged in to wandb; run "
            "`wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline to log to this disk only."
        )


def _in_netrc() -> bool:
    """Whether `wandb login` has stored a key."""
    host = urllib.parse.urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return bool(netrc.netrc(os.environ.get("NETRC")).authenticators(host or ""))
    except (OSError, netrc.NetrcParseError):
        return False


def _wandb_run(project: str, name: str) -> Any:
    check_mirror(project)
    try:
        import wandb

        return wandb.init(project=project, name=name)
    except Exception as error:  # wandb raises its own, of many types
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"config.wandb_project is {project!r}, and wandb cannot be used ({lines[0]}); leave "
            "it empty, or set WANDB_MODE=offline."
        ) from error
