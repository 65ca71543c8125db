"""The README of an exported directory, which the hub shows as the model's card."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trm_jax.tasks.task import task_of


def model_card(manifest: Mapping[str, Any]) -> str:
    """Writes the card; every number in it was configured, counted or measured.

    Args:
      manifest: of the export.
    """
    training, task = manifest["training"], manifest["kind"]["task"]
    tags = ["jax", "recursive-reasoning", "tiny-recursive-model", task]
    head = {
        "license": manifest["license"],
        "library_name": "trm_jax",
        "tags": tags,
    }
    # a JSON value is a YAML value, whatever characters a name has
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
        f"weights stored as {manifest['weights_dtype']}; the program takes {manifest['steps']} "
        f"supervision steps. Read back after writing, it gave the library's own answers on "
        f"{check['same_answers']} of {check['puzzles']} puzzles ({check['what']}).\n"
    )


def _scores(scores: Sequence[Mapping[str, Any]], training: Mapping[str, Any], dtype: str) -> str:
    lines = ["## Measured\n"]
    if not scores:
        return "\n".join([*lines, "Accuracy: not measured.\n"])
    lines += [
        "| data set | split | of | checkpoint | steps | seed | score |",
        "|---|---|---|---|---|---|---|",
    ]
    own = False
    for row in scores:
        mine = row.get("fingerprint") == training["data_fingerprint"]
        own |= mine and row.get("split") == "heldout"
        many = f"{row.get('examples', '?')} puzzles"
        if "tests" in row:
            many = f"{row['tests']} tests, {row['examples']} copies voting by {row['voting']}"
        many += f", tried as {row['how']}" if "how" in row else ""
        data = "the run's own" if mine else row["data"]
        name = f"{data} (`{str(row.get('fingerprint'))[:12]}`)"
        values = ", ".join(f"{key} {value:.4f}" for key, value in row["scores"].items())
        lines.append(
            f"| {name} | {row.get('split')} | {many} | {row['checkpoint']} | {row['steps']} | "
            f"{training['seed']} | {values} |"
        )
    lines.append("\nAs `trm eval` wrote them; the fingerprint tells data sets apart.")
    if own:
        lines.append("The checkpoint may have been chosen by its score on the held-out split.")
    rounded = [d for d in (dtype, training.get("released_as")) if d not in ("float32", None)]
    if rounded:
        lines.append(f"They were measured before the weights were rounded to {rounded[0]}.")
    return "\n".join(lines) + "\n"


def _use(manifest: Mapping[str, Any]) -> str:
    line = "```\npython load.py PUZZLE     # of one line\n```\n\nor, from Python:\n\n"
    line = "" if manifest["symbols"] is None else line
    return f"""## Use

With trm_jax installed:

```python
import trm_jax
answers = trm_jax.load("this/directory or hf://owner/name").solve(puzzles)
```

Without it, with `pip install jax flatbuffers` alone:

{line}```python
from load import load
answers, halt_logits = load("this/directory")(tokens)  # tokens: integer [m, {manifest["cells"]}]
```

| file | what it is |
|---|---|
| `program.bin` | the rollout, serialised by `jax.export` {manifest["jax"]} for CPU, CUDA and TPU |
| `weights.npz` | the weights by name; `uint16` holds bfloat16 |
| `table.npy` | the puzzle table; row 0 is the one to use but where puzzles have their own (ARC) |
| `manifest.json` | shapes, what each token means, SHA-256 of the files, measured scores |
| `load.py` | reads and runs all that |
"""
