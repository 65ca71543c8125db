"""Merges a config with the settings that a file of published weights determines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm_jax.config.locate import filled
from trm_jax.core.errors import UserError
from trm_jax.models import MIXERS
from trm_jax.published.shapes import EMBEDDING, TABLE, Inferred
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import RENAMED, renamed
from trm_jax.tasks.task import TASKS


def ask(inferred: Inferred, file: Path) -> str:
    """An error message: the settings that the file does not determine, and an example command."""
    names = candidates(inferred)
    task = next((name for name in names if _default_vocab(name) == inferred.vocab), DataConfig.task)
    example = {"heads": 8, "T": 3, "n": 6, "N": 16, "positions": "rotary", "prefix_tokens": 16}
    if inferred.kinds[0] == "hrm":
        example |= {"T": 2, "n": 2, "prefix_tokens": 1}
    asked = inferred.not_inferred(unsettled(inferred, task))
    settings = [f"--config.{k}={example[k[6:]]}" for k in asked if k[6:] in example]
    configs = TASKS.get(task).published
    config = configs.get(inferred.model["mixer"]) or next(iter(configs.values()), "FILE.py:VARIANT")
    of = f" (puzzles of {inferred.vocab} tokens: {' or '.join(names)})" if len(names) > 1 else ""
    return (
        f"{file.name} does not determine {', '.join(f'config.{name}' for name in asked)}; give a "
        f"config that does{of}, for example: trm convert from-torch {file} --out DIR --config "
        f"{config} {' '.join(settings)}"
    )


def unsettled(inferred: Inferred, task: str) -> list[str]:
    """Settings of the data that the vocabulary's size does not determine."""
    choices = _choices(task, inferred.vocab)
    keys = list(choices[0]) if len(choices) > 1 else []
    if choices:
        keys = [*keys, *(key for key in TASKS.get(task).shape_keys if key not in choices[0])]
    return [f"data.{task}.{key}" for key in keys]


def candidates(inferred: Inferred) -> list[str]:
    """Tasks whose puzzles can have this many tokens; shapes do not distinguish them further."""
    most = inferred.tokens[0]
    return [
        name
        for name, task in sorted(TASKS.all().items())
        if (most is None or task.fewest_cells <= most) and _choices(name, inferred.vocab)
    ]


def _choices(task: str, vocab: int) -> list[dict[str, Any]]:
    """Settings of a task that give `vocab` token ids; empty if there are none."""
    try:
        return TASKS.get(task).settings_for_vocab(vocab)
    except UserError:
        return []


def _default_vocab(name: str) -> int:
    task = TASKS.get(name)
    return int((task.shapes(task.settings()) or {}).get("vocab", 0))


def settle(
    inferred: Inferred, given: Mapping[str, Any], file: str
) -> tuple[dict[str, Any], list[str]]:
    """Overrides a config with everything that the file determines.

    Args:
      inferred: the settings inferred from the file.
      given: the config, as nested settings.
      file: name of the file, for messages.

    Returns:
      The config, and a sentence for each changed setting.

    Raises:
      UserError: the file and the config contradict each other, or the task cannot be converted.
    """
    config = filled(renamed(given, RENAMED))
    model, data = config["model"], config["data"]
    found: dict[str, Any] = {}
    if model["kind"] not in inferred.kinds:
        found["model.kind"] = inferred.kinds[0]
    options = _options(inferred, data, file)
    found |= {f"data.{data['task']}.{key}": value for key, value in options.items()}
    _check_attention(inferred, model, file)
    task = TASKS.get(data["task"])
    shapes = task.shapes(task.settings.read(data[data["task"]] | options))
    assert shapes, "its settings follow from a vocabulary"
    prefix = _prefix(inferred, model, shapes["cells"], file)
    found |= {f"model.{key}": value for key, value in {**inferred.model, **prefix}.items()}
    notes = []
    others = [name for name in candidates(inferred) if name != data["task"]]
    if others:
        notes.append(
            f"{file} is taken as a model of the task {data['task']!r}, as the config says; its "
            f"{inferred.vocab} tokens also fit {' and '.join(others)}"
        )
    for name, value in found.items():
        *groups, key = name.split(".")
        place = config
        for group in groups:
            place = place[group]
        before = place[key]
        if key == "row_width" and before == inferred.model["width"]:
            before = 0  # 0 means the model's width
        if before != value:
            notes.append(f"config.{name} is {value} in {file} (the config says {before})")
        place[key] = value
    rows = config["table"]["rows"]
    if rows not in (0, inferred.rows):
        notes.append(f"config.table.rows is {inferred.rows} in {file} (the config says {rows})")
    return config, notes


