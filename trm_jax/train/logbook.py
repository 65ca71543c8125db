"""Where numbers go during a run: metrics.jsonl, TensorBoard, and wandb where asked for."""

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

MOST_NAMED = 5
"""Damaged lines that are named."""


class Logbook:
    """Appends metrics by step; on a resume it first forgets what lies ahead of the checkpoint."""

    def __init__(
        self, metrics: epath.Path, *, resume_step: int, wandb_project: str, name: str
    ) -> None:
        """Opens the logs.

        Args:
          metrics: metrics.jsonl; TensorBoard's events go beside it.
          resume_step: updates done; later lines, and a torn last one, are dropped.
          wandb_project: mirror there as well; empty for no.
          name: of the run at wandb.
        """
        self._path = metrics
        self._lines = [f"{json.dumps(entry)}\n" for entry in read(metrics, up_to=resume_step)]
        write_whole(metrics, "".join(self._lines))
        self._events = SummaryWriter(str(metrics.parent), purge_step=resume_step + 1)
        self._wandb = _wandb_run(wandb_project, name) if wandb_project else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one line; a value that is not finite becomes null there."""
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
        """Flushes everything."""
        self._events.close()
        if self._wandb:
            self._wandb.finish()


def read(metrics: epath.Path, up_to: int | None = None) -> list[dict[str, Any]]:
    """Lines of a metrics.jsonl up to a step.

    A last line that a kill cut short is left out; so is every other that is damaged, with a word.

    Raises:
      UserError: it cannot be read at all.
    """
    if not metrics.exists():
        return []
    try:
        if "://" not in str(metrics) and not metrics.is_file():
            raise UserError(f"{metrics} is no file; move it away, and it is begun anew.")
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
        which = ", ".join(map(str, damaged[:MOST_NAMED])) + ", ..." * (len(damaged) > MOST_NAMED)
        plural = "s" * (len(damaged) > 1)
        print(
            f"trm: {metrics} has {len(damaged)} damaged line{plural} ({which}), left out",
            file=sys.stderr,
        )
    return entries


def _entry(line: str) -> dict[str, Any] | None:
    """What a line says; None where it is damaged."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and type(entry.get("step")) is int else None


def check_mirror(project: str) -> None:
    """Refuses a project at wandb that nothing could be sent to, before anything is written.

    Raises:
      UserError: wandb is not installed, or nobody is logged in.
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
            f"config.wandb_project is {project!r} and nobody is logged in to wandb; run "
            "`wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline to keep it on this disk."
        )


def _in_netrc() -> bool:
    """Whether a key of wandb lies where `wandb login` puts it."""
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
    except Exception as error:  # wandb's own, of many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"config.wandb_project is {project!r}, and wandb cannot be used ({lines[0]}); leave "
            "it empty, or set WANDB_MODE=offline."
        ) from error
