"""Pushes exported models to the Hugging Face hub, and downloads them from there.

Models in the hub's cache on this machine are used without a network. Of a downloaded model only the
exported program is run, not its load.py, which is for users without this library.
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
    """Whether a text is a valid name on the hub, "owner/name" or "owner/name@revision"."""
    return bool(_NAME.fullmatch(text.removeprefix(SCHEME)))


def fetch(name: str) -> Path:
    """Downloads an exported model, or finds it in the cache.

    Args:
      name: "owner/name", optionally with "hf://" before and "@revision" after it.

    Returns:
      A directory in the hub's cache on this machine.

    Raises:
      UserError: the extra `hub` is not installed, the name is invalid, or the download fails.
    """
    if not is_name(name):
        raise UserError(f"{name} is not the name of a model on the hub; write hf://owner/name.")
    hub = _library(name)
    repository, _, revision = name.removeprefix(SCHEME).partition("@")
    try:
        found = hub.snapshot_download(repository, revision=revision or None, allow_patterns=FILES)
    except Exception as error:  # huggingface_hub's, httpx's and the system's have no common base
        raise UserError(
            f"{name} is neither a directory here nor in the hub's cache, and could not be "
            f"downloaded ({_reason(hub, error)}); check the name and the network, or copy an "
            "exported directory here and give its path."
        ) from error
    return Path(found)


def check_login(name: str) -> None:
    """Checks that `push` can work, before anything is computed.

    Raises:
      UserError: the name is invalid, the extra `hub` is not installed, or there is no login.
    """
    if not is_name(name) or "@" in name:
        raise UserError(f"--push is {name!r}; write owner/name.")
    if not _library(name).get_token():
        raise UserError(
            f"you are not logged in to the hub, so {name} cannot be written; run `hf auth login`, "
            "or set HF_TOKEN."
        )


def push(directory: Path, name: str, *, private: bool) -> str:
    """Uploads an exported directory in one commit.

    Args:
      directory: the directory, from `export.save`.
      name: repository "owner/name"; it is created if it does not exist.
      private: whether a new repository is private.

    Returns:
      The address of the repository.

    Raises:
      UserError: the hub refuses the upload, or cannot be reached.
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
            f"fix that, then run: hf upload {repository} {directory}"
        ) from error
    return f"https://huggingface.co/{repository}"


def _library(name: str) -> Any:
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UserError(
            f"{name} needs the package huggingface_hub; install it with: pip install 'trm-jax[hub]'"
        ) from error
    # It logs each of its retries several times; the error of this module is enough.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return hub


def _reason(hub: Any, error: Exception) -> str:
    """The error in one line, with the user's token removed."""
    said = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
    text = f"{type(error).__name__}: {said}"
    token: str | None = hub.get_token()
    return text.replace(token, "***") if token else text
