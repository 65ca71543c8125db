"""Writing a file so that nobody ever sees half of it."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, cast

from etils import epath

from trm_jax.core.errors import UserError


def write_whole(path: epath.Path, content: str | bytes) -> None:
    """Writes a file beside its place and moves it there, making the directory if need be.

    A symbolic link at its place is replaced; what it leads to stays as it is.

    Raises:
      UserError: it cannot be written.
    """
    draft = path.parent / f"{path.name}.{os.getpid()}.tmp"  # others may write the same
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
    """Appends to a local file, which is no symbolic link.

    Raises:
      UserError: it cannot be written.
    """
    with writing(path), open_own(path, os.O_WRONLY | os.O_APPEND) as file:
        file.write(text.encode())


def open_own(path: epath.PathLike, flags: int) -> BinaryIO:
    """Opens a local file to write to it, and makes it if need be; never through a symbolic link.

    Args:
      path: of a regular file, or of none.
      flags: of `os.open`; nothing is truncated unless they say so.

    Raises:
      OSError: it is a link or no regular file, or cannot be opened.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not wait
    try:
        number = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link, which is not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file")
    return cast(BinaryIO, os.fdopen(number, "wb" if flags & os.O_WRONLY else "r+b"))


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
