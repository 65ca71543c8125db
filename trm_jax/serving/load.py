"""Loads and runs an exported Tiny Recursive Model.

Needs NumPy, JAX and flatbuffers (with which `jax.export` reads programs), and nothing else. This
file is complete in itself; a copy of it lies in every exported directory:

    python load.py PUZZLE ...          answers puzzles of one line each (not ARC's)

    from load import load
    answers, halt_logits = load("this/directory")(tokens)
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

FORMAT_VERSION = 1
MOST = 64  # questions per call, where the program takes any number


class Program:
    """Answers questions: tokens in, tokens out.

    Attributes:
      manifest: what manifest.json holds; it says what each token means.
    """

    def __init__(
        self, manifest: dict[str, Any], call: Callable[..., Any], weights: Any, table: np.ndarray
    ) -> None:
        """Takes a function of (weights, inputs, rows), its weights, and the puzzle table."""
        self.manifest = manifest
        self._call, self._weights, self._table = jax.jit(call), jax.device_put(weights), table

    def __call__(
        self, inputs: Any, ids: Any = None, size: int = MOST
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answers questions.

        Args:
          inputs: integer [m, S], the tokens of the questions.
          ids: integer [m], rows of the puzzle table; None is row 0, which is right but for ARC.
          size: questions per call of the program, where it takes any number.

        Returns:
          uint8 [N, m, S], the answers after each step, and float32 [N, m], halting logits: above
          0 the model believes that the answer is right.

        Raises:
          ValueError: the questions do not fit the program.
        """
        inputs = np.asarray(inputs)
        cells, vocab = self.manifest["cells"], self.manifest["vocab"]
        if inputs.ndim != 2 or inputs.shape[1] != cells or not len(inputs):
            raise ValueError(f"the questions are {inputs.shape}; the program takes [m, {cells}]")
        if inputs.dtype.kind not in "iu" or inputs.min() < 0 or inputs.max() >= vocab:
            raise ValueError(f"the questions' tokens have to be whole numbers 0 to {vocab - 1}")
        ids = np.zeros(len(inputs), int) if ids is None else np.asarray(ids)
        if ids.shape != inputs.shape[:1] or ids.min() < 0 or ids.max() >= len(self._table):
            raise ValueError(
                f"the rows have to be {len(inputs)} whole numbers 0 to {len(self._table) - 1}"
            )
        fixed = self.manifest["batch_size"]
        # to a power of two, so that few sizes are ever compiled
        size = min(size, 1 << (len(inputs) - 1).bit_length()) if fixed == "any" else fixed
        parts = []
        for first in range(0, len(inputs), size):
            part = slice(first, first + size)
            rows = floats(np.asarray(self._table[ids[part]]))
            pad = ((0, size - len(rows)), (0, 0))
            padded = np.pad(inputs[part].astype(np.int32), pad, mode="edge")
            found = jax.device_get(self._call(self._weights, padded, np.pad(rows, pad)))
            parts.append([array[:, : len(rows)] for array in found])
        answers, halt_logits = (np.concatenate(p, axis=1) for p in zip(*parts, strict=True))
        return answers, halt_logits


def load(directory: str | Path) -> Program:
    """Reads an exported directory; ValueError where it is damaged, in one sentence."""
    root = Path(directory)
    manifest = read_manifest(root)
    check_files(root, manifest)
    try:
        exported = jax.export.deserialize(bytearray((root / "program.bin").read_bytes()))
    except ImportError as error:
        raise ValueError(
            "jax.export reads programs with flatbuffers; pip install flatbuffers"
        ) from error
    except Exception as error:  # whatever another version of JAX makes of it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{root / 'program.bin'} was written by JAX {manifest['jax']} and JAX "
            f"{jax.__version__} cannot read it ({reason}); export the model anew"
        ) from error
    with np.load(root / "weights.npz", allow_pickle=False) as archive:
        weights = tree({name: floats(archive[name]) for name in archive.files})
    # not read into memory: an ARC table is large, and few of its rows are asked for at a time
    table = np.load(root / "table.npy", mmap_mode="r", allow_pickle=False)
    return Program(manifest, exported.call, weights, table)


def read_manifest(root: Path) -> dict[str, Any]:
    """What manifest.json of an exported directory says; ValueError where it is not one."""
    try:
        manifest = json.loads((root / "manifest.json").read_text("utf-8"))
        version = manifest["trm_export"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{root} is no exported model: its manifest.json cannot be read ({error!r})"
        ) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{root} has format version {version} and this program reads {FORMAT_VERSION}; "
            "export the model anew, or take the load.py that lies beside it"
        )
    return manifest


def check_files(root: Path, manifest: dict[str, Any]) -> None:
    """Raises ValueError, which names the file, where one is not as it was written."""
    for name, digest in manifest["sha256"].items():
        try:
            with (root / name).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ValueError(f"{root / name} cannot be read ({error.strerror})") from error
        if found != digest:
            raise ValueError(
                f"{root / name} is not as it was written (its SHA-256 differs); fetch it again"
            )


def floats(array: np.ndarray) -> np.ndarray:
    """float32; bfloat16 is kept as uint16, as NumPy's files do not know it."""
    return array.view(jnp.bfloat16).astype(np.float32) if array.dtype == np.uint16 else array


def tree(arrays: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts out of names like "params/network/kernel"."""
    root: dict[str, Any] = {}
    for name, array in arrays.items():
        *groups, last = name.split("/")
        place = root
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = array
    return root


def main(puzzles: list[str]) -> None:
    """Prints an answer to each puzzle, and how sure the model is of it."""
    program = load(Path(__file__).parent)
    symbols = program.manifest["symbols"]
    if not puzzles or not symbols:
        raise ValueError("give puzzles of one line each; of ARC, call load() from Python")
    tokens = {symbol: token for token, these in enumerate(symbols) for symbol in these}
    cells = program.manifest["cells"]
    for puzzle in puzzles:
        if len(puzzle) != cells or not set(puzzle) <= set(tokens):
            raise ValueError(f"{puzzle!r} is not {cells} characters out of {''.join(tokens)!r}")
    answers, logits = program(np.asarray([[tokens[c] for c in puzzle] for puzzle in puzzles]))
    for answer, logit in zip(answers[-1], logits[-1], strict=True):
        text = "".join(symbols[token][:1] or "." for token in answer)
        print(f"{text}  {1 / (1 + np.exp(-float(logit))):.1%} sure")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as mistake:
        sys.exit(f"load.py: {mistake}.")
