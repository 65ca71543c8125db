"""Builds datasets of pairs of grids."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.data.choice import check_counts, choose
from trm_jax.data.csv_rows import file_facts
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.grid.encoding import Encoded, Wanted, encode, encode_known
from trm_jax.tasks.grid.likeness import ALL, Likeness
from trm_jax.tasks.grid.pairs import Names, Pair, read_pairs, source_files
from trm_jax.tasks.grid.vocabulary import Form, listed

BUILDER_VERSION = 1
MAX_HELDOUT = 1000
"""Max number of puzzles that a share sets aside, for each of held-out and test."""


def build(task: str, source: str, counts: Mapping[str, int], settings: Any, seed: int) -> Dataset:
    """Builds a dataset from a file or a folder; its splits share no question.

    Args:
      task: name of the task.
      source: path of the file or folder.
      counts: numbers of puzzles `train`, `heldout` and `test`. For train, 0 takes all that are
        left; for the others, 0 stands for the settings' shares.
      settings: of type `GridSettings`.
      seed: seed of the choice of puzzles.

    Raises:
      UserError: a row is malformed, or there are fewer puzzles than requested.
    """
    path = _path(source)
    check_counts(source, **counts)
    pairs = _pairs(path, settings)
    found = encode(pairs, wanted_of(settings), str(path))
    extra = facts_of_files(path) | {"rows": len(pairs), "settings": settings.to_dict()}
    return assembled(task, found, settings, counts, seed, extra)


def build_test(source: str, shape: Mapping[str, Any], settings: Any) -> Dataset:
    """Reads all pairs of a file as the split "test", in the form that a model was trained on.

    Raises:
      UserError: a row is malformed, or has another form.
    """
    path = _path(source)
    pairs = _pairs(path, settings)
    found = encode_known(pairs, Form.of(shape), settings.split)
    facts = {key: shape[key] for key in ("task", "turns", "alike", "looks")}
    facts |= found.form.to_dict() | {"table_rows": 1, "seed": 0, "source": facts_of_files(path)}
    splits = {"test": np.arange(len(found.questions))}
    ids = np.zeros(len(found.questions), np.int32)
    facts["builder_version"] = BUILDER_VERSION
    return assemble(found.questions, found.answers, ids, splits, facts)


def assembled(
    task: str,
    found: Encoded,
    settings: Any,
    counts: Mapping[str, int],
    seed: int,
    source: Mapping[str, Any],
) -> Dataset:
    """Makes a dataset of encoded pairs, with splits chosen at random.

    If the task has symmetries, only the first of several symmetric copies is kept, so that no copy
    of a held-out puzzle is trained on.
    """
    form = found.form
    shape = {"task": task, **form.to_dict(), **_looks(form, settings)}
    likeness, questions, answers = Likeness.of(shape), found.questions, found.answers
    kept = likeness.first_of_each(questions) if likeness else np.arange(len(questions))
    dropped = {"repeated": found.repeated, "symmetric": len(questions) - len(kept)}
    order, splits = choose(
        len(kept), str(source["name"]), **_shares(counts, settings, len(kept)), seed=seed
    )
    kept = kept[order]
    facts = shape | {
        "table_rows": 1,
        "seed": seed,
        "source": dict(source) | {"dropped": dropped},
        "builder_version": BUILDER_VERSION,
    }
    return assemble(questions[kept], answers[kept], np.zeros(len(kept), np.int32), splits, facts)


def wanted_of(settings: Any) -> Wanted:
    """The form that settings of type `GridSettings` describe."""
    return Wanted(
        settings.rows,
        settings.columns,
        listed(settings.symbols),
        settings.blank,
        settings.canvas,
        settings.split,
    )


def facts_of_files(path: Path) -> dict[str, Any]:
    """The manifest's facts about a source file or folder."""
    files = [file_facts(each, None) | {"kind": "file"} for each in source_files(path)]
    if not path.is_dir():
        return files[0]
    return {"kind": "folder", "name": path.name, "files": files}


def _path(source: str) -> Path:
    path = Path(source)
    if not source or source == "generate" or not path.exists():
        raise UserError(
            "the task 'grid' has no generator; give a file or folder with questions and answers as "
            "--source, or as config.data.path."
        )
    return path


def _pairs(path: Path, settings: Any) -> list[Pair]:
    found = list(read_pairs(path, Names(settings.question, settings.answer)))
    if not found:
        raise UserError(f"{path} has no pairs; give a file with questions and answers.")
    return found


def _looks(form: Form, settings: Any) -> dict[str, Any]:
    alike: Sequence[str] = listed(settings.alike)
    if settings.alike == ALL:
        alike = form.alphabet
    return {"turns": settings.turns, "alike": list(dict.fromkeys(alike)), "looks": settings.looks}


def _shares(counts: Mapping[str, int], settings: Any, available: int) -> dict[str, int]:
    """The numbers of puzzles; those that are 0 are computed from the settings' shares.

    Raises:
      UserError: the shares leave no puzzle for training.
    """
    shares = {"heldout": settings.heldout_share, "test": settings.test_share}
    found = dict(counts)
    if not any(found[name] for name in shares) and (total := sum(shares.values())) >= 1:
        raise UserError(
            f"heldout_share {shares['heldout']:g} and test_share {shares['test']:g} sum to "
            f"{total:g}, and must sum to less than 1; lower one of them."
        )
    for name, share in shares.items():
        if not found[name] and share:
            found[name] = min(max(round(share * available), 1), MAX_HELDOUT)
    return found
