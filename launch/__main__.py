"""`python -m launch` in a clone; installed, `trm-launch` and `python -m trm_jax.launch`."""

import sys

from . import desk
from .errors import MISTAKE


def console() -> int:
    """Entry point of the console script."""
    return _start("trm-launch")


def _start(prog: str) -> int:
    # PyYAML is the only dependency of the launcher, and an extra of the package
    try:
        from .cli import main
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        desk.error(
            "PyYAML, which reads job files, is not installed; install it with "
            f"`{sys.executable} -m pip install pyyaml` (or the package's extra `launch`)."
        )
        return MISTAKE
    return main(prog=prog)


if __name__ == "__main__":
    sys.exit(_start(f"python -m {__package__}"))
