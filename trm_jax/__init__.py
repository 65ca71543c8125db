"""Tiny recursive reasoners in JAX: train, resume, evaluate and solve with TRM.

Three lines solve a puzzle (docs/reference/python.md); all else is in the modules, and
`trm --help` lists the commands:

    import trm_jax
    model = trm_jax.load("runs/demo")
    print(model.solve("1.....2..3....4.")[0].answer)
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "load": "trm_jax.serving.solver",
    "Solver": "trm_jax.serving.solver",
    "Solved": "trm_jax.serving.forms",
    "UserError": "trm_jax.core.errors",
}
"""Module of each public name, which is imported on first use, since JAX takes a second."""


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
