"""Writing a file so that nobody ever sees half of it."""

import os

from etils import epath


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a text beside its place and moves it there, making the directory if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.parent / f"{path.name}.{os.getpid()}.tmp"  # others may write the same
    draft.write_text(text)
    draft.replace(path)
