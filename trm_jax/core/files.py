"""Writing a file so that nobody ever sees half of it."""

import contextlib
import os
from collections.abc import Iterator

from etils import epath

from trm_jax.core.errors import UserError


def write_whole(path: epath.Path, content: str | bytes) -> None:
    """Writes a file beside its place and moves it there, making the directory if need be.

    Raises:
      UserError: it cannot be written.
    """
    draft = path.parent / f"{path.name}.{os.getpid()}.tmp"  # others may write the same
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                draft.write_text(content)
            else:
                draft.write_bytes(content)
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise


@contextlib.contextmanager
def writing(path: epath.PathLike) -> Iterator[None]:
    """Turns what the system says against writing to a path into one sentence.

    Raises:
      UserError: names the path and the reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be written ({reason}); give another place.") from error
