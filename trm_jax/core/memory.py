"""What is said when a device cannot hold what it is given."""

import contextlib
from collections.abc import Iterator

import jax

from trm_jax.core.errors import DOES_NOT_FIT, UserError

_REFUSED = "RESOURCE_EXHAUSTED"


@contextlib.contextmanager
def enough_memory(what: str, setting: str) -> Iterator[None]:
    """Turns a device's refusal to hold something into a sentence.

    Args:
      what: is done inside.
      setting: the flag or key to lower.

    Raises:
      UserError: it does not fit.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if _REFUSED not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(f"{what} {DOES_NOT_FIT} ({reason}); lower {setting}.") from error
