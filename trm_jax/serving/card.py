"""Writes the model card: the README of an exported directory, which the hub shows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trm_jax.tasks.task import task_of


def model_card(manifest: Mapping[str, Any]) -> str:
    """The text of the model card; all numbers in it are configured, counted or measured.

    Args:
      manifest: manifest of the export.
    """
    training, task = manifest["training"], manifest["kind"]["task"]
    tags = ["jax", "recursive-reasoning", "tiny-recursive-model", task]
    head = {
        "license": manifest["license"],
        "library_name": "trm_jax",
        "tags": tags,
    }
    # JSON values are valid YAML, whatever characters a name has
    front = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items())
    kind = manifest["kind"]
    title = task_of(kind).title(kind)
    parts = [
        f"---\n{front}---\n",
        f"# {training['name']}: {_names(training['model']['kind'])} for {title}\n",
        _about(manifest),
        _scores(manifest["scores"], training, manifest["weights_dtype"]),
        _use(manifest),
    ]
    return "\n".join(parts)


def _names(kind: str) -> str:
    return "a lattice-deduction model" if kind == "lattice" else "a Tiny Recursive Model"


def _about(manifest: Mapping[str, Any]) -> str:
    training, check = manifest["training"], manifest["check"]
    model = training["model"]
    return (
        f"{training['parameters']:,} parameters (kind `{model['kind']}`, {model['mixer']} mixer, "
        f"width {model['width']}, blocks {model['layers']}, T {model['T']}, n {model['n']}), "
        f"checkpoint {training['checkpoint']} of a run with seed {training['seed']}, averaged "
        f"weights stored as {manifest['weights_dtype']}; the program runs {manifest['steps']} "
        f"supervision steps. Loaded after writing, it gave the same answers as the library on "
        f"{check['same_answers']} of {check['puzzles']} puzzles ({check['what']}).\n"
    )


def _scores(scores: Sequence[Mapping[str, Any]], training: Mapping[str, Any], dtype: str) -> str:
    lines = ["## Measured\n"]
    if not scores:
        return "\n".join([*lines, "Accuracy: not measured.\n"])
    lines += [
        "| dataset | split | evaluated on | checkpoint | steps | seed | score |",
        "|---|---|---|---|---|---|---|",
    ]
    own = False
    for row in scores:
        mine = row.get("fingerprint") == training["data_fingerprint"]
        own |= mine and row.get("split") == "heldout"
        many = f"{row.get('examples', '?')} puzzles"
        if "tests" in row:
            many = f"{row['tests']} tests, {row['examples']} copies voting by {row['voting']}"
        many += f", evaluated with {row['how']}" if "how" in row else ""
        data = "the run's own" if mine else row["data"]
        name = f"{data} (`{str(row.get('fingerprint'))[:12]}`)"
        values = ", ".join(f"{key} {value:.4f}" for key, value in row["scores"].items())
        lines.append(
            f"| {name} | {row.get('split')} | {many} | {row['checkpoint']} | {row['steps']} | "
            f"{training['seed']} | {values} |"
        )
    lines.append("\nScores are as `trm eval` wrote them; datasets are identified by fingerprint.")
    if own:
        lines.append("The checkpoint may have been selected by its score on the held-out split.")
    released = training.get("released_as")
    if dtype != "float32":
        lines.append(f"Scores were measured before the weights were rounded to {dtype}.")
    elif released not in ("float32", None):
        lines.append(
            f"Scores were measured before the weights were rounded to {released} for the release."
        )
    return "\n".join(lines) + "\n"


def _use(manifest: Mapping[str, Any]) -> str:
    line = "```\npython load.py PUZZLE     # in one line\n```\n\nor, from Python:\n\n"
    line = "" if manifest["symbols"] is None else line
    return f"""## Use

With trm_jax installed:

```python
import trm_jax
answers = trm_jax.load("this/directory or hf://owner/name").solve(puzzles)
```

Without trm_jax, with only `pip install jax flatbuffers`:

{line}```python
from load import load
answers, halt_logits = load("this/directory")(tokens)  # tokens: integer [m, {manifest["cells"]}]
```

Answers are predictions, which are not checked against the puzzle's rules.

| file | content |
|---|---|
| `program.bin` | the rollout, serialised by `jax.export` {manifest["jax"]} for CPU, CUDA and TPU |
| `weights.npz` | the weights by name; bfloat16 is stored as `uint16` |
| `table.npy` | the puzzle table; use row 0, except where puzzles have their own rows (ARC) |
| `manifest.json` | shapes, the meaning of each token, SHA-256 of the files, measured scores |
| `load.py` | loads and runs the model |
"""
