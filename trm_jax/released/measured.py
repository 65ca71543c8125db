"""Collects the measurements for a card from the evaluations in a work directory."""

import datetime
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from etils import epath

from trm_jax.train.workdir import WorkDir

EXACT, SEARCHED = "exact_accuracy", "solved_with_search"
"""Shares of exactly answered puzzles: without search, and with a lattice model's search."""
_SPLITS = ("test", "heldout", "train")
_SEARCH = ("wrong", "abstained", "passes", "passes_median", "rounds", "chains", "limits")
_SAME = ("what", "fingerprint", "split", "puzzles", "steps", "limits")
"""Measurements with the same values of these fields are duplicates, of training and `trm eval`."""
_FLAGS = ("passes", "chains", "rounds", "seconds", "seed", "batch_size")


def measured(
    workdir: WorkDir, manifest: Mapping[str, Any], step: int, hardware: str
) -> list[dict[str, Any]]:
    """Measurements of a checkpoint in eval/*.json, without duplicates.

    They are sorted by split (test puzzles first), then by the number of puzzles and by compute
    (largest first). Only evaluations of one rollout or of a lattice model's search are included.

    Args:
      workdir: work directory of the run.
      manifest: manifest of its dataset.
      step: training step of the checkpoint.
      hardware: hardware on which the evaluations were made.
    """
    found = []
    folder = workdir.evaluations
    for path in sorted(folder.glob("*.json"), key=str) if folder.exists() else ():
        try:
            record = json.loads(path.read_text())
        except ValueError:
            continue  # another program's file: `write_whole` never leaves incomplete files
        if not isinstance(record, dict) or record.get("checkpoint") != step:
            continue
        if EXACT not in record or ("how" in record and "chain_search" not in record):
            continue
        found += _of_evaluation(record, workdir, manifest, _date(path), hardware)
    once = {json.dumps([each.get(key) for key in _SAME]): each for each in reversed(found)}
    return sorted(once.values(), key=_telling)


def _telling(entry: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Sort key of a measurement."""
    split = _SPLITS.index(entry["split"]) if entry["split"] in _SPLITS else len(_SPLITS)
    passes = entry.get("limits", {}).get("passes", 0)
    return split, -entry["puzzles"], -passes, -entry["steps"]


def _of_evaluation(
    record: Mapping[str, Any],
    workdir: WorkDir,
    manifest: Mapping[str, Any],
    date: str,
    hardware: str,
) -> list[dict[str, Any]]:
    """The measurement without search and, if the evaluation has one, that with search."""
    own = record["fingerprint"] == manifest["fingerprint"]
    data = PurePosixPath(str(record["data"]).replace("\\", "/")).name
    command = f"trm eval --workdir={workdir.root.name} --checkpoint={record['checkpoint']}"
    command += "" if own else f" --data={data}"
    command += f" --split={record['split']} --steps={record['steps_used']}"
    about = {"puzzles": record["examples"], "split": record["split"]}
    about |= {"data": "its own" if own else data, "fingerprint": record["fingerprint"]}
    about |= {"steps": record["steps_used"], "hardware": hardware, "date": date}
    search = record.get("chain_search")
    alone = " --nosearch" if search else ""
    entries = [{"what": EXACT, "value": record[EXACT], "command": command + alone, **about}]
    if search:
        limits = search.get("limits", {})
        flags = (f" --{key}={limits[key]}" for key in _FLAGS if limits.get(key) is not None)
        costs = {key: search[key] for key in _SEARCH if key in search}
        entries.append(
            {
                "what": SEARCHED,
                "value": search["solved"],
                "command": command + "".join(flags),
                **about,
                **costs,
            }
        )
    return entries


def _date(path: epath.Path) -> str:
    """The date on which a file was written."""
    return datetime.datetime.fromtimestamp(path.stat().mtime, datetime.UTC).date().isoformat()