def _options(inferred: Inferred, data: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The task's settings that the vocabulary's size determines."""
    task = data["task"]
    choices = TASKS.get(task).settings_for_vocab(inferred.vocab)
    others = [name for name in candidates(inferred) if name != task]
    instead = (
        f"; it may be of the task {' or '.join(others)}: set config.data.task" if others else ""
    )
    if not choices:
        raise UserError(
            f"{file}: {EMBEDDING} has {inferred.vocab} rows, but no {task} puzzle has that many "
            f"tokens (a 9x9 Sudoku has 11: two more than digits){instead}."
        )
    mine = {key: data[task][key] for key in choices[0]}
    same = [choice for choice in choices if choice == mine]
    if not same and (len(choices) > 1 or others):
        each = " or ".join(", ".join(f"{k}={v}" for k, v in choice.items()) for choice in choices)
        name, value = next(iter(mine.items()))
        seen = f"{file} is of a puzzle with {inferred.vocab} tokens ({EMBEDDING} has as many rows)"
        if others:
            raise UserError(
                f"{seen}, which fits {task} with {each} as well as {' and '.join(others)}, but "
                f"config.data.{task}.{name} is {value}; set that, or config.data.task, to what the "
                "model was trained on."
            )
        one = "one of: " if len(choices) > 1 else ""
        raise UserError(f"{seen}, but config.data.{task}.{name} is {value}; set it to {one}{each}.")
    return (same or choices)[0]


def _prefix(inferred: Inferred, model: Mapping[str, Any], cells: int, file: str) -> dict[str, Any]:
    """The number of prefix tokens, if it follows from the numbers of tokens and of cells."""
    tokens, source = inferred.tokens
    width, row_width = inferred.model["width"], inferred.model.get("row_width", 0)
    prefix = model["prefix_tokens"] if inferred.rows else 0
    if tokens is not None:
        prefix = tokens - cells
        if prefix < 0 or bool(prefix) != bool(inferred.rows):
            table = f"a table ({TABLE})" if inferred.rows else f"no table ({TABLE})"
            raise UserError(
                f"{file}: {source} has {tokens} tokens, the puzzle has {cells} cells ({EMBEDDING} "
                f"has {inferred.vocab} rows), and there is {table}; this would mean {prefix} "
                "prefix tokens, so give the file's own task and settings."
            )
    if inferred.rows and prefix * width < (row_width or width):
        raise UserError(
            f"{file}: {TABLE} has rows of width {row_width or width}, which do not fit into "
            f"{prefix} prefix tokens of width {width}; raise config.model.prefix_tokens."
        )
    return {"prefix_tokens": prefix}


def _check_attention(inferred: Inferred, model: Mapping[str, Any], file: str) -> None:
    """Refuses a number of heads that does not fit, and positions that nothing determines."""
    mixer = inferred.model["mixer"]
    if "rotary" not in MIXERS.get(mixer).positions:
        return
    width, heads = inferred.model["width"], model["heads"]
    if not isinstance(heads, int) or heads < 1 or width % (2 * heads):
        raise UserError(
            f"{file}: {inferred.level}.layers.0.self_attn.qkv_proj.weight has width {width}, which "
            f"is not a multiple of 2 * config.model.heads ({heads}); set the number of heads."
        )
    positions = model["positions"]
    unsaid = positions == "none" and model["mixer"] != mixer
    if "positions" not in inferred.model and (positions not in ("rotary", "none") or unsaid):
        raise UserError(
            f"{file} does not determine whether its attention uses rotary positions, and the "
            f"config (mixer {model['mixer']!r}, positions {positions!r}) is for another kind of "
            "model; set --config.model.mixer=attention and --config.model.positions=rotary, as "
            "published, or =none."
        )
