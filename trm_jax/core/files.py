"""Atomic writes: a reader sees a file whole or not at all."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, cast

from etils import epath

from trm_jax.core.errors import UserError


def write_whole(path: epath.Path, content: str | bytes) -> None:
    """Writes a file atomically, by renaming a temporary one; creates the directory if needed.

    A symbolic link at `path` is replaced; its target is left unchanged.

    Raises:
      UserError: the file cannot be written.
    """
    draft = path.parent / f"{path.name}.{os.getpid()}.tmp"  # other processes may write `path` too
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            raw = content.encode() if isinstance(content, str) else content
            if "://" in str(path):
                draft.write_bytes(raw)
            else:
                draft.unlink(missing_ok=True)
                with open_own(draft, os.O_WRONLY | os.O_EXCL) as file:
                    file.write(raw)
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise


def append_text(path: epath.Path, text: str) -> None:
    """Appends to a local file; symbolic links are refused.

    Raises:
      UserError: the file cannot be written.
    """
    with writing(path), open_own(path, os.O_WRONLY | os.O_APPEND) as file:
        file.write(text.encode())


def open_own(path: epath.PathLike, flags: int) -> BinaryIO:
    """Opens a local file for writing and creates it if needed; never follows a symbolic link.

    Args:
      path: a regular file, or a path where nothing exists yet.
      flags: flags for `os.open`; without O_TRUNC the file keeps its content.

    Raises:
      OSError: the path is a symbolic link or not a regular file, or cannot be opened.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not block
    try:
        number = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return cast(BinaryIO, os.fdopen(number, "wb" if flags & os.O_WRONLY else "r+b"))


@contextlib.contextmanager
def writing(path: epath.PathLike) -> Iterator[None]:
    """Context that turns an `OSError` of writing to a path into a `UserError`.

    Raises:
      UserError: writing failed; the message names the path and the reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be written ({reason}); give another place.") from error
