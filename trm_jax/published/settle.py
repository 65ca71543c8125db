"""Merges a config with the settings that a file of published weights determines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm_jax.config.locate import filled
from trm_jax.core.errors import UserError
from trm_jax.models import MIXERS
from trm_jax.published.shapes import EMBEDDING, TABLE, Told
from trm_jax.tasks.settings import DataConfig
from trm_jax.tasks.sources import RENAMED, renamed
from trm_jax.tasks.task import TASKS


def ask(told: Told, file: Path) -> str:
    """An error message: the settings that the file does not determine, and an example command."""
    names = candidates(told)
    task = next((name for name in names if _default_vocab(name) == told.vocab), DataConfig.task)
    example = {"heads": 8, "T": 3, "n": 6, "N": 16, "positions": "rotary", "prefix_tokens": 16}
    if told.kinds[0] == "hrm":
        example |= {"T": 2, "n": 2, "prefix_tokens": 1}
    asked = told.not_told(unsettled(told, task))
    settings = [f"--config.{k}={example[k[6:]]}" for k in asked if k[6:] in example]
    configs = TASKS.get(task).published
    config = configs.get(told.model["mixer"]) or next(iter(configs.values()), "FILE.py:VARIANT")
    of = f" (puzzles of {told.vocab} tokens: {' or '.join(names)})" if len(names) > 1 else ""
    return (
        f"{file.name} does not determine {', '.join(f'config.{name}' for name in asked)}; give a "
        f"config that does{of}, for example: trm convert from-torch {file} --out DIR --config "
        f"{config} {' '.join(settings)}"
    )


def unsettled(told: Told, task: str) -> list[str]:
    """Settings of the data that the vocabulary's size does not determine."""
    choices = _choices(task, told.vocab)
    keys = list(choices[0]) if len(choices) > 1 else []
    if choices:
        keys = [*keys, *(key for key in TASKS.get(task).shape_keys if key not in choices[0])]
    return [f"data.{task}.{key}" for key in keys]


def candidates(told: Told) -> list[str]:
    """Tasks whose puzzles can have this many tokens; shapes do not distinguish them further."""
    most = told.tokens[0]
    return [
        name
        for name, task in sorted(TASKS.all().items())
        if (most is None or task.fewest_cells <= most) and _choices(name, told.vocab)
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


def settle(told: Told, given: Mapping[str, Any], file: str) -> tuple[dict[str, Any], list[str]]:
    """Overrides a config with everything that the file determines.

    Args:
      told: the settings inferred from the file.
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
    if model["kind"] not in told.kinds:
        found["model.kind"] = told.kinds[0]
    options = _options(told, data, file)
    found |= {f"data.{data['task']}.{key}": value for key, value in options.items()}
    _check_attention(told, model, file)
    task = TASKS.get(data["task"])
    shapes = task.shapes(task.settings.read(data[data["task"]] | options))
    assert shapes, "its settings follow from a vocabulary"
    prefix = _prefix(told, model, shapes["cells"], file)
    found |= {f"model.{key}": value for key, value in {**told.model, **prefix}.items()}
    notes = []
    others = [name for name in candidates(told) if name != data["task"]]
    if others:
        notes.append(
            f"{file} is taken as a model of the task {data['task']!r}, as the config says; its "
            f"{told.vocab} tokens also fit {' and '.join(others)}"
        )
    for name, value in found.items():
        *groups, key = name.split(".")
        place = config
        for group in groups:
            place = place[group]
        before = place[key]
        if key == "row_width" and before == told.model["width"]:
            before = 0  # 0 means the model's width
        if before != value:
            notes.append(f"config.{name} is {value} in {file} (the config says {before})")
        place[key] = value
    rows = config["table"]["rows"]
    if rows not in (0, told.rows):
        notes.append(f"config.table.rows is {told.rows} in {file} (the config says {rows})")
    return config, notes


def _options(told: Told, data: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The task's settings that the vocabulary's size determines."""
    task = data["task"]
    choices = TASKS.get(task).settings_for_vocab(told.vocab)
    others = [name for name in candidates(told) if name != task]
    instead = (
        f"; it may be of the task {' or '.join(others)}: set config.data.task" if others else ""
    )
    if not choices:
        raise UserError(
            f"{file}: {EMBEDDING} has {told.vocab} rows, but no {task} puzzle has that many tokens "
            f"(a 9x9 Sudoku has 11: two more than digits){instead}."
        )
    mine = {key: data[task][key] for key in choices[0]}
    same = [choice for choice in choices if choice == mine]
    if not same and (len(choices) > 1 or others):
        each = " or ".join(", ".join(f"{k}={v}" for k, v in choice.items()) for choice in choices)
        name, value = next(iter(mine.items()))
        seen = f"{file} is of a puzzle with {told.vocab} tokens ({EMBEDDING} has as many rows)"
        if others:
            raise UserError(
                f"{seen}, which fits {task} with {each} as well as {' and '.join(others)}, but "
                f"config.data.{task}.{name} is {value}; set that, or config.data.task, to what the "
                "model was trained on."
            )
        one = "one of: " if len(choices) > 1 else ""
        raise UserError(f"{seen}, but config.data.{task}.{name} is {value}; set it to {one}{each}.")
    return (same or choices)[0]


def _prefix(told: Told, model: Mapping[str, Any], cells: int, file: str) -> dict[str, Any]:
    """The number of prefix tokens, if it follows from the numbers of tokens and of cells."""
    tokens, teller = told.tokens
    width, row_width = told.model["width"], told.model.get("row_width", 0)
    prefix = model["prefix_tokens"] if told.rows else 0
    if tokens is not None:
        prefix = tokens - cells
        if prefix < 0 or bool(prefix) != bool(told.rows):
            table = f"a table ({TABLE})" if told.rows else f"no table ({TABLE})"
            raise UserError(
                f"{file}: {teller} has {tokens} tokens, the puzzle has {cells} cells ({EMBEDDING} "
                f"has {told.vocab} rows), and there is {table}; this would mean {prefix} prefix "
                "tokens, so give the file's own task and settings."
            )
    if told.rows and prefix * width < (row_width or width):
        raise UserError(
            f"{file}: {TABLE} has rows of width {row_width or width}, which do not fit into "
            f"{prefix} prefix tokens of width {width}; raise config.model.prefix_tokens."
        )
    return {"prefix_tokens": prefix}


def _check_attention(told: Told, model: Mapping[str, Any], file: str) -> None:
    """Refuses a number of heads that does not fit, and positions that nothing determines."""
    mixer = told.model["mixer"]
    if "rotary" not in MIXERS.get(mixer).positions:
        return
    width, heads = told.model["width"], model["heads"]
    if not isinstance(heads, int) or heads < 1 or width % (2 * heads):
        raise UserError(
            f"{file}: {told.level}.layers.0.self_attn.qkv_proj.weight has width {width}, which is "
            f"not a multiple of 2 * config.model.heads ({heads}); set the model's number of heads."
        )
    positions = model["positions"]
    unsaid = positions == "none" and model["mixer"] != mixer
    if "positions" not in told.model and (positions not in ("rotary", "none") or unsaid):
        raise UserError(
            f"{file} does not determine whether its attention uses rotary positions, and the "
            f"config (mixer {model['mixer']!r}, positions {positions!r}) is for another kind of "
            "model; set --config.model.mixer=attention and --config.model.positions=rotary, as "
            "published, or =none."
        )
