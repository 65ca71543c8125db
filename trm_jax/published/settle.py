"""What an experiment becomes when a file of published weights has its say in it."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trm_jax.config.experiment import DataConfig, TableConfig
from trm_jax.core.errors import UserError
from trm_jax.models.settings import ModelConfig
from trm_jax.published.shapes import EMBEDDING, TABLE, Told


def ask(told: Told, file: Path) -> str:
    """One sentence: what the file does not tell, and a command that does."""
    attention = told.model["mixer"] == "attention"
    example = {"heads": 8, "T": 3, "n": 6, "N": 16, "positions": "rotary", "prefix_tokens": 16}
    if told.kinds[0] == "hrm":
        example |= {"T": 2, "n": 2, "prefix_tokens": 1}
    asked = told.not_told()
    settings = [f"--config.{k}={example[k[6:]]}" for k in asked if k[6:] in example]
    variant = "extreme_attention" if attention else "extreme"
    return (
        f"{file.name} does not tell {', '.join(f'config.{name}' for name in asked)}; give a "
        f"config that does, for example: trm convert from-torch {file} --out DIR --config "
        f"experiments/sudoku.py:{variant} {' '.join(settings)}"
    )


def settle(told: Told, given: Mapping[str, Any], file: str) -> tuple[dict[str, Any], list[str]]:
    """A config with everything that the file tells, and a sentence for each change.

    Raises:
      UserError: the file and the config cannot both be right.
    """
    config = copy.deepcopy(dict(given))
    for group, kind in {"model": ModelConfig, "data": DataConfig, "table": TableConfig}.items():
        fields = dataclasses.fields(kind)
        defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
        config[group] = defaults | config.get(group, {})
    model, data = config["model"], config["data"]
    for key in ("vocab", "cells"):  # which the data decide
        model.pop(key, None)
    if data["task"] != "sudoku":
        raise UserError(
            f"config.data.task is {data['task']!r}; only Sudoku models can be converted."
        )
    boxes = told.boxes()
    if not boxes:
        raise UserError(
            f"{file}: {EMBEDDING} has {told.vocab} rows; a Sudoku's has two more than the grid has "
            "digits (11 for 9x9), and boxes of two rows and columns or more."
        )
    found: dict[str, Any] = {}
    if model["kind"] not in told.kinds:
        found["model.kind"] = told.kinds[0]
    box = data["box"]
    if not isinstance(box, list | tuple) or tuple(box) not in boxes:
        if len(boxes) > 1:
            raise UserError(
                f"{file} is of a {told.vocab - 2}x{told.vocab - 2} Sudoku ({EMBEDDING} has "
                f"{told.vocab} rows) and config.data.box is {box}; set it to one of "
                f"{', '.join(map(str, boxes))}."
            )
        found["data.box"] = boxes[0]
    _check_attention(told, model, file)
    in_shapes = {**told.model, **_prefix(told, model, file)}
    found |= {f"model.{key}": value for key, value in in_shapes.items()}
    notes = []
    for name, value in found.items():
        group, _, key = name.partition(".")
        before = config[group][key]
        if key == "row_width" and before == told.model["width"]:
            before = 0  # two ways to say it
        if before != value:
            notes.append(f"config.{name} is {value} in {file} (the config says {before})")
        config[group][key] = value
    rows = config["table"]["rows"]
    if rows not in (0, told.rows):
        notes.append(f"config.table.rows is {told.rows} in {file} (the config says {rows})")
    return config, notes


def _prefix(told: Told, model: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The number of prefix tokens, where it follows from the tokens and the Sudoku's cells."""
    cells = (told.vocab - 2) ** 2
    tokens, teller = told.tokens
    width, row_width = told.model["width"], told.model.get("row_width", 0)
    prefix = model["prefix_tokens"] if told.rows else 0
    if tokens is not None:
        prefix = tokens - cells
        if prefix < 0 or bool(prefix) != bool(told.rows):
            table = f"a table ({TABLE})" if told.rows else f"no table ({TABLE})"
            raise UserError(
                f"{file}: {teller} is of {tokens} tokens, the Sudoku has {cells} cells "
                f"({EMBEDDING} has {told.vocab} rows), and there is {table}; "
                f"{prefix} prefix tokens make no sense."
            )
    if told.rows and prefix * width < (row_width or width):
        raise UserError(
            f"{file}: {TABLE} has rows of width {row_width or width}, which do not fit into "
            f"{prefix} prefix tokens of width {width}; raise config.model.prefix_tokens."
        )
    return {"prefix_tokens": prefix}


def _check_attention(told: Told, model: Mapping[str, Any], file: str) -> None:
    """Refuses heads that do not fit, and positions that nobody has chosen."""
    if told.model["mixer"] == "mlp":
        return
    width = told.model["width"]
    heads = model["heads"]
    if not isinstance(heads, int) or heads < 1 or width % (2 * heads):
        raise UserError(
            f"{file}: {told.level}.layers.0.self_attn.qkv_proj.weight is of width {width}, "
            f"which is no multiple of twice config.model.heads ({heads}); set the model's own."
        )
    mixer, positions = model["mixer"], model["positions"]
    unsaid = positions == "none" and mixer != "attention"
    if "positions" not in told.model and (positions not in ("rotary", "none") or unsaid):
        raise UserError(
            f"{file} does not tell whether its attention uses rotary positions, and the config "
            f"(mixer {mixer!r}, positions {positions!r}) is of another kind of model; "
            "set --config.model.mixer=attention and --config.model.positions=rotary, as "
            "published, or =none."
        )
