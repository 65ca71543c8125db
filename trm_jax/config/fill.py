"""A config file for ml_collections that wraps another one and adds all default values.

Thus every setting can be overridden on the command line, although config files contain only what
they change. `--config FILE:variant` becomes `--config fill.py:FILE:variant`, see
`config/arguments.py`.
"""

from ml_collections import ConfigDict

from trm_jax.config.locate import filled, load


def get_config(spec: str) -> ConfigDict:
    """Config of FILE[:variant] with a value for every setting."""
    return ConfigDict(filled(load(spec)))
