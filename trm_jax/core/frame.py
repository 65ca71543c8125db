"""Runs a command: turns errors into one sentence and an exit code, and quiets the runtimes.

Nothing here imports JAX, which takes about a second, so that `--help` is fast.
"""

import codecs
import contextlib
import errno
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from trm_jax.core.errors import EXIT_BAD_CONFIG, UserError

EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 130, 141
"""Exit codes by the shell's convention: 128 plus the number of the signal."""
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_MEMORY = ("RESOURCE_EXHAUSTED", "bad_alloc", "ut of memory")
"""Parts of the runtimes' error messages when memory has run out."""
PLAIN = str.maketrans(
    dict.fromkeys("┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬", "+") | dict.fromkeys("─━═–—", "-")
    | dict.fromkeys("│┃║", "|") | dict.fromkeys("█▓▒░", "#") | dict.fromkeys("•·●", "o")
    | {"✓": "v", "✗": "x", "×": "x", "→": ">", "…": ".", "’": "'", "“": '"', "”": '"'}
)  # fmt: skip
"""ASCII replacements of the same width, for terminals whose encoding lacks a character."""


_broken: list[str] = []
"""Messages of the system errors (disk, permissions, memory) that ended the command."""


def framed(work: Callable[[], int]) -> int:
    """Runs a command and returns its exit code; known errors are printed as one sentence.

    An unexpected error is raised with its traceback, since it is a bug in trm_jax.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except UserError as error:
        return _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _end("stopped.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        return _end("", EXIT_CLOSED_PIPE)
    except Exception as error:
        if any(isinstance(each, KeyboardInterrupt) for each in causes(error)):
            return _end("stopped.", EXIT_INTERRUPTED)
        text = trouble(error)
        if text is None:
            raise
        _broken.append(text)
        return _end(text, EXIT_BAD_CONFIG)


def leave(code: int) -> NoReturn:
    """Exits the process.

    After an interrupt or a system error it skips the libraries' exit handlers, which would print
    the same error again.

    Args:
      code: exit code that `framed` returned.
    """
    if _broken or code in (EXIT_INTERRUPTED, EXIT_CLOSED_PIPE):
        os._exit(code)
    sys.exit(code)


def trouble(error: BaseException) -> str | None:
    """Message for an error of disk, permissions or memory; None for any other error."""
    for each in causes(error):
        if isinstance(each, OSError) and each.errno in (*FULL, *DENIED):
            place = each.filename or "the output"
            remedy = "free some of it" if each.errno in FULL else "change its permissions"
            return f"{place} cannot be written ({each.strerror}); {remedy}, or give another place."
    if reason := full_disk(error):
        return f"the disk cannot be written ({reason}); free some of it, or give another place."
    for each in causes(error):
        if isinstance(each, MemoryError) or any(word in str(each) for word in NO_MEMORY):
            return (
                "the command ran out of memory; lower config.batch_size or --batch_size, or raise "
                "config.accumulate."
            )
    return None


def full_disk(error: BaseException) -> str:
    """The system's message if the error was caused by a full or read-only disk; else empty."""
    reasons = [os.strerror(number) for number in (*FULL, errno.EROFS)]
    for each in causes(error):
        for reason in reasons:
            if reason in str(each):
                return reason
    return ""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an error and the chain of its causes."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or here.__context__


def use_plain_characters() -> None:
    """Replaces characters that the terminal's encoding lacks, see `PLAIN`."""
    codecs.register_error("trm_plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="trm_plain")  # type: ignore[union-attr]


def silence_runtimes() -> None:
    """Silences the runtimes' warnings about missing devices. Call it before JAX is imported."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # its errors are raised as well
    threading.excepthook = _in_background
    sys.unraisablehook = _unraisable
    warnings.filterwarnings("ignore", message="cloud_tpu_init failed")
    warnings.filterwarnings("ignore", message=".*persistent compilation cache")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not [*Path("/dev").glob("accel*"), *Path("/dev").glob("vfio/*")]:
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
        os.environ.setdefault("TPU_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TPU_STDERR_LOG_LEVEL", "3")


def _in_background(found: threading.ExceptHookArgs) -> None:
    """Thread exception hook: skips system errors, which are also raised in the main thread."""
    if found.exc_value is None or trouble(found.exc_value) is None:
        threading.__excepthook__(found)


def _unraisable(found: "sys.UnraisableHookArgs") -> None:
    """Hook for errors in destructors and in callbacks that arrive after a failed save."""
    error = found.exc_value
    late = str(error) == "Event loop is closed"
    if not _broken and not late and (error is None or trouble(error) is None):
        sys.__unraisablehook__(found)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return "".join(c if ord(c) < 128 else "?" for c in text), error.end


def _end(text: str, code: int) -> int:
    """Prints the message if stderr is still open, and leaves nothing for Python to flush."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        if text:
            print(f"trm: {text}", file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _to_nowhere(stream.fileno())
    return code


def _to_nowhere(number: int) -> None:
    """Redirects a closed stream to the null device, so that Python can flush it at exit."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
