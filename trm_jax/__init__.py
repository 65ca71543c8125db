"""Tiny recursive reasoners in JAX: train, resume, evaluate and solve with TRM.

The public names are in the modules; `trm --help` lists the commands.
"""

__version__ = "0.1.0"
