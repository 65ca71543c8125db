"""JAX's persistent compilation cache: compiled programs are reused by later processes."""

import hashlib
import os
import platform
import sys
from pathlib import Path

FOLDER, ENABLED = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"


def keep_programs() -> None:
    """Enables the cache, in the user's cache directory. Call it before JAX is imported.

    The directory is `$XDG_CACHE_HOME/trm_jax` (by default `~/.cache/trm_jax`), with one
    subdirectory for each processor type, since machines may share a home directory. It can be
    deleted at any time. If JAX's own environment variables set another directory or disable the
    cache, nothing is changed.
    """
    if FOLDER in os.environ or os.environ.get(ENABLED, "").lower() in ("false", "0"):
        return
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME", ""))
        home = home if home.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # the user has no home directory
        return
    os.environ[FOLDER] = str(home / "trm_jax" / _processor())
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def _processor() -> str:
    """Short hash of the processor's instruction set, which compiled programs depend on."""
    found = platform.machine() + platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        found += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(found.encode()).hexdigest()[:12]
