"""The four published configurations on three small slices, and the facts stored of each."""

import json
from pathlib import Path

from tests import runs
from trm_jax.config.experiment import from_dict

FACTS = Path(__file__).with_name("facts.json")
CONFIGS = ("sudoku:extreme", "sudoku:extreme_attention", "maze:hard", "arc:arc1")
TOPOLOGIES = ("v5e-16", "v4-8", "v6e-8")
CASES = [f"{config} {topology}" for topology in TOPOLOGIES for config in CONFIGS]
ARC1_ROWS = 876_405
"""Of ARC-AGI-1 with ConceptARC: counted once, so that nothing has to be built."""


def experiment(config, changes=()):
    """A published configuration by its name here, with some settings changed."""
    file, variant = config.split(":")
    settings = runs.config_file(file).get_config(variant).to_dict()
    if file == "arc":
        settings.setdefault("table", {})["rows"] = ARC1_ROWS
    return from_dict(settings).change(dict(changes))


def stored():
    """The facts by case."""
    return json.loads(FACTS.read_text()) if FACTS.exists() else {}
