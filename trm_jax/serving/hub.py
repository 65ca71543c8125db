"""Exported models on the Hugging Face hub: pushing them there, and getting them from there.

What lies in the hub's cache on this machine is used without a network. Nothing that was downloaded
is ever run but the exported program: load.py is for those who do not have this library.
"""

import importlib
import logging
import re
from pathlib import Path
from typing import Any

from trm_jax.core.errors import UserError

SCHEME = "hf://"
FILES = ["manifest.json", "program.bin", "weights.npz", "table.npy", "rows.npz", "README.md"]
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def is_name(text: str) -> bool:
    """Whether a text could be the name of something on the hub, "owner/name" or "...@revision"."""
    return bool(_NAME.fullmatch(text.removeprefix(SCHEME)))


def fetch(name: str) -> Path:
    """Downloads an exported model, or finds it in the cache.

    Args:
      name: "owner/name", with "hf://" before it or not, and "@revision" behind it or not.

    Returns:
      A directory in the hub's cache on this machine.

    Raises:
      UserError: the extra `hub` is not installed, the name is none, or it cannot be had.
    """
    if not is_name(name):
        raise UserError(f"{name} is no model on the hub; write hf://owner/name.")
    hub = _library(name)
    repository, _, revision = name.removeprefix(SCHEME).partition("@")
    try:
        found = hub.snapshot_download(repository, revision=revision or None, allow_patterns=FILES)
    except Exception as error:  # its own, httpx's and the system's: they share no base class
        raise UserError(
            f"{name} is neither a directory here nor in the hub's cache, and could not be "
            f"downloaded ({_reason(hub, error)}); check the name and the network, or copy an "
            "exported directory here and give its path."
        ) from error
    return Path(found)


def check_login(name: str) -> None:
    """Refuses early, before anything is computed, what `push` would refuse.

    Raises:
      UserError: the name is none, the extra `hub` is not installed, or nobody is logged in.
    """
    if not is_name(name) or "@" in name:
        raise UserError(f"--push is {name!r}; write owner/name.")
    if not _library(name).get_token():
        raise UserError(
            f"nobody is logged in to the hub, so {name} cannot be written; run `hf auth login`, or "
            "set HF_TOKEN."
        )


def push(directory: Path, name: str, *, private: bool) -> str:
    """Uploads an exported directory, all of its files in one commit.

    Args:
      directory: from `export.save`.
      name: "owner/name"; made if it is not there.
      private: where it is made, nobody else sees it.

    Returns:
      Where it is.

    Raises:
      UserError: the hub refuses, or cannot be reached.
    """
    check_login(name)
    hub = _library(name)
    repository = name.removeprefix(SCHEME)
    try:
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=str(directory), commit_message="trm export"
        )
    except Exception as error:  # as above
        raise UserError(
            f"{directory} is written, but could not be pushed to {name} ({_reason(hub, error)}); "
            f"mend that, then run: hf upload {repository} {directory}"
        ) from error
    return f"https://huggingface.co/{repository}"


def _library(name: str) -> Any:
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(
            f"{name} needs the package huggingface_hub; install it with: pip install 'trm-jax[hub]'"
        ) from error
    # It reports each of its own retries, several times; our sentence says it once.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return hub


def _reason(hub: Any, error: Exception) -> str:
    """What went wrong in one line, in which no token stands whatever the library wrote."""
    said = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
    text = f"{type(error).__name__}: {said}"
    token: str | None = hub.get_token()
    return text.replace(token, "***") if token else text
