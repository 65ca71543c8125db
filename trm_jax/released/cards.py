"""Finds and reads the cards of released models.

A card is a file NAME.json; its weights are NAME.npz in the same folder. See docs/how-to/models.md.
"""

import dataclasses
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from trm_jax.core.errors import UserError
from trm_jax.tasks.task import task_of
from trm_jax.train.workdir import NEEDED

FOLDER = Path(__file__).parent / "models"
"""Folder of the models that come with the package."""
KIND, FORMAT = "trm_jax released model", 1
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Names of models; they cannot be confused with names on the hub, "owner/name"."""

FIELDS: dict[str, type] = {
    "kind": str,
    "format": int,
    "trm_jax": str,
    "name": str,
    "title": str,
    "rank": int,
    "parameters": int,
    "step": int,
    "seed": int,
    "commands": list,
    "measured": list,
    "config": dict,
    "data": dict,
    "dtype": str,
    "bytes": int,
    "sha256": str,
}
"""Fields of a card and their types; docs/how-to/models.md explains them."""
MEASURED: dict[str, type | tuple[type, ...]] = {
    "what": str,
    "value": (int, float),
    "puzzles": int,
    "command": str,
    "hardware": str,
    "date": str,
}
"""Required fields of a measurement, and their types."""


@dataclasses.dataclass(frozen=True)
class Card:
    """The card of a released model; its weights are not read.

    Attributes:
      path: path of the card.
      record: content of the card, see `FIELDS`.
    """

    path: Path
    record: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Reads a card.

        Raises:
          UserError: the file is not a card, is incomplete, or has another format or name.
        """
        try:
            record = json.loads(path.read_text("utf-8"))
            if not isinstance(record, dict) or record.get("kind") != KIND:
                raise ValueError(f"its 'kind' is not {KIND!r}")
            if record.get("format") == FORMAT:
                _check(record)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path} is not a valid card of a released model ({error}); restore it, or remove "
                "it."
            ) from error
        if record["format"] != FORMAT:
            raise UserError(
                f"{path} has format {record['format']}, but this trm_jax reads format {FORMAT}; "
                "install the version that wrote it."
            )
        if record["name"] != path.stem:
            raise UserError(
                f"{path} is the card of the model {record['name']!r}; name the file "
                f"{record['name']}.json."
            )
        return cls(path, record)

    @property
    def name(self) -> str:
        """Name of the model, and of its two files."""
        return str(self.record["name"])

    @property
    def weights(self) -> Path:
        """Path of the weights."""
        return self.path.with_suffix(".npz")

    @property
    def shape(self) -> Mapping[str, Any]:
        """Shape of its puzzles, see `tasks.task.Shape`."""
        data: Mapping[str, Any] = self.record["data"]
        return data

    def measurement(self, what: str) -> Mapping[str, Any] | None:
        """The first measurement of this name, which is the one to show; None without any."""
        return next((each for each in self.record["measured"] if each["what"] == what), None)

    def reads(self, text: str) -> bool:
        """Whether a text consists of puzzles of this model's shape."""
        task = task_of(self.shape)
        if task.symbols(self.shape) is None:
            return False
        try:
            return bool(task.read_all(self.shape, text))
        except UserError:
            return False


def cards(folder: Path | None = None) -> list[Card]:
    """All released models, sorted by rank and then by name, the order in which they are chosen.

    Args:
      folder: folder of the models; None for those of the package.

    Raises:
      UserError: a card is invalid.
    """
    found = [Card.open(path) for path in sorted((folder or FOLDER).glob("*.json"))]
    return sorted(found, key=lambda card: (card.record["rank"], card.name))


def is_released(name: str, folder: Path | None = None) -> bool:
    """Whether a released model has this name."""
    return bool(NAME.fullmatch(name)) and ((folder or FOLDER) / f"{name}.json").is_file()


def find(name: str, folder: Path | None = None) -> Card:
    """Finds a released model by name.

    Raises:
      UserError: it does not exist, or its card is invalid.
    """
    if is_released(name, folder):
        return Card.open((folder or FOLDER) / f"{name}.json")
    raise UserError(f"no released model is named {name!r}; {near(name, folder)}")


def near(name: str, folder: Path | None = None) -> str:
    """The released model with the nearest name as a question, or the list of all."""
    known = cards(folder)
    close = difflib.get_close_matches(name.strip().lower(), [card.name for card in known], 1)
    return f"did you mean {close[0]}?" if close else f"{listed(known)}."


def fitting(texts: Sequence[str], folder: Path | None = None) -> Card:
    """The first released model, in the order of `cards`, for puzzles like the first one.

    Args:
      texts: texts of the puzzles.
      folder: see `cards`.

    Raises:
      UserError: there is no model for these puzzles, or there are no puzzles.
    """
    if not texts:
        raise UserError("There is no puzzle to solve; give one as an argument, a file, or '-'.")
    known = cards(folder)
    first = next((line for line in texts[0].splitlines() if line.strip()), "")
    counts = [len("".join(text.split())) for text in (texts[0], first)]
    cells = counts[0]
    # a puzzle with wrong characters goes to the model of its size, whose error explains them
    sized = (card for card in known if card.shape["cells"] in counts)
    for card in (*(card for card in known if card.reads(texts[0])), *sized):
        return card
    raise UserError(
        f"no released model is for a puzzle of {cells} cells; {listed(known)}; train one with "
        "`trm train` and give its --workdir."
    )


def listed(known: Sequence[Card]) -> str:
    """A clause that lists models and what they solve: "there are ..."."""
    if not known:
        return "none came with this trm_jax"
    names = ", ".join(
        f"{card.name} ({card.record['title']}, {card.shape['cells']} cells)" for card in known
    )
    return f"there {'are' if len(known) > 1 else 'is'} {names}"


def _check(record: Mapping[str, Any]) -> None:
    """Checks that a card has all fields.

    Raises:
      ValueError: a field is missing or has a wrong type.
    """
    _check_types(record, FIELDS, "it")
    _check_types(record["data"], NEEDED, "its 'data'")
    try:
        keys = task_of(record["data"]).shape_keys
    except UserError as error:
        raise ValueError(str(error).rstrip(".")) from error
    _check_types(record["data"], dict.fromkeys(keys, object), "its 'data'")
    for number, each in enumerate(record["measured"], 1):
        if not isinstance(each, dict):
            raise ValueError(f"measurement {number} is {each!r}")
        _check_types(each, MEASURED, f"measurement {number}")


def _check_types(
    record: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], who: str
) -> None:
    for key, kind in kinds.items():
        value = record.get(key)
        if value is None or not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{who} has no {key!r} of the right type")
