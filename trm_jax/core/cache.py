"""Compiled programs, kept from one start to the next: JAX's persistent compilation cache."""

import hashlib
import os
import platform
import sys
from pathlib import Path

FOLDER, ENABLED = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"


def keep_programs() -> None:
    """Switches the cache on, in a folder of the user's; to be called before JAX starts.

    The folder is `$XDG_CACHE_HOME/trm_jax` (by default `~/.cache/trm_jax`), with one inside for
    each kind of processor, since a shared home may be that of different machines. It can be deleted
    at any time. Whoever sets JAX's own variables, to another folder or to none, is left alone.
    """
    if FOLDER in os.environ or os.environ.get(ENABLED, "").lower() in ("false", "0"):
        return
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME", ""))
        home = home if home.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return
    os.environ[FOLDER] = str(home / "trm_jax" / _processor())
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def _processor() -> str:
    """A short word for the instructions that programs may have been compiled to."""
    found = platform.machine() + platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        found += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(found.encode()).hexdigest()[:12]
