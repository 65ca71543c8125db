"""A config file for ml_collections' flags which stands for another one with all defaults filled in.

So every setting can be overridden on the command line, though config files name only what they
change. `--config FILE:variant` becomes `--config fill.py:FILE:variant` (`config/arguments.py`).
"""

from ml_collections import ConfigDict

from trm_jax.config.locate import filled, load


def get_config(spec: str) -> ConfigDict:
    """The config of FILE[:variant], with a value for every setting."""
    return ConfigDict(filled(load(spec)))
